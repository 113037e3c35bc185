#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Sentinel, which watches Redis or Valkey servers and decides with the others which one is the master."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_sentinel
short_description: Keep a Sentinel watching the servers of the site
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Tells a new Sentinel once which server is the master, as the servers themselves say. After that the file in which
    Sentinel keeps what it knows is its own.
  - Settings and users stand in files beside it. The Sentinel is restarted when these or its certificates are newer
    than it.
  - Waits until it sees the master, all replicas and all other Sentinels.
extends_documentation_fragment: [onprem.dify.redis]
options:
  address:
    description: Address on which the other Sentinels reach this one.
    type: str
    required: true
  port:
    description: Port of the Sentinels.
    type: int
    default: 26379
  master:
    description: Name under which the servers are watched.
    type: str
    required: true
  servers:
    description: The servers.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the host.
        type: str
        required: true
      address:
        description: Address of the host.
        type: str
        required: true
  servers_port:
    description: Port of the servers.
    type: int
    default: 6379
  voters:
    description: How many Sentinels there are.
    type: int
    required: true
  check:
    description: The user with which the servers are asked what they are.
    type: dict
    required: true
    suboptions:
      user:
        description: Name of the user.
        type: str
        required: true
      password:
        description: Password of the user.
        type: str
        required: true
  login:
    description: The user of the Sentinel that may see and set everything.
    type: dict
    required: true
    suboptions:
      user:
        description: Name of the user.
        type: str
        required: true
      password:
        description: Password of the user.
        type: str
        required: true
  state_file:
    description: The file in which the Sentinel keeps what it knows.
    type: path
    required: true
  seconds:
    description: How long it may take until the Sentinel is content.
    type: int
    default: 120
attributes:
  check_mode:
    description: Predicts the change, also before the packages are installed.
    support: full
  diff_mode:
    description: Shows the file that a new Sentinel begins with.
    support: full
"""

EXAMPLES = r"""
- name: Watch the servers
  onprem.dify.redis_sentinel:
    address: 10.20.3.21
    master: dify
    servers: [{name: db1, address: 10.20.3.11}, {name: db2, address: 10.20.3.12}]
    voters: 3
    check: {user: check, password: "{{ site_secrets.redis_check }}"}
    login: {user: sentinel, password: "{{ site_secrets.redis_sentinel }}"}
    tls:
      certificate: /etc/onprem-dify/pki/redis/tls.crt
      key: /etc/onprem-dify/pki/redis/tls.key
      authorities: /etc/onprem-dify/pki/redis/ca.crt
    state_file: /var/lib/redis/sentinel/sentinel.conf
    unit: redis-sentinel.service
    owner: redis
"""

RETURN = r"""
master:
  description: Address of the master. Empty where check mode cannot know.
  returned: success
  type: str
actions:
  description: What was done besides writing files, in order.
  returned: success
  type: list
  elements: str
"""

import os
from pathlib import Path
from typing import Any, Dict, List

from ansible_collections.onprem.dify.plugins.module_utils import configure, files, redis_server, units
from ansible_collections.onprem.dify.plugins.module_utils.quiet_module import QuietModule
from ansible_collections.onprem.dify.plugins.module_utils.redis_host import (
    HOST_OPTIONS,
    LOGIN_OPTIONS,
    TROUBLE,
    UNIT_OPTIONS,
    Service,
    ask,
    newest,
    sentinel_master,
    sentinel_replicas,
    wait_until,
)
from ansible_collections.onprem.dify.plugins.module_utils.redis_protocol import Connection, Tls

SPEC: Dict[str, Any] = {
    **UNIT_OPTIONS,
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 26379},
    "master": {"type": "str", "required": True},
    "servers": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": HOST_OPTIONS,
    },
    "servers_port": {"type": "int", "default": 6379},
    "voters": {"type": "int", "required": True},
    "check": {"type": "dict", "required": True, "options": LOGIN_OPTIONS},
    "login": {"type": "dict", "required": True, "options": LOGIN_OPTIONS},
    "state_file": {"type": "path", "required": True},
    "seconds": {"type": "int", "default": 120},
}


class Sentinel:
    def __init__(self, module: QuietModule) -> None:
        self.module = module
        self.wish = module.params
        self.tls = Tls(**self.wish["tls"])
        self.service = Service(module, self.wish["unit"])
        self.quorum = self.wish["voters"] // 2 + 1
        self.actions: List[str] = []
        self.diff: List[Dict[str, str]] = []
        self.master = ""

    def run(self) -> Dict[str, Any]:
        seeded = self._seed()
        unit = self.service.look()
        evidence = [*self.wish["unit_files"], self.tls.certificate, self.tls.authorities]
        if not unit.running or seeded or unit.stale(newest(evidence)):
            self._bring("restart" if unit.running else "start")
        if not (self.module.check_mode and self.actions):
            wait_until(self._trouble, self.wish["seconds"], "the Sentinel is not content")
        return {
            "changed": bool(seeded or self.actions),
            "diff": self.diff,
            "actions": self.actions,
            "master": self.master,
        }

    def _seed(self) -> bool:
        state = Path(self.wish["state_file"])
        if state.exists():
            return False
        master = self._master_of_servers()
        if not master and not self.module.check_mode:
            raise redis_server.ServerError("no server says that it is the master: bring the servers up first")
        line = f"sentinel monitor {self.wish['master']} {master} {self.wish['servers_port']} {self.quorum}\n"
        owned = {"owner": self.wish["owner"], "group": self.wish["owner"], "mode": "0640"}
        wishes = configure.parse_files([], [{"path": str(state), "content": line, **owned}])
        self.diff += configure.Configure(self.module, wishes, []).run().diff
        return True

    def _master_of_servers(self) -> str:
        check = self.wish["check"]
        peers = ask(self.wish["servers"], self.wish["servers_port"], self.tls, check["user"], check["password"])
        masters = [peer for peer in peers if peer.role == "master"]
        if len(masters) > 1:
            raise redis_server.ServerError(
                f"{' and '.join(peer.name for peer in masters)} both say that they are the master"
            )
        return masters[0].address if masters else ""

    def _bring(self, action: str) -> None:
        self.actions.append(action)
        if not self.module.check_mode:
            self.service.bring(action)

    def _trouble(self) -> str:
        with Connection.over_tls(self.wish["address"], self.wish["port"], self.tls) as connection:
            connection.login(self.wish["login"]["user"], self.wish["login"]["password"])
            master = sentinel_master(connection, self.wish["master"])
            replicas = sentinel_replicas(connection, self.wish["master"])
            self.master = master["ip"]
            if int(master["quorum"]) != self.quorum:
                self._set_quorum(connection)
        return redis_server.sentinel_trouble(master, replicas, len(self.wish["servers"]), self.wish["voters"])

    def _set_quorum(self, connection: Connection) -> None:
        action = f"quorum {self.quorum}"
        if action not in self.actions:
            self.actions.append(action)
        if not self.module.check_mode:
            connection.call("SENTINEL", "SET", self.wish["master"], "quorum", self.quorum)


def main() -> None:
    module = QuietModule(argument_spec=SPEC, supports_check_mode=True)
    # A new file is not readable by others before its mode is set.
    os.umask(0o077)
    module.run_command_environ_update = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    try:
        result = Sentinel(module).run()
    except (redis_server.ServerError, configure.ConfigureError, files.FileError, units.UnitError) as error:
        module.fail_json(msg=f"Sentinel on {module.params['address']}: {error}")
    except TROUBLE as error:
        module.fail_json(msg=f"Sentinel on {module.params['address']}: {error}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
