#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases, their owners and extensions, in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_databases
short_description: Keep databases, their owners, passwords and extensions as wished
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Reads the catalogue, works out what differs, and brings that about, through the local socket as the superuser.
  - On a standby it does nothing, so that one task runs on all hosts of a cluster and acts on the leader.
  - Passwords are compared with what PostgreSQL has stored of them. None is sent to PostgreSQL, only what it stores.
  - Roles get no rights over the server. PUBLIC gets none on the databases and cannot create in their schema C(public).
  - Nothing is dropped.
options:
  passwords:
    description: Password of each role, among them the owners of O(databases).
    type: dict
    required: true
  roles:
    description: Roles that are more than owners of a database.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the role.
        type: str
        required: true
      replication:
        description: Whether it may replicate.
        type: bool
        default: false
      member_of:
        description: Roles that it is a member of.
        type: list
        elements: str
        default: []
  databases:
    description: The databases.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the database.
        type: str
        required: true
      owner:
        description: Its owner, one of O(passwords).
        type: str
        required: true
      extensions:
        description: Extensions that it has.
        type: list
        elements: str
        default: []
  user:
    description: User of the operating system that is the superuser.
    type: str
    default: postgres
  socket:
    description: Directory of the local socket.
    type: path
    required: true
  bin:
    description: Directory of C(psql).
    type: path
    required: true
attributes:
  check_mode:
    description: Can run in check mode and predict what would change.
    support: full
  diff_mode:
    description: Returns the statements, without what stands for passwords.
    support: full
"""

EXAMPLES = r"""
- name: Create databases, owners and extensions
  onprem.dify.postgresql_databases:
    socket: /run/postgresql
    bin: /usr/lib/postgresql/15/bin
    passwords: {dify: "{{ site_secrets.postgres_dify }}"}
    databases:
      - {name: dify, owner: dify, extensions: [uuid-ossp]}
"""

RETURN = r"""
statements:
  description: What was, or would be, done; without what stands for passwords.
  returned: success
  type: list
  elements: str
standby:
  description: Whether this host follows another one, so that nothing was done here.
  returned: success
  type: bool
"""

import json
from pathlib import Path
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import postgresql_catalog as catalog

SPEC = {
    "passwords": {"type": "dict", "required": True, "no_log": True},
    "roles": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "replication": {"type": "bool", "default": False},
            "member_of": {"type": "list", "elements": "str", "default": []},
        },
    },
    "databases": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "owner": {"type": "str", "required": True},
            "extensions": {"type": "list", "elements": "str", "default": []},
        },
    },
    "user": {"type": "str", "default": "postgres"},
    "socket": {"type": "path", "required": True},
    "bin": {"type": "path", "required": True},
}
EMPTY: Dict[str, Any] = {"standby": False, "roles": {}, "databases": {}}


class Server:
    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._psql = Path(module.params["bin"]) / "psql"

    @property
    def there(self) -> bool:
        return self._psql.exists() and Path(self._module.params["socket"]).is_dir()

    def ask(self, database: str, query: str) -> Any:
        return json.loads(self.run(database, query))

    def run(self, database: str, script: str) -> str:
        params = self._module.params
        user = params["user"]
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", str(self._psql)]
        command += ["--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align"]
        command += ["--set=ON_ERROR_STOP=1", f"--host={params['socket']}", f"--username={user}"]
        code, out, err = self._module.run_command(
            [*command, f"--dbname={database}", "--file=-"],
            data=script,
            cwd="/",
            environ_update={"PGOPTIONS": "-c lock_timeout=30s", "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C.UTF-8"},
        )
        if code != 0:
            raise catalog.CatalogError(f"database {database}: {err.strip() or out.strip()}")
        return str(out)


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        module.exit_json(**bring(module, Server(module)))
    except catalog.CatalogError as error:
        module.fail_json(msg=str(error))


def bring(module: AnsibleModule, server: Server) -> Dict[str, Any]:
    roles = catalog.roles(module.params["passwords"], module.params["roles"])
    databases = [catalog.Database(**entry) for entry in module.params["databases"]]
    found, contents = _read(module, server, databases)
    if found["standby"]:
        return {"changed": False, "standby": True, "statements": []}
    steps = catalog.plan(roles, databases, found, contents)
    if not module.check_mode:
        for step in steps:
            server.run(step.database, step.script())
    shown: List[str] = [line for step in steps for line in step.shown]
    return {"changed": bool(steps), "standby": False, "statements": shown, "diff": catalog.diff(steps)}


def _read(module: AnsibleModule, server: Server, databases: List[catalog.Database]) -> Any:
    """The answers to the queries. A dry run before the first real one finds no server, which is an empty one."""
    try:
        if not server.there:
            raise catalog.CatalogError("PostgreSQL is not installed on this host")
        found = server.ask("postgres", catalog.SERVER_QUERY)
        existing = [] if found["standby"] else [name for name, *_rest in databases if name in found["databases"]]
        return found, {name: server.ask(name, catalog.DATABASE_QUERY) for name in existing}
    except catalog.CatalogError:
        if module.check_mode:
            return EMPTY, {}
        raise


if __name__ == "__main__":
    main()
