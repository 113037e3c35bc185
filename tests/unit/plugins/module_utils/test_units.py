# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import units
from ansible_collections.onprem.dify.plugins.module_utils.units import Unit, UnitError, Wish, parse_timestamp

STARTED = "Mon 2026-11-23 10:00:00.500000 UTC"
RELOADED = "Mon 2026-11-23 11:00:00.000000 UTC"
BEFORE = parse_timestamp("Mon 2026-11-23 10:00:00.400000 UTC")
BETWEEN = parse_timestamp("Mon 2026-11-23 10:30:00 UTC")
AFTER = parse_timestamp("Mon 2026-11-23 12:00:00 UTC")

RUNNING = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "NeedDaemonReload": "no",
    "Type": "notify",
    "Result": "success",
    "ConditionResult": "yes",
    "ActiveEnterTimestamp": STARTED,
    "StateChangeTimestamp": RELOADED,
}
STOPPED = {**RUNNING, "ActiveState": "inactive", "SubState": "dead"}
ABSENT = {"LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead", "ConditionResult": "no"}
MASKED = {**STOPPED, "LoadState": "masked", "UnitFileState": "masked"}
JOB = {**STOPPED, "Type": "oneshot", "UnitFileState": "static"}
KEEP = Wish("a.service", enabled=True, state="started", on_change="restart")


def actions(wish, properties, newest=BEFORE, changed=False):
    return [step.action for step in units.plan([Unit(wish, properties)], newest, changed)]


def test_a_unit_as_wished_is_left_alone():
    assert actions(KEEP, RUNNING) == []


def test_a_changed_file_restarts():
    assert actions(KEEP, RUNNING, changed=True) == ["restart"]


def test_a_file_written_by_a_killed_run_restarts():
    assert actions(KEEP, RUNNING, newest=BETWEEN) == ["restart"]
    assert actions(KEEP, RUNNING, newest=AFTER) == ["restart"]


def test_a_reload_counts_only_for_units_that_take_in_their_files_by_it():
    wish = Wish("a.service", on_change="reload")
    assert actions(wish, RUNNING, newest=BETWEEN) == []
    assert actions(wish, RUNNING, newest=AFTER) == ["reload"]


def test_a_stopped_unit_is_started_and_not_restarted_as_well():
    assert actions(KEEP, STOPPED, changed=True) == ["start"]


def test_a_stopped_unit_that_may_stay_stopped_reads_its_files_when_it_starts():
    assert actions(Wish("a.service", on_change="restart"), STOPPED, changed=True) == []


def test_a_unit_that_crashes_in_a_loop_does_not_run():
    assert actions(KEEP, {**RUNNING, "ActiveState": "activating", "SubState": "auto-restart"}) == ["start"]


@pytest.mark.parametrize("state", ["disabled", "linked", "enabled-runtime"])
def test_enabling(state):
    assert actions(KEEP, {**RUNNING, "UnitFileState": state}) == ["enable"]


@pytest.mark.parametrize("state", ["static", "indirect", "generated", "alias", "transient", ""])
def test_a_unit_without_a_switch_is_enabled_enough(state):
    assert actions(KEEP, {**RUNNING, "UnitFileState": state}) == []


def test_disabling():
    wish = Wish("a.service", enabled=False)
    assert actions(wish, RUNNING) == ["disable"]
    assert actions(wish, {**RUNNING, "UnitFileState": "disabled"}) == []
    assert actions(wish, ABSENT) == []


def test_masking_stops():
    wish = Wish("a.service", state="masked")
    assert actions(wish, RUNNING) == ["mask", "stop"]
    assert actions(wish, STOPPED) == ["mask"]
    assert actions(wish, MASKED) == []
    assert actions(wish, ABSENT) == []


def test_stopping_a_unit_that_is_not_there():
    assert actions(Wish("a.service", state="stopped"), RUNNING) == ["stop"]
    assert actions(Wish("a.service", state="stopped", on_change="restart"), ABSENT, changed=True) == []


def test_a_masked_unit_that_is_to_run():
    assert actions(KEEP, MASKED) == ["unmask", "enable", "start"]


def test_a_unit_whose_package_is_not_installed_is_predicted_and_named():
    assert actions(KEEP, ABSENT) == ["enable", "start"]
    assert units.missing([Unit(KEEP, ABSENT), Unit(Wish("b.service", state="masked"), ABSENT)]) == ["a.service"]


def test_a_job_runs_once_and_again_after_a_change():
    wish = Wish("job.service", state="started", on_change="restart")
    never = {**JOB, "StateChangeTimestamp": ""}
    assert actions(wish, never) == ["start"]
    assert actions(wish, JOB) == []
    assert actions(wish, JOB, newest=AFTER) == ["restart"]
    assert actions(wish, {**JOB, "Result": "exit-code", "ActiveState": "failed"}) == ["start"]


def test_a_job_that_its_condition_keeps_from_running_is_not_asked_twice():
    wish = Wish("systemd-sysctl.service", on_change="restart")
    declined = {**JOB, "ConditionResult": "no", "ConditionTimestamp": RELOADED, "StateChangeTimestamp": ""}
    assert actions(wish, declined, newest=BETWEEN) == []
    assert actions(wish, declined, newest=AFTER) == ["restart"]


def test_common_steps_come_first_and_the_rest_in_the_order_of_the_units():
    wishes = [
        Unit(Wish("b.service", enabled=True, state="started"), {**STOPPED, "UnitFileState": "disabled"}),
        Unit(Wish("a.service", on_change="restart"), RUNNING),
        Unit(Wish("c.service", state="masked"), RUNNING),
    ]
    assert [f"{step.action} {step.name}" for step in units.plan(wishes, BEFORE, True)] == [
        "mask c.service",
        "stop c.service",
        "enable b.service",
        "start b.service",
        "restart a.service",
    ]


def test_problems_are_named():
    assert units.problem(Unit(KEEP, RUNNING), BEFORE) == ""
    assert "a.service is failed (exit-code)" in units.problem(
        Unit(KEEP, {**STOPPED, "ActiveState": "failed", "Result": "exit-code"}), BEFORE
    )
    declined = {**STOPPED, "ConditionResult": "no", "ConditionTimestamp": STARTED}
    assert "a condition of the unit is not met" in units.problem(Unit(KEEP, declined), BEFORE)
    useless = Wish("a.service", on_change="restart", command=("true",))
    assert "has not taken in its files" in units.problem(Unit(useless, RUNNING), AFTER)


def test_parsing():
    shown = "Id=a.service\nActiveState=active\nStateChangeTimestamp=n/a\n\nId=b.service\nLoadState=not-found\n"
    first, second = units.parse_show(shown, [Wish("a.service"), Wish("b.service")])
    assert first["ActiveState"] == "active"
    assert first.changed_at == 0
    assert not second.exists
    with pytest.raises(UnitError):
        units.parse_show(shown, [Wish("a.service")])


def test_timestamps():
    assert parse_timestamp("Thu 1970-01-01 00:00:01.000002 UTC") == 1_000_002
    assert parse_timestamp("Thu 1970-01-01 00:00:01 UTC") == 1_000_000
    assert parse_timestamp("") == 0
