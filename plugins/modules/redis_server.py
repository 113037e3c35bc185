#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Redis or Valkey server: its users, its settings and its place in the replication."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_server
short_description: Keep a Redis or Valkey server as wished while it serves
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Decides once, before the first start, whether the server is the master. A master that exists anywhere wins. After
    that the replication belongs to Sentinel and is never touched.
  - Users and settings are changed in the running server. Where that cannot be, it is restarted. A master with replicas
    first hands over to one of them. Run hosts one at a time with C(throttle).
  - A password that is replaced stays valid beside the new one until O(retire).
  - A new certificate is taken in without a restart.
  - An administrator for the host itself is made, with a password that never leaves the host, in C(admin.password)
    beside the settings.
  - Refuses to start on data that it did not write, and to make an empty server the master of one with data.
extends_documentation_fragment: [onprem.dify.redis]
options:
  name:
    description: Name of the host.
    type: str
    required: true
  address:
    description: Address on which the other servers and the endpoint reach this one.
    type: str
    required: true
  port:
    description: Port of all servers.
    type: int
    default: 6379
  peers:
    description: The other servers.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the host.
        type: str
        required: true
      address:
        description: Address of the host.
        type: str
        required: true
  first_master:
    description: Name of the host that is the master of a new site although others do not answer. Empty otherwise.
    type: str
    default: ""
  settings:
    description:
      - Settings as in the configuration file. A list is a value of several words.
      - Values must read as C(CONFIG GET) gives them back, such as bytes for sizes.
    type: dict
    required: true
  replication:
    description: With which of O(users) a replica logs in at its master.
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
  users:
    description: Users besides the administrator. Others are deleted.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the user.
        type: str
        required: true
      password:
        description: Password of the user.
        type: str
        required: true
      rules:
        description: What the user may do, as in an ACL.
        type: str
        required: true
  retire:
    description: Whether the passwords of before stop being valid.
    type: bool
    default: false
  users_only:
    description:
      - Whether nothing but the users of a server that runs already is changed.
      - Run on all hosts first, so that no server meets another one that does not know its new password yet.
    type: bool
    default: false
  check_user:
    description: The user of O(users) with which the other servers are asked what they are.
    type: str
    default: check
  sentinel:
    description: How to reach the Sentinel of the host that hands over before a restart. Left out where there is none.
    type: dict
    suboptions:
      port:
        description: Port of the Sentinel.
        type: int
        default: 26379
      user:
        description: User of the Sentinel.
        type: str
        required: true
      password:
        description: Password of that user.
        type: str
        required: true
      master:
        description: Name under which Sentinel knows the servers.
        type: str
        required: true
  directory:
    description: Directory of the settings. The server reads C(redis.conf) and C(users.acl) there.
    type: path
    default: /etc/onprem-dify/redis
  data:
    description: Directory of the data. The server keeps its place in the replication in C(role.conf) there.
    type: path
    required: true
  socket:
    description: Socket for the administrator of the host.
    type: path
    required: true
  seconds:
    description: How long the server may take to load its data or to catch up with the master.
    type: int
    default: 300
attributes:
  check_mode:
    description: Predicts the change, also before the packages are installed.
    support: full
  diff_mode:
    description: Shows settings, users and files, never a password or its hash.
    support: full
"""

EXAMPLES = r"""
- name: Keep the server as wished
  onprem.dify.redis_server:
    name: db1
    address: 10.20.3.11
    peers: [{name: db2, address: 10.20.3.12}]
    settings: {maxmemory: 536870912, maxmemory-policy: noeviction}
    replication: {user: replication, password: "{{ site_secrets.redis_replication }}"}
    users:
      - {name: check, password: "{{ site_secrets.redis_check }}", rules: "+ping +info"}
      - {name: replication, password: "{{ site_secrets.redis_replication }}", rules: "+psync +replconf +ping"}
    tls:
      certificate: /etc/onprem-dify/pki/redis/tls.crt
      key: /etc/onprem-dify/pki/redis/tls.key
      authorities: /etc/onprem-dify/pki/redis/ca.crt
    data: /var/lib/redis
    socket: /run/redis/admin.sock
    unit: redis-server.service
    owner: redis
  throttle: 1
"""

RETURN = r"""
role:
  description: What the server is, V(master) or V(slave). Empty where check mode cannot know.
  returned: success
  type: str
actions:
  description: What was done besides writing files, in order.
  returned: success
  type: list
  elements: str
