"""Results of checked controls, collected from the hosts."""

from __future__ import annotations

from ansible_collections.onprem.dify.plugins.filter.control_results import KEPT, control_results


def test_hosts_without_a_result_are_left_out() -> None:
    kept = dict.fromkeys(KEPT, "x")
    result = {**kept, "changed": False}
    hostvars = {"db1": {"checks": result}, "db2": {}, "db3": {"checks": {"unreachable": True, "changed": False}}}
    assert control_results(hostvars, ["db1", "db2", "db3"], "checks") == {"db1": kept}
