#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepare how a member of etcd starts for the first time."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Prepare the first start of a member of etcd, as part of a new cluster or of one that exists
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Asks the other members what they know, and decides from that whether this host founds a cluster with them, joins
    one, or takes the place of a member that has lost its data.
  - A lost member is removed and added again under a new identity. A member that left the inventory is removed when all
    others run.
  - A member that joins is started at once, because in a small cluster the next one can be added only after that. Its
    configuration has to be there.
  - Refuses what could lose the cluster, such as a new cluster beside data that does not answer.
  - Does nothing on a host that holds data, besides removing members that left the inventory.
options:
  name:
    description: Name of this member.
    type: str
    required: true
  members:
    description: All members of the site, with their addresses.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the member.
        type: str
        required: true
      address:
        description: Address of its host.
        type: str
        required: true
      client:
        description: URL for clients.
        type: str
        required: true
      peer:
        description: URL for the other members.
        type: str
        required: true
  holders:
    description: Names of the members whose hosts hold data of etcd.
    type: list
    elements: str
    required: true
  unseen:
    description: Names of the members of which it is not known whether their hosts hold data.
    type: list
    elements: str
    default: []
  token:
    description: Name of the cluster, so that members of two sites never meet.
    type: str
    required: true
  path:
    description: File with the environment of the first start.
    type: path
    required: true
  certificates:
    description: Directory with C(ca.crt), C(tls.crt) and C(tls.key).
    type: path
    required: true
  unit:
    description: The systemd unit.
    type: str
    default: etcd.service
attributes:
  check_mode:
    description: Can run in check mode and predict what would change.
    support: full
  diff_mode:
    description: Returns the members that go, come and are started, and the file of the first start.
    support: full
"""

EXAMPLES = r"""
- name: Decide how this member starts for the first time
  onprem.dify.etcd_member:
    name: "{{ inventory_hostname }}"
    members: "{{ site_facts | onprem.dify.etcd_members }}"
    holders: [db1]
    token: bank
    path: /etc/etcd/first-start.env
    certificates: /etc/onprem-dify/pki/etcd
  throttle: 1
"""

RETURN = r"""
quorum:
  description: Whether a cluster is there that can decide. Its members are then restarted one after the other.
  returned: success
  type: bool
actions:
  description: What was done to the list of members.
  returned: success
  type: list
  elements: str
  sample: [remove witness1, add witness1, start witness1]