"""

import os
import secrets
from pathlib import Path
from typing import Any, Dict, List, Optional

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
    replication,
    serves_newest_certificate,
    wait_until,
)
from ansible_collections.onprem.dify.plugins.module_utils.redis_protocol import Connection, RedisError, Tls, pairs

# An empty snapshot is smaller: what the package leaves when it starts the server before it is configured.
EMPTY_SNAPSHOT = 1024
HAND_OVER_SECONDS = 60

SPEC: Dict[str, Any] = {
    **UNIT_OPTIONS,
    "name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 6379},
    "peers": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": HOST_OPTIONS,
    },
    "first_master": {"type": "str", "default": ""},
    "settings": {"type": "dict", "required": True},
    "replication": {"type": "dict", "required": True, "options": LOGIN_OPTIONS},
    "users": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "rules": {"type": "str", "required": True},
        },
    },
    "retire": {"type": "bool", "default": False},
    "users_only": {"type": "bool", "default": False},
    "check_user": {"type": "str", "default": "check"},
    "sentinel": {
        "type": "dict",
        "options": {
            **LOGIN_OPTIONS,
            "port": {"type": "int", "default": 26379},
            "master": {"type": "str", "required": True},
        },
    },
    "directory": {"type": "path", "default": "/etc/onprem-dify/redis"},
    "data": {"type": "path", "required": True},
    "socket": {"type": "path", "required": True},
    "seconds": {"type": "int", "default": 300},
}


class Server:
    def __init__(self, module: QuietModule) -> None:
        self.module = module
        self.wish = module.params
        login = {"masteruser": self.wish["replication"]["user"], "masterauth": self.wish["replication"]["password"]}
        self.settings = {**self.wish["settings"], **login}
        self.tls = Tls(**self.wish["tls"])
        self.service = Service(module, self.wish["unit"])
        self.directory, self.data = Path(self.wish["directory"]), Path(self.wish["data"])
        self.admin_file = self.directory / "admin.password"
        self.users_file = self.directory / "users.acl"
        self.role_file = self.data / "role.conf"
        # For the server, which runs as its own user.
        self._readable = {"group": self.wish["owner"], "mode": "0640", "no_diff": True}
        self.actions: List[str] = []
        self.diff: List[Dict[str, str]] = []

    def run(self) -> Dict[str, Any]:
        known = redis_server.parse_users(_text(self.users_file))
        admin = _text(self.admin_file).strip() or secrets.token_urlsafe(32)
        users = redis_server.wished_users(self.wish["users"], admin, known, self.wish["retire"])
        role = None if self.wish["users_only"] else self._seed()
        unit = self.service.look()
        session = self._login(admin) if unit.running else None
        if session:
            # The file is written afterwards: as long as it differs, the next run does this again.
            self._do_all(session, redis_server.user_commands(users, known))
        if self.wish["users_only"]:
            return self._result(bool(session) and self._write_users(known, users), {})
        written = self._write(admin, role)
        written |= self._write_users(known, users)
        if session:
            restart = self._apply(session) or unit.stale(newest(self.wish["unit_files"]))
            if not restart:
                self._renew()
            found = replication(session)
            session.close()
            if restart:
                self._restart(found, admin)
        else:
            self._start(unit, admin)
            found = {} if self.module.check_mode else self._replication(admin)
        return self._result(written, found)

    def _result(self, written: bool, found: Dict[str, str]) -> Dict[str, Any]:
        return {
            "changed": written or bool(self.actions),
            "diff": self.diff,
            "actions": self.actions,
            "role": found.get("role", ""),
        }

    def _seed(self) -> Optional[str]:
        """The content of the file with the role, where there is none yet."""
        if self.role_file.exists():
            return None
        snapshot = self.data / "dump.rdb"
        if (self.data / "appendonlydir").exists() or (snapshot.exists() and snapshot.stat().st_size > EMPTY_SNAPSHOT):
            raise redis_server.ServerError(
                f"{self.data} holds data that was not written by this server. Move it away or bring it in as"
                " docs/redis.md says; nothing was changed"
            )
        password = next(user["password"] for user in self.wish["users"] if user["name"] == self.wish["check_user"])
        peers = ask(self.wish["peers"], self.wish["port"], self.tls, self.wish["check_user"], password)
        everyone = sorted([(self.wish["name"], self.wish["address"]), *((p.name, p.address) for p in peers)])
        master = redis_server.seed(
            self.wish["name"], self.wish["address"], everyone[0], peers, self.wish["first_master"]
        )
        self.actions.append(f"begins as a replica of {master}" if master else "begins as the master")
        return f"replicaof {master} {self.wish['port']}\n" if master else ""

    def _write(self, admin: str, role: Optional[str]) -> bool:
        settings = redis_server.settings_file(self.settings)
        entries: List[Dict[str, Any]] = [
            {"path": str(self.admin_file), "content": f"{admin}\n", "mode": "0600", "no_diff": True},
            {"path": str(self.directory / "redis.conf"), "content": settings, **self._readable},
        ]
        if role is not None:
            owned = {"owner": self.wish["owner"], "group": self.wish["owner"], "mode": "0640"}
            entries.append({"path": str(self.role_file), "content": role, **owned})
        return self._write_files(entries)

    def _write_users(self, known: Dict[str, redis_server.User], users: Dict[str, redis_server.User]) -> bool:
        content = redis_server.users_text(users)
        written = self._write_files([{"path": str(self.users_file), "content": content, **self._readable}])
        before, after = redis_server.shown_users(known), redis_server.shown_users(users)
        if before != after:
            self.diff.append({"before_header": "users", "before": before, "after_header": "users", "after": after})
        return written

    def _write_files(self, entries: List[Dict[str, Any]]) -> bool:
        wishes = configure.parse_files([], [{"owner": "root", "group": "root", **entry} for entry in entries])
        outcome = configure.Configure(self.module, wishes, []).run()
        self.diff += outcome.diff
        return outcome.changed

    def _login(self, admin: str) -> Optional[Connection]:
        """The running server; None where it does not know the administrator, as before it is configured."""
        try:
            return Connection.local(self.wish["socket"]).login(redis_server.ADMIN, admin)
        except TROUBLE:
            return None

    def _do_all(self, session: Connection, commands: List[List[str]]) -> None:
        for command in commands:
            self.actions.append(" ".join(command[:3]))
            if not self.module.check_mode:
                session.call(*command)

    def _apply(self, session: Connection) -> bool:
        """Set what differs; whether a restart is needed for the rest."""
        running = {str(name): str(value) for name, value in pairs(session.call("CONFIG", "GET", "*")).items()}
        restart = False
        for difference in redis_server.differences(self.settings, running):
            before, after = difference.sides()
            self.diff.append({"before_header": "running", "before": before, "after_header": "running", "after": after})
            self.actions.append(f"CONFIG SET {difference.name}")
            if self.module.check_mode:
                continue
            try:
                session.call("CONFIG", "SET", difference.name, difference.wanted)
            except RedisError as error:
                if "immutable" not in str(error):
                    raise redis_server.ServerError(f"{difference.name}: {error}") from error
                restart = True
        return restart

    def _renew(self) -> None:
        if serves_newest_certificate(self.wish["address"], self.wish["port"], self.tls):
            return
        self.actions.append("took in the new certificate")
        if not self.module.check_mode:
            self.service.bring("reload")

    def _start(self, unit: units.Unit, admin: str) -> None:
        action = "restart" if unit.running else "start"
        self.actions.append(action)
        if not self.module.check_mode:
            self.service.bring(action)
            self._wait_for_login(admin)

    def _restart(self, found: Dict[str, str], admin: str) -> None:
        if self.wish["sentinel"] and found["role"] == "master" and int(found["connected_slaves"]):
            self._hand_over(admin)
        self.actions.append("restart")
        if self.module.check_mode:
            return
        self.service.bring("restart")
        self._wait_for_login(admin)
        # The next host is restarted after this one: by then it has to be as good as before.
        wait_until(lambda: self._behind(admin), self.wish["seconds"], "not in step with the master")

    def _hand_over(self, admin: str) -> None:
        if self.module.check_mode:
            self.actions.append("handed over to a replica")
            return
        try:
            self._sentinel().close()
        except RedisError:
            # Its password changes in this very run, after the servers'. Better a short pause than to be stuck.
            self.actions.append("not handed over: Sentinel still has the password of before")
            return
        self.actions.append("handed over to a replica")
        wait_until(lambda: self._still_master(admin), HAND_OVER_SECONDS, "the master was not handed over")

    def _sentinel(self) -> Connection:
        sentinel = self.wish["sentinel"]
        connection = Connection.over_tls(self.wish["address"], sentinel["port"], self.tls)
        return connection.login(sentinel["user"], sentinel["password"])

    def _still_master(self, admin: str) -> str:
        """Asks again until it happens: a Sentinel that was busy gives up by itself, and refuses while it is at it."""
        if self._replication(admin)["role"] == "slave":
            return ""
        name = self.wish["sentinel"]["master"]
        with self._sentinel() as connection:
            if connection.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)[0] == self.wish["address"]:
                connection.call("SENTINEL", "FAILOVER", name)
        return "it still is the master"

    def _wait_for_login(self, admin: str) -> None:
        def trouble() -> str:
            with Connection.local(self.wish["socket"]).login(redis_server.ADMIN, admin) as session:
                return "" if session.call("PING") == "PONG" else "no answer"

        try:
            wait_until(trouble, self.wish["seconds"], "the server does not answer")
        except redis_server.ServerError as error:
            raise redis_server.ServerError(f"{error}\n{self.service.last_words()}") from error

    def _replication(self, admin: str) -> Dict[str, str]:
        with Connection.local(self.wish["socket"]).login(redis_server.ADMIN, admin) as session:
            return replication(session)

    def _behind(self, admin: str) -> str:
        found = self._replication(admin)
        return "" if found["role"] == "master" or found.get("master_link_status") == "up" else "the link is down"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main() -> None:
    module = QuietModule(argument_spec=SPEC, supports_check_mode=True)
    # A new file is not readable by others before its mode is set.
    os.umask(0o077)
    module.run_command_environ_update = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    try:
        result = Server(module).run()
    except (redis_server.ServerError, configure.ConfigureError, files.FileError, units.UnitError) as error:
        module.fail_json(msg=f"{module.params['name']}: {error}")
    except TROUBLE as error:
        module.fail_json(msg=f"{module.params['name']}: the server failed while it was changed: {error}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
