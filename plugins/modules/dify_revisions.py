#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See whether the databases of Dify are at the head of the release."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dify_revisions
short_description: See whether the databases of Dify are at the head of the release
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Runs on a host that may reach the databases. Asks each database itself, as a migration that failed may say that it
    did not.
  - Changes nothing. Needs Python only.
options:
  databases:
    description: The databases, as C(database) of P(onprem.dify.dify_access#filter) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      tenant:
        description: Name of the tenant, for messages.
        type: str
        required: true
      host:
        description: Name that the certificate of the server is valid for.
        type: str
        required: true
      address:
        description: Where the server is.
        type: str
        required: true
      port:
        description: Port of the server.
        type: int
        required: true
      name:
        description: Name of the database.
        type: str
        required: true
      user:
        description: Who logs in.
        type: str
        required: true
      password:
        description: Its password.
        type: str
        required: true
  head:
    description: The revision that is wanted. Any, if empty, for releases whose head nobody has seen.
    type: str
    default: ""
  authorities:
    description: Certificates of the authorities that vouch for the server, in PEM. Those of the system, if empty.
    type: str
    default: ""
  timeout:
    description: Seconds for each answer.
    type: float
    default: 10
attributes:
  check_mode:
    description: Looks, and finds no fault with what a run would migrate.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: See that the database is migrated
  onprem.dify.dify_revisions:
    databases: ["{{ (tenant | onprem.dify.dify_access(site_facts, site_secrets)).database }}"]
    head: "{{ lookup('onprem.dify.dify_release').migration.head }}"
  no_log: true
"""

RETURN = r"""
revisions:
  description: The revision of each database, by tenant.
  returned: success
  type: dict
  sample: {dify: c3f1a9b2e6d4}
"""

from ansible_collections.onprem.dify.plugins.module_utils.dify_revision import PROBLEMS, problem, revisions
from ansible_collections.onprem.dify.plugins.module_utils.quiet_module import QuietModule

DATABASE = {name: {"type": "str", "required": True} for name in ("tenant", "host", "address", "name", "user")}
SPEC = {
    "databases": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            **DATABASE,
            "port": {"type": "int", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
        },
    },
    "head": {"type": "str", "default": ""},
    "authorities": {"type": "str", "default": ""},
    "timeout": {"type": "float", "default": 10.0},
}


def main() -> None:
    module = QuietModule(argument_spec=SPEC, supports_check_mode=True)
    params, found, faults = module.params, {}, []
    for database in params["databases"]:
        place = f"tenant {database['tenant']}: database {database['name']} on {database['host']}"
        try:
            answer = revisions(database, params["authorities"], params["timeout"])
        except PROBLEMS as error:
            faults.append(f"{place} cannot be asked: {error}")
            continue
        fault = problem(answer, params["head"])
        if fault:
            faults.append(f"{place} {fault}, wanted: {params['head'] or 'one revision'}")
        else:
            found[database["tenant"]] = (answer or [""])[0]
    if faults and not module.check_mode:
        module.fail_json(msg="; ".join(faults))
    module.exit_json(changed=False, revisions=found)


if __name__ == "__main__":
    main()
