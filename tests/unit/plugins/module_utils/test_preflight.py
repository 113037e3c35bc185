"""Waivers and the report of preflight."""

from __future__ import annotations

import datetime
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.preflight import check_hosts
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import Finding, Inventory, one_of

TODAY = datetime.date(2026, 11, 23)
FOUND = [
    Finding("memory", "db2", "its memory", "1 GiB", "4 GiB"),
    Finding("memory", "db1", "its memory", "2 GiB", "4 GiB"),
    Finding("no-hosts", "site", "the inventory", "without hosts", "hosts"),
]


def inventory(*waivers: dict[str, Any]) -> Inventory:
    known = {"preflight_waivers": {"type": "list", "elements": "dict", "default": []}}
    return Inventory({"all": ["db1"]}, {"db1": {"preflight_waivers": list(waivers)}}, known, [], TODAY)


def test_findings_are_sorted_with_the_site_first() -> None:
    report = check_hosts(inventory(), FOUND)
    assert [finding.where for finding in report.findings] == ["site", "db1", "db2"]
    assert report.headline == "Preflight of the hosts: 3 findings"


def test_a_waiver_of_one_host_leaves_the_others() -> None:
    report = check_hosts(inventory({"check": "memory", "hosts": ["db1"], "reason": "A trial"}), FOUND)
    assert [finding.where for finding in report.findings] == ["site", "db2"]
    assert report.waivers == ["waived: memory (db1) because: A trial"]
    assert report.headline == "Preflight of the hosts: 2 findings, 1 waived"


def test_waivers_are_printed_once_for_all_their_hosts() -> None:
    report = check_hosts(inventory({"check": "memory", "reason": "A trial"}), FOUND)
    assert report.waivers == ["waived: memory (db1, db2) because: A trial"]


def test_a_waiver_counts_on_its_last_day_and_not_after_it() -> None:
    for last_day, number in (("2026-11-23", 1), (TODAY, 1), ("2026-11-22", 3)):
        report = check_hosts(inventory({"check": "memory", "reason": "A trial", "expires": last_day}), FOUND)
        assert len(report.findings) == number


def test_a_waiver_without_reason_does_not_count() -> None:
    assert len(check_hosts(inventory({"check": "memory", "reason": " "}), FOUND).findings) == 3


def test_a_bad_waiver_cannot_be_waived() -> None:
    bad = [Finding("waiver-reason", "site", "preflight_waivers[0].reason", "empty", "why")]
    assert not check_hosts(inventory({"check": "waiver-reason", "reason": "No"}), bad).passed


def test_the_nearest_name_is_offered() -> None:
    assert one_of("worker", ["gateway", "workers"]) == "workers"
    assert one_of("xyz", ["gateway", "workers"]) == "one of gateway, workers"
