#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse what would lose data of PostgreSQL, or leave them behind."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_data
short_description: Refuse what would lose data of PostgreSQL, or leave them behind
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Looks at the data of this host and asks the other members of the cluster. Changes nothing.
  - Fails if the data are of another major version, if they would be moved, if the cluster would get another name, if a
    directory would be used that holds something else, if the leader left the inventory, and if this host would begin a
    new cluster beside existing data.
  - Waits for the leader where this host can only come in by copying from it.
options:
  name:
    description: Name of this member.
    type: str
    required: true
  members:
    description: Address of every member of the site.
    type: dict
    required: true
  directory:
    description: Wished directory of the data.
    type: path
    required: true
  major:
    description: Wished major version.
    type: str
    required: true
  scope:
    description: Wished name of the cluster.
    type: str
    required: true
  configuration:
    description: Configuration of Patroni, as an earlier run left it.
    type: path
    required: true
  holders:
    description: Names of the members whose hosts hold data.
    type: list
    elements: str
    required: true
  unseen:
    description: Names of the members of which it is not known whether their hosts hold data.
    type: list
    elements: str
    default: []
  certificates:
    description: Directory with C(ca.crt), C(tls.crt) and C(tls.key).
    type: path
    required: true
  patience:
    description: Seconds to wait for the leader.
    type: int
    default: 60
attributes:
  check_mode:
    description: Can run in check mode and predict what would change.
    support: full
  diff_mode:
    description: Returns the difference.
    support: none
"""

EXAMPLES = r"""
- name: Refuse what would lose data
  onprem.dify.postgresql_data:
    name: "{{ inventory_hostname }}"
    members: {db1: 10.0.3.11, db2: 10.0.3.12}
    directory: /var/lib/postgresql/15/main
    major: "15"
    scope: dify
    configuration: /etc/patroni/patroni.yml
    holders: [db1]
    certificates: /etc/onprem-dify/pki/postgresql
"""

RETURN = r"""
version:
  description: Major version of the data of this host, empty if there are none.
  returned: success
  type: str
"""

import re
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import postgresql_data as rules
from ansible_collections.onprem.dify.plugins.module_utils.patroni_api import Api

SPEC = {
    "name": {"type": "str", "required": True},
    "members": {"type": "dict", "required": True},
    "directory": {"type": "path", "required": True},
    "major": {"type": "str", "required": True},
    "scope": {"type": "str", "required": True},
    "configuration": {"type": "path", "required": True},
    "holders": {"type": "list", "elements": "str", "required": True},
    "unseen": {"type": "list", "elements": "str", "default": []},
    "certificates": {"type": "path", "required": True},
    "patience": {"type": "int", "default": 60},
}


def version_of(directory: str) -> str:
    path = Path(directory) / "PG_VERSION"
    return path.read_text(encoding="ascii").strip() if directory and path.is_file() else ""


def configured(path: str) -> Tuple[str, str]:
    """Scope and data directory of the configuration that this collection has written."""
    text = Path(path).read_text(encoding="utf-8") if Path(path).is_file() else ""
    found = [re.search(rf'^ *{key}: "?([^"\n]+)"?$', text, re.MULTILINE) for key in ("scope", "data_dir")]
    scope, directory = (match.group(1) if match else "" for match in found)
    return scope, directory


def members_say(api: Api, names: List[str]) -> Tuple[Optional[str], List[str]]:
    """The leader and the names of the clusters that the members run."""
    clusters = [cluster for cluster in map(api.cluster, names) if cluster]
    leaders = [
        member["name"]
        for cluster in clusters
        for member in cluster.get("members", [])
        if member.get("role") in ("leader", "standby_leader") and member.get("state") == "running"
    ]
    return (leaders[0] if leaders else None), sorted({c["scope"] for c in clusters if c.get("scope")})


def look(params: Dict[str, Any], patience: float) -> rules.Found:
    others = [name for name in params["members"] if name != params["name"]]
    api = Api(params["members"], params["certificates"])
    directory = Path(params["directory"])
    scope, place = configured(params["configuration"])
    found = rules.Found(
        version=version_of(params["directory"]),
        filled=directory.is_dir() and any(entry.name != "lost+found" for entry in directory.iterdir()),
        scope=scope,
        configured=place,
        configured_version=version_of(place),
        holders=sorted(set(others) & set(params["holders"])),
        unseen=sorted(set(others) & set(params["unseen"])),
    )
    deadline = time.monotonic() + patience
    while True:
        leader, scopes = members_say(api, list(params["members"]))
        found = found._replace(leader=leader, scopes=scopes)
        if leader or not rules.needs_leader(found) or time.monotonic() >= deadline:
            return found
        time.sleep(2)


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    params = module.params
    found = look(params, 0 if module.check_mode else params["patience"])
    wish = rules.Wish(params["name"], params["directory"], params["major"], params["scope"], list(params["members"]))
    refusal = rules.refusal(wish, found)
    if refusal:
        module.fail_json(msg=refusal)
    module.exit_json(changed=False, version=found.version)


if __name__ == "__main__":
    main()
