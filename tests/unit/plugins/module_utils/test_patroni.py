"""Settings of a cluster of Patroni, and who is restarted for them."""

from __future__ import annotations

from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils import patroni
from ansible_collections.onprem.dify.plugins.module_utils.patroni import Member

FOUND: dict[str, Any] = {
    "ttl": 20,
    "postgresql": {"use_slots": True, "parameters": {"max_connections": 100, "work_mem": "4MB"}},
    "pause": True,
}


def wanted(**parameters: Any) -> dict[str, Any]:
    return {"ttl": "20", "postgresql": {"use_slots": True, "parameters": parameters}}


def test_equal_settings_need_no_patch() -> None:
    assert patroni.patch(FOUND, wanted(max_connections="100", work_mem="4MB")) == {}


def test_a_patch_says_only_what_differs_and_removes_what_nobody_wishes() -> None:
    change = patroni.patch(FOUND, wanted(max_connections=200))
    assert change == {"postgresql": {"parameters": {"max_connections": 200, "work_mem": None}}}
    after = patroni.patched(FOUND, change)
    assert after["postgresql"]["parameters"] == {"max_connections": 200}
    assert patroni.patch(after, wanted(max_connections=200)) == {}


def test_what_people_do_at_run_time_stays() -> None:
    assert patroni.patched(FOUND, patroni.patch(FOUND, {}))["pause"] is True


def test_lists_and_new_groups_are_taken_whole() -> None:
    assert patroni.patch({}, {"postgresql": {"parameters": {}}}) == {"postgresql": {"parameters": {}}}
    assert patroni.patch({"a": [1]}, {"a": [1]}) == {}


def test_the_diff_shows_before_and_after() -> None:
    shown = patroni.diff({"ttl": 30}, {"ttl": 20})
    assert ('"ttl": 30' in shown["before"], '"ttl": 20' in shown["after"]) == (True, True)


def test_a_lease_shorter_than_its_renewal_is_refused() -> None:
    assert patroni.timing_problem({"ttl": 20, "loop_wait": 5, "retry_timeout": 5}) == ""
    assert patroni.timing_problem({"ttl": 20, "loop_wait": 10, "retry_timeout": 10}) == (
        "ttl is 20, wanted at least loop_wait + 2 * retry_timeout = 30"
    )


def status(role: str, **more: Any) -> dict[str, Any]:
    return {"state": "running", "role": role, "dcs_last_seen": 5, **more}


def test_a_member_is_healthy_when_it_leads_or_streams() -> None:
    assert patroni.parse_member("db1", status("primary")).ready
    assert patroni.parse_member("db2", status("replica", replication_state="streaming")).ready
    assert not patroni.parse_member("db2", status("replica", replication_state="in archive recovery")).ready
    assert not patroni.parse_member("db2", {"state": "starting", "role": "replica"}).ready
    assert str(Member("db1")) == "db1: does not answer"


def lowered(role: str, old: str, new: str, name: str = "max_connections") -> Member:
    reason = {name: {"old_value": old, "new_value": new}}
    return patroni.parse_member("db", status(role, pending_restart=True, pending_restart_reason=reason))


def test_standbys_are_restarted_before_their_leader() -> None:
    leader, standby = Member("db1", role="primary", pending_restart=True), Member("db2", "", "replica", True, True)
    assert [member.name for member in patroni.restarts([leader, standby, Member("db3")], True)] == ["db2", "db1"]
    assert [member.name for member in patroni.restarts([leader, standby], False)] == ["db2"]


def test_a_lower_limit_reaches_standbys_after_the_leader() -> None:
    assert lowered("replica", "200", "100").waits_for_leader
    assert not lowered("replica", "100", "200").waits_for_leader
    assert not lowered("primary", "200", "100").waits_for_leader
    assert not lowered("replica", "128MB", "64MB", "shared_buffers").waits_for_leader
    standby, leader = lowered("replica", "200", "100"), Member("db1", role="primary", pending_restart=True)
    assert patroni.restarts([standby, leader], True) == [leader]
    assert patroni.restarts([standby, leader], False) == []
    assert patroni.restarts_after_leader([standby, leader]) == [standby]
    # A leader that never took in the higher limit has nothing to give back.
    assert patroni.restarts([standby, Member("db1", role="primary")], False) == [standby]