"""

import json
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import etcd

SPEC = {
    "name": {"type": "str", "required": True},
    "members": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {key: {"type": "str", "required": True} for key in ("name", "address", "client", "peer")},
    },
    "holders": {"type": "list", "elements": "str", "required": True},
    "unseen": {"type": "list", "elements": "str", "default": []},
    "token": {"type": "str", "required": True, "no_log": False},
    "path": {"type": "path", "required": True},
    "certificates": {"type": "path", "required": True},
    "unit": {"type": "str", "default": "etcd.service"},
}

# A member that waits for a quorum is restarted by systemd now and then.
PATIENCE = 15


class Cluster:
    """The members that answer."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._folder = Path(module.params["certificates"])
        self._others = [member for member in module.params["members"] if member["name"] != module.params["name"]]
        self._tool = module.get_bin_path("etcdctl", required=False, opt_dirs=["/usr/local/bin"])

    def view(self) -> etcd.View:
        params = self._module.params
        others = {member["name"] for member in self._others}
        own = params["name"] in params["holders"]
        holders = sorted(others & set(params["holders"]))
        listed = self._listed() if holders or own else None
        found = listed
        deadline = time.monotonic() + (0 if own or self._module.check_mode else PATIENCE)
        while found is None and holders:
            found = self._told_by_a_peer()
            if found is not None or time.monotonic() >= deadline:
                break
            time.sleep(1)
        return etcd.View(own, found, listed is not None, holders, sorted(others & set(params["unseen"])))

    def change(self, action: etcd.Action) -> None:
        words = [action.verb, action.subject]
        if action.verb == "add":
            peer = next(member["peer"] for member in self._module.params["members"] if member["name"] == action.subject)
            words.append(f"--peer-urls={peer}")
        # A cluster that has just lost a member refuses for some seconds.
        deadline = time.monotonic() + PATIENCE
        code, out, err = self._etcdctl("member", *words)
        while code != 0 and "unhealthy cluster" in err and time.monotonic() < deadline:
            time.sleep(1)
            code, out, err = self._etcdctl("member", *words)
        if code != 0:
            raise etcd.EtcdError(f"etcdctl member {action}: {err.strip() or out.strip()}")

    def start(self) -> None:
        """Start this member; systemd calls it started as soon as it is part of the cluster."""
        unit = self._module.params["unit"]
        code, out, err = self._module.run_command(["systemctl", "start", unit])
        if code != 0:
            journal = self._module.run_command(
                ["journalctl", "--quiet", "--lines=10", "--output=cat", f"--unit={unit}"]
            )
            raise etcd.EtcdError(f"systemctl start {unit}: {err.strip() or out.strip()}\n{journal[1].strip()}")

    def _listed(self) -> Optional[List[etcd.Member]]:
        """What the cluster has agreed on, if it has a quorum."""
        if not self._tool or not (self._folder / "tls.crt").exists():
            return None
        code, out, _err = self._etcdctl("member", "list", "--write-out=json")
        return etcd.parse_members(json.loads(out)["members"]) if code == 0 else None

    def _told_by_a_peer(self) -> Optional[List[etcd.Member]]:
        """What one member has on its disk. It tells also while there is no quorum."""
        for member in self._others:
            try:
                context = ssl.create_default_context(cafile=str(self._folder / "ca.crt"))
                context.load_cert_chain(str(self._folder / "tls.crt"), str(self._folder / "tls.key"))
                # No proxy of the environment stands between members.
                opener = urllib.request.build_opener(
                    urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
                )
                with opener.open(f"{member['peer']}/members", timeout=3) as answer:
                    return etcd.parse_members(json.load(answer))
            except (OSError, urllib.error.URLError, ValueError):
                continue
        return None

    def _etcdctl(self, *words: str) -> Any:
        command = [
            str(self._tool),
            f"--endpoints={','.join(member['client'] for member in self._module.params['members'])}",
            f"--cacert={self._folder / 'ca.crt'}",
            f"--cert={self._folder / 'tls.crt'}",
            f"--key={self._folder / 'tls.key'}",
            "--dial-timeout=3s",
            "--command-timeout=8s",
        ]
        return self._module.run_command([*command, *words], environ_update={"ETCDCTL_API": "3"})


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        module.exit_json(**prepare(module, Cluster(module)))
    except etcd.EtcdError as error:
        module.fail_json(msg=str(error))


def prepare(module: AnsibleModule, cluster: Cluster) -> Dict[str, Any]:
    params = module.params
    wanted = {member["name"]: member["peer"] for member in params["members"]}
    view = cluster.view()
    plan = etcd.plan(params["name"], wanted, view)
    path = Path(params["path"])
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    after = before
    if plan.state:
        gone = {action.subject for action in plan.actions if action.verb == "remove"}
        stay = [member for member in view.found or () if member.hex_id not in gone]
        after = etcd.first_start(params["name"], params["token"], wanted, stay, plan.state)
    if not module.check_mode:
        # The file first: a run that is killed in between finds a member that has not started, and goes on.
        if after != before:
            _write(module, path, after)
        for action in plan.actions:
            cluster.change(action)
        if plan.state == "existing":
            cluster.start()
    actions = [str(action) for action in plan.actions]
    if plan.state == "existing":
        actions.append(f"start {params['name']}")
    diff = {
        "before_header": str(path),
        "before": before,
        "after_header": str(path),
        "after": after + "".join(f"# member {action}\n" for action in actions),
    }
    return {"changed": bool(actions) or after != before, "quorum": view.quorum, "actions": actions, "diff": diff}


def _write(module: AnsibleModule, path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o755, exist_ok=True)
    temporary = path.with_name(f".{path.name}.onprem-dify")
    temporary.write_text(text, encoding="utf-8")
    temporary.chmod(0o644)
    module.atomic_move(str(temporary), str(path), keep_dest_attrs=False)


if __name__ == "__main__":
    main()
