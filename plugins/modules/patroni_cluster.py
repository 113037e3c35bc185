#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until a member of Patroni's cluster is healthy, and keep the cluster's own settings as wished."""

from __future__ import annotations

DOCUMENTATION = r"""
module: patroni_cluster
short_description: Wait until a member is healthy, and keep the settings of the cluster as wished
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Waits until PostgreSQL of this host leads or follows.
  - On the leader, makes the settings that the cluster keeps in etcd equal to the wished ones. On other members it
    changes nothing, so that one task runs on all hosts of a cluster.
  - Settings that only a start of PostgreSQL takes in are taken in by restarting the standbys, one after the other, and
    the leader at last if O(restart_leader) allows it. Restarts that an earlier run left undone are done as well.
options:
  name:
    description: Name of this member.
    type: str
    required: true
  members:
    description: Address of every member.
    type: dict
    required: true
  settings:
    description:
      - All settings of the cluster.
      - What the cluster has besides them is removed, except for what people set at run time.
    type: dict
    required: true
  restart_leader:
    description: Whether the leader may be restarted, which interrupts its clients for some seconds.
    type: bool
    default: false
  username:
    description: User of the REST interface.
    type: str
    required: true
  password:
    description: Password of the REST interface.
    type: str
    required: true
  certificates:
    description: Directory with C(ca.crt), C(tls.crt) and C(tls.key).
    type: path
    required: true
  patience:
    description: Seconds until a member must be healthy. A new standby copies all data within this time.
    type: int
    default: 600
attributes:
  check_mode:
    description: Can run in check mode and predict what would change.
    support: full
  diff_mode:
    description: Returns the settings before and after.
    support: full
"""

EXAMPLES = r"""
- name: Wait until PostgreSQL is healthy, and set what the cluster decides together
  onprem.dify.patroni_cluster:
    name: "{{ inventory_hostname }}"
    members: {db1: 10.0.3.11, db2: 10.0.3.12}
    settings: {ttl: 20, loop_wait: 5, retry_timeout: 5, synchronous_mode: true}
    username: patroni
    password: "{{ site_secrets.patroni_rest }}"
    certificates: /etc/onprem-dify/pki/postgresql
"""

RETURN = r"""
leader:
  description: Whether this host leads.
  returned: success
  type: bool
restarted:
  description: Members whose PostgreSQL was, or would be, restarted.
  returned: success
  type: list
  elements: str
pending:
  description: Members that still need a restart.
  returned: success
  type: list
  elements: str
"""

import time
from typing import Any, Callable, Dict, List, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import patroni
from ansible_collections.onprem.dify.plugins.module_utils.patroni_api import Api, ApiError

SPEC = {
    "name": {"type": "str", "required": True},
    "members": {"type": "dict", "required": True},
    "settings": {"type": "dict", "required": True},
    "restart_leader": {"type": "bool", "default": False},
    "username": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "certificates": {"type": "path", "required": True},
    "patience": {"type": "int", "default": 600},
}

# Answers that are over soon: Patroni knows a password that was just replaced from its next round on, and the first
# leader writes the settings of the cluster to etcd only after it has begun to lead.
PASSING = (401, 502)
SECONDS = 60


class Cluster:
    def __init__(self, module: AnsibleModule) -> None:
        params = module.params
        self._module = module
        self._names: List[str] = sorted(params["members"])
        self._name = params["name"]
        self._api = Api(
            params["members"], params["certificates"], username=params["username"], password=params["password"]
        )

    def run(self) -> Dict[str, Any]:
        own = self._ready(self._name)
        if not own.leads:
            return {"changed": False, "leader": False, "restarted": [], "pending": []}
        found = self._ask(self._name, "GET", "/config")
        change = patroni.patch(found, self._module.params["settings"])
        if change and not self._module.check_mode:
            self._ask(self._name, "PATCH", "/config", change)
            self._taken_in(int(self._module.params["settings"].get("loop_wait", 10)))
        restarted, pending = self._restart()
        return {
            "changed": bool(change or restarted),
            "leader": True,
            "restarted": restarted,
            "pending": pending,
            "diff": patroni.diff(found, change),
        }

    def _ready(self, name: str) -> patroni.Member:
        """The member, once it leads or follows."""
        patience = 0 if self._module.check_mode else self._module.params["patience"]
        member = self._api.member(name)
        deadline = time.monotonic() + patience
        while not member.ready and time.monotonic() < deadline:
            time.sleep(1)
            member = self._api.member(name)
        if not member.ready:
            raise ApiError(f"PostgreSQL is not healthy after {patience} s: {member}. See: journalctl --unit=patroni")
        return member

    def _taken_in(self, loop_wait: int) -> None:
        """Wait until each member that answers has read the settings and said whether it needs a restart."""
        changed_at = int(time.time())
        _wait(
            lambda: all(member.seen_at > changed_at for member in self._members() if member.state),
            2 * loop_wait + 5,
        )
        # It reads them at the end of the round, and asks PostgreSQL a second later what it makes of them.
        time.sleep(3)

    def _restart(self) -> Tuple[List[str], List[str]]:
        """Who was restarted, and who still has to be."""
        todo = patroni.restarts(self._members(), self._module.params["restart_leader"])
        restarted = [member.name for member in todo]
        if self._module.check_mode:
            return restarted, []
        self._restart_each(todo)
        if any(member.leads for member in todo):
            late = patroni.restarts_after_leader(self._members())
            self._restart_each(late)
            restarted += [member.name for member in late]
        return restarted, [member.name for member in self._members() if member.pending_restart]

    def _restart_each(self, members: List[patroni.Member]) -> None:
        for member in members:
            self._ask(member.name, "POST", "/restart", {})
            self._ready(member.name)

    def _ask(self, name: str, method: str, path: str, body: Any = None) -> Any:
        deadline = time.monotonic() + (0 if self._module.check_mode else SECONDS)
        while True:
            try:
                return self._api.call(name, path, method, body, timeout=300)
            except ApiError as error:
                if error.status not in PASSING or time.monotonic() >= deadline:
                    raise
            time.sleep(1)

    def _members(self) -> List[patroni.Member]:
        return [self._api.member(name) for name in self._names]


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.5)


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    problem = patroni.timing_problem(module.params["settings"])
    if problem:
        module.fail_json(msg=problem)
    try:
        outcome = Cluster(module).run()
    except ApiError as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        # Before the first real run nobody answers: the cluster then begins with the wished settings.
        outcome = {"changed": False, "leader": False, "restarted": [], "pending": []}
    if outcome["pending"]:
        module.warn(
            f"PostgreSQL of {', '.join(outcome['pending'])} needs a restart for its new settings. Run again with"
            " postgresql_restart_leader=true at a quiet hour: clients are interrupted for some seconds."
        )
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
