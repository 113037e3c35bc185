"""Results, waivers and the report of checked controls."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import controls, controls_report
from ansible_collections.onprem.dify.plugins.module_utils.controls_host import NOT_FOUND, Sources
from ansible_collections.onprem.dify.plugins.module_utils.controls_schema import applicability, entry_faults
from ansible_collections.onprem.dify.plugins.module_utils.controls_waivers import parse_waivers

GROUPS = {"all": ["db1", "db2", "gateway1"], "database": ["db1", "db2"]}
ENTRY: dict[str, Any] = {
    "id": "kernel-forwarding",
    "title": "Packets are not forwarded",
    "role": "kernel",
    "variable": "kernel_forwarding",
    "mlps3": "8.1.3.2",
    "check": {"type": "sysctl", "key": "net.ipv4.ip_forward", "value": 0},
}
WAIVER = {"reason": "router of the site", "expires": "2030-01-31", "expired": False}
CATALOGUE = {"collection": "1.2.3", "sha256": "abc"}


class OneFile:
    """A host with a single kernel setting."""

    def __init__(self, forwarding: str) -> None:
        self.forwarding = forwarding

    def read(self, path: str) -> str | None:
        return self.forwarding if path == "/proc/sys/net/ipv4/ip_forward" else None

    def run(self, argv: list[str]) -> tuple[int, str, str]:
        return NOT_FOUND, "", ""


def check(entry: dict[str, Any], forwarding: str = "0", tags: list[str] | None = None) -> dict[str, Any]:
    sources = Sources(OneFile(forwarding), [entry["check"]])  # type: ignore[arg-type]
    [record] = controls.evaluate([entry], tags or [], sources, lambda: "2030-01-01T00:00:00Z")
    return record


def test_a_record_holds_what_an_auditor_asks_for() -> None:
    assert check(ENTRY) == {
        "id": "kernel-forwarding",
        "title": "Packets are not forwarded",
        "role": "kernel",
        "variable": "kernel_forwarding",
        "mlps3": "8.1.3.2",
        "expected": "net.ipv4.ip_forward = 0",
        "found": "0",
        "result": "pass",
        "reason": "",
        "time": "2030-01-01T00:00:00Z",
    }


def test_a_control_that_does_not_apply_says_why() -> None:
    record = check({**ENTRY, "when": ["not_cluster"]}, "1", ["cluster"])
    assert (record["result"], record["reason"]) == ("not-applicable", "not for cluster hosts")
    assert applicability(["debian"], ["redhat"]) == "only for redhat hosts"
    assert applicability(["debian"], ["debian", "not_container"]) == ""


def test_a_waived_control_shows_what_was_found() -> None:
    record = check({**ENTRY, "waiver": WAIVER}, "1")
    assert (record["result"], record["found"]) == ("waived", "1")
    assert record["reason"] == "router of the site (until 2030-01-31)"


def test_an_expired_waiver_is_a_failure() -> None:
    record = check({**ENTRY, "waiver": {**WAIVER, "expired": True}}, "1")
    assert (record["result"], record["reason"]) == ("fail", "the waiver expired on 2030-01-31: router of the site")


def test_a_waiver_does_not_hide_that_a_control_passes() -> None:
    record = check({**ENTRY, "waiver": WAIVER})
    assert (record["result"], record["reason"]) == ("pass", "the waiver is not needed")


@pytest.mark.parametrize(
    ("waiver", "words"),
    [
        ({"control": "no-such", "reason": "r", "expires": "2030-01-31"}, "no control of the catalogue"),
        ({"control": "kernel-forwarding", "expires": "2030-01-31"}, "a reason is missing"),
        ({"control": "kernel-forwarding", "reason": " ", "expires": "2030-01-31"}, "a reason is missing"),
        ({"control": "kernel-forwarding", "reason": "r"}, "expires is missing"),
        ({"control": "kernel-forwarding", "reason": "r", "expires": "31.1.2030"}, "wanted a date"),
        ({"control": "kernel-forwarding", "reason": "r", "expires": "2030-02-31"}, "wanted a date"),
        ({"control": "kernel-forwarding", "reason": "r", "expires": "2030-01-31", "hosts": "db9"}, "matches no host"),
        ({"control": "kernel-forwarding", "reason": "r", "expires": "2030-01-31", "host": "db1"}, "unknown field host"),
        ("kernel-forwarding", "no control of the catalogue"),
    ],
    ids=str,
)
def test_a_waiver_without_what_an_auditor_needs_is_refused(waiver: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_waivers([waiver], ["kernel-forwarding"], GROUPS)


@pytest.mark.parametrize(
    ("hosts", "covered"),
    [
        (None, {"db1", "db2", "gateway1"}),
        ("all", {"db1", "db2", "gateway1"}),
        ("database", {"db1", "db2"}),
        ("db*", {"db1", "db2"}),
        ("db1,gateway1", {"db1", "gateway1"}),
        (["db2", "gateway1"], {"db2", "gateway1"}),
    ],
)
def test_a_waiver_holds_for_the_hosts_it_names(hosts: Any, covered: set[str]) -> None:
    item = {"control": "kernel-forwarding", "reason": "r", "expires": "2030-01-31", "hosts": hosts}
    [waiver] = parse_waivers([item], ["kernel-forwarding"], GROUPS)
    assert {host for host in GROUPS["all"] if waiver.covers("kernel-forwarding", host, GROUPS)} == covered
    assert not waiver.covers("kernel-other", "db1", GROUPS)


def test_a_waiver_holds_on_its_last_day() -> None:
    item = {"control": "kernel-forwarding", "reason": "r", "expires": datetime.date(2030, 1, 31)}
    [waiver] = parse_waivers([item], ["kernel-forwarding"], GROUPS)
    assert not waiver.expired(datetime.date(2030, 1, 31))
    assert waiver.expired(datetime.date(2030, 2, 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "Kernel_x"}, "the id is not kernel-"),
        ({"role": "sshd"}, "role is sshd, wanted kernel"),
        ({"mlps3": "A.1"}, "is not a clause number"),
        ({"mlps3": ""}, "names no clause and gives no reason"),
        ({"when": ["windows"]}, "unknown tag windows"),
        ({"clause": "1"}, "unknown field clause"),
        ({"check": {"type": "magic"}}, "unknown check type 'magic'"),
        ({"check": {"type": "sysctl", "key": "a"}}, "needs one of value, min, max"),
        ({"check": {"type": "sysctl", "value": 1}}, "lacks key"),
        ({"check": {"type": "module", "name": "x", "loaded": False}}, "does not know loaded"),
        ({"check": {"type": "line", "path": "/x", "pattern": "("}}, "pattern '('"),
        ({"check": {"type": "mount", "path": "/tmp", "options": []}}, "options is empty"),
        ({"check": {"type": "command", "argv": ["true"], "pattern": ["a", "b"]}}, "takes a single pattern"),
        ({"check": {"type": "command", "argv": ["find", "-size", 0], "pattern": "a"}}, "quote 0 in argv"),
        ({"check": {"type": "sysctl", "key": ["a"], "value": 1}}, "takes a single key"),
        ({"check": {"type": "account", "rule": "tall"}}, "unknown account rule tall"),
        ({"check": {"type": "account", "rule": "unique_ids", "max_days": 1}}, "does not know max_days"),
    ],
    ids=str,
)
def test_a_malformed_entry_is_named(change: dict[str, Any], words: str) -> None:
    assert entry_faults(ENTRY, "kernel") == []
    assert words in " ".join(entry_faults({**ENTRY, **change}, "kernel"))


def result_of(*records: dict[str, Any]) -> dict[str, Any]:
    head = {"os": "Debian GNU/Linux 12", "kernel": "6.1", "tags": ["debian"], "started": "2030-01-01T00:00:00Z"}
    return {
        **head,
        "ended": "2030-01-01T00:00:09Z",
        "counts": controls.count(list(records)),
        "controls": list(records),
    }


@pytest.fixture
def results() -> dict[str, Any]:
    return {
        "db1": result_of(check(ENTRY), check({**ENTRY, "id": "kernel-x", "when": ["redhat"]})),
        "db2": result_of(check(ENTRY, "1"), check({**ENTRY, "id": "kernel-w", "waiver": WAIVER}, "1")),
    }


def test_the_summary_lists_failures_waivers_and_hosts_that_were_not_checked(results: dict[str, Any]) -> None:
    found = controls_report.summary(results, ["db1", "db2", "gateway1"], "bank", CATALOGUE)
    assert found["counts"] == {"pass": 1, "fail": 1, "waived": 1, "not-applicable": 1}
    assert [(record["host"], record["id"]) for record in found["failed"]] == [("db2", "kernel-forwarding")]
    assert found["waived"][0]["waiver"] == WAIVER
    assert found["not_checked"] == ["gateway1"]
    assert found["mlps3"]["8.1.3.2"]["fail"] == 1
    assert found["collection"] == "onprem.dify 1.2.3"


def test_the_message_names_host_control_expected_and_found(results: dict[str, Any]) -> None:
    found = controls_report.summary(results, ["db1", "db2", "gateway1"], "bank", CATALOGUE)
    text = controls_report.message(found, "/reports/summary.md")
    assert "Failed controls: 1. Hosts concerned: 2." in text
    assert "db2: kernel-forwarding: expected net.ipv4.ip_forward = 0, found 1" in text
    assert "gateway1: not checked" in text
    assert "kernel-w" not in text
    assert controls_report.message({**found, "failed": [], "not_checked": []}, "") == ""


def test_the_page_for_the_auditor_is_signed_by_nobody(results: dict[str, Any]) -> None:
    pages = controls_report.files(results, ["db1", "db2"], "bank", CATALOGUE)
    assert set(pages) == {"db1.json", "db2.json", "summary.json", "summary.md"}
    assert json.loads(pages["db1.json"])["catalogue_sha256"] == "abc"
    page = pages["summary.md"]
    assert "| db2 | kernel-w | Packets are not forwarded | net.ipv4.ip\\_forward = 0 | 1 | router of the site |" in page
    assert "| Auditor |  |  |  |" in page


def test_a_waiver_that_is_not_needed_is_reported() -> None:
    results = {"db1": result_of(check({**ENTRY, "waiver": WAIVER}))}
    found = controls_report.summary(results, ["db1"], "bank", CATALOGUE)
    assert [waiver["id"] for waiver in found["waivers_not_needed"]] == ["kernel-forwarding"]
