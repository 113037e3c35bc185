# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.onprem.dify.plugins.plugin_utils import guarded

LOST = AnsibleConnectionFailure("Connection timed out")
ARMED = {"changed": True, "rollback_armed": True}
PENDING = {"stat": {"exists": True}}
GONE = {"stat": {"exists": False}}


class Action(guarded.GuardedAction):
    """Answers every module call with the next prepared answer."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = []
        self._task = SimpleNamespace(action="onprem.dify.sshd_config", args={"rollback_seconds": "5"})
        self._connection = SimpleNamespace(reset=lambda: self.calls.append("reset"))
        self._play_context = SimpleNamespace(remote_addr="192.0.2.1")

    def _execute_module(self, module_name, module_args, task_vars):
        self.calls.append(module_args.get("state", module_name))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    now = SimpleNamespace(value=0.0)

    def sleep(seconds):
        now.value += seconds

    monkeypatch.setattr(guarded.time, "sleep", sleep)
    monkeypatch.setattr(guarded.time, "monotonic", lambda: now.value)
    monkeypatch.setattr(guarded.display, "warning", lambda *_: None)
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp=None, task_vars=None: {})
    return now


def run(action):
    return action.run(task_vars={"inventory_hostname": "db1"})


def test_nothing_to_confirm():
    action = Action({"changed": False, "rollback_armed": False})
    assert run(action)["changed"] is False
    assert action.calls == ["applied"]


def test_a_change_is_confirmed_over_a_fresh_login():
    action = Action(ARMED, {"changed": False})
    result = run(action)
    assert action.calls == ["applied", "reset", "confirmed"]
    assert result == {"changed": True, "rollback_armed": False}


def test_a_refusal_of_the_module_is_passed_on():
    action = Action({"failed": True, "msg": "operator could not log in"}, GONE)
    assert run(action) == {"failed": True, "msg": "operator could not log in"}


def test_a_lock_out_waits_for_the_old_state(clock):
    action = Action(ARMED, LOST, LOST, PENDING, GONE)
    result = run(action)
    assert result["failed"]
    assert not result["rollback_armed"]
    assert not result["changed"]
    assert "host db1: sshd_config: a fresh login failed: Connection timed out" in result["msg"]
    assert result["msg"].endswith("the old state is back")
    assert clock.value == 2 * guarded.PAUSE


def test_a_host_that_never_answers_again_is_not_called_restored(clock):
    action = Action(ARMED, *[LOST] * 20)
    result = run(action)
    assert result["failed"]
    assert "could not be verified" in result["msg"]
    assert clock.value >= 5 + guarded.MARGIN


def test_a_rollback_that_fails_is_not_called_restored():
    action = Action(ARMED, LOST, *[PENDING] * 20)
    assert "could not be put back" in run(action)["msg"]


def test_a_confirmation_that_is_refused_waits_for_the_old_state():
    action = Action(ARMED, {"failed": True, "msg": "it was rolled back already"}, GONE)
    result = run(action)
    assert "the change could not be confirmed: it was rolled back already" in result["msg"]


def test_a_connection_lost_during_the_change_waits_for_the_old_state():
    action = Action(LOST, PENDING, GONE)
    result = run(action)
    assert "the connection was lost during the change" in result["msg"]
    assert result["msg"].endswith("the old state is back")


def test_a_module_that_crashes_with_its_rollback_armed_waits_for_the_old_state():
    action = Action({"failed": True, "msg": "MODULE FAILURE"}, PENDING, PENDING, GONE)
    result = run(action)
    assert "MODULE FAILURE; the old state is back" in result["msg"]
