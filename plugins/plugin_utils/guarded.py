# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of a change that could lock it out.

The module makes the change with a rollback armed on the host; only a login that is made afterwards confirms it. If that
login does not come, the host puts the old state back by itself, and this plugin waits for that and says so.
"""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.onprem.dify.plugins.module_utils.rollback import BASE

display = Display()

DEFAULT_SECONDS = 60
# Time for the rollback itself, beyond the moment at which it starts.
MARGIN = 30
PAUSE = 3


class GuardedAction(ActionBase):
    """Base of the action plugins whose module takes `state: applied|confirmed` and returns `rollback_armed`."""

    TRANSFERS_FILES = False
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        task_vars = task_vars or {}
        try:
            applied = self._module("applied", task_vars)
        except AnsibleConnectionFailure as error:
            # No answer came: the module may have changed nothing, something or everything.
            return self._give_up(result, f"the connection was lost during the change: {error}", task_vars)
        result.update(applied)
        if applied.get("failed"):
            if applied.get("rollback_armed") or self._pending(task_vars) is not False:
                return self._give_up(result, str(applied.get("msg", "the module failed")), task_vars)
            return result
        if not applied.get("rollback_armed"):
            return result

        self._new_login()
        try:
            confirmed = self._module("confirmed", task_vars)
        except AnsibleConnectionFailure as error:
            return self._give_up(result, f"a fresh login failed: {error}", task_vars)
        if confirmed.get("failed"):
            reason = f"the change could not be confirmed: {confirmed.get('msg', 'no reason given')}"
            return self._give_up(result, reason, task_vars)
        result["rollback_armed"] = False
        return result

    @property
    def _subject(self) -> str:
        """The short name of the module, which is also the name of its rollback."""
        return str(self._task.action).rsplit(".", maxsplit=1)[-1]

    @property
    def _seconds(self) -> int:
        return int(self._task.args.get("rollback_seconds", DEFAULT_SECONDS))

    def _module(self, state: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        arguments = {**self._task.args, "state": state}
        found: dict[str, Any] = self._execute_module(
            module_name=self._task.action, module_args=arguments, task_vars=task_vars
        )
        if found.get("unreachable"):
            raise AnsibleConnectionFailure(str(found.get("msg", "unreachable")))
        return found

    def _new_login(self) -> None:
        """Give up the connection that survives from before the change: it proves nothing."""
        reset = getattr(self._connection, "reset", None)
        if reset is not None:
            reset()

    def _pending(self, task_vars: dict[str, Any]) -> bool | None:
        """Whether the host still holds the rollback; None while it cannot be asked."""
        self._new_login()
        try:
            found = self._execute_module(
                module_name="ansible.builtin.stat",
                module_args={"path": f"{BASE}/{self._subject}/armed", "get_checksum": False, "get_mime": False},
                task_vars=task_vars,
            )
        except AnsibleConnectionFailure:
            return None
        if found.get("failed") or found.get("unreachable"):
            return None
        return bool(found["stat"]["exists"])

    def _wait_for_rollback(self, task_vars: dict[str, Any]) -> bool | None:
        """Wait until the host says that the old state is back; the last answer if the time is over."""
        deadline = time.monotonic() + self._seconds + MARGIN
        while True:
            pending = self._pending(task_vars)
            if pending is False or time.monotonic() >= deadline:
                return pending
            time.sleep(PAUSE)

    def _give_up(self, result: dict[str, Any], reason: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        host = task_vars.get("inventory_hostname", self._play_context.remote_addr)
        display.warning(f"{host}: {self._subject}: {reason}; waiting up to {self._seconds + MARGIN} s for the rollback")
        pending = self._wait_for_rollback(task_vars)
        outcome = {
            False: "the old state is back",
            True: "the rollback has not finished: the host answers, and the old state could not be put back",
            None: "the host does not answer, so it could not be verified that the old state is back",
        }[pending]
        result.update(
            failed=True,
            changed=pending is not False,
            rollback_armed=pending is not False,
            msg=f"host {host}: {self._subject}: {reason}; {outcome}",
        )
        return result
