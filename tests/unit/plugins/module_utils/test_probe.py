"""What the probe expects comes from the flows, and what it finds is judged honestly."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import probe
from ansible_collections.onprem.dify.plugins.module_utils.probe_sockets import Target, try_all
from ansible_collections.onprem.dify.plugins.modules import listen

HOSTS = {
    "gateway1": {"address": "10.0.1.11", "groups": ["gateway"], "zones": ["dmz"], "cluster": False},
    "worker1": {"address": "10.0.2.21", "groups": ["workers"], "zones": ["app"], "cluster": True},
    "db1": {"address": "10.0.3.11", "groups": ["database"], "zones": ["data"], "cluster": False},
}
OUTSIDE = [{"address": "192.0.2.1", "port": 443, "protocol": "tcp"}]


@pytest.fixture
def site():
    worker, database = ["10.0.2.21"], ["10.0.3.11"]
    flow = {"protocol": "tcp", "why": "PostgreSQL"}
    return {
        "name": "bank",
        "admin_networks": ["10.0.0.0/24"],
        "services": {"time": ["10.0.0.1"], "syslog": ["10.0.0.2"]},
        "hosts": HOSTS,
        "flows": [
            dict(
                flow,
                **{"from": "workers", "to": "database", "port": "5432", "sources": worker, "destinations": database},
            ),
            dict(
                flow, **{"from": "all", "to": "syslog", "port": "6514", "sources": worker, "destinations": ["10.0.0.2"]}
            ),
            {
                "from": "admin",
                "to": "all",
                "port": "22",
                "protocol": "tcp",
                "why": "SSH",
                "sources": ["10.0.0.0/24"],
                "destinations": [host["address"] for host in HOSTS.values()],
            },
        ],
    }


def expected(site, origin, target, port, protocol="tcp"):
    cells = [
        cell
        for cell in probe.attempts(site, origin, OUTSIDE)
        if (cell.target, cell.port, cell.protocol) == (target, port, protocol)
    ]
    assert len(cells) == 1
    return cells[0].expected


def right(site):
    """What a site without a fault finds."""
    answers = {"answers": "refused"}
    return {
        host: [answers.get(cell.expected, cell.expected) for cell in probe.attempts(site, host, OUTSIDE)]
        for host in HOSTS
    }


def test_a_flow_is_open_one_way_and_over_its_protocol(site):
    assert expected(site, "worker1", "db1", "5432") == "open"
    assert expected(site, "worker1", "db1", "5432", "udp") == "shut"
    assert expected(site, "db1", "worker1", "5432") == "shut"


def test_the_doors_are_shut(site):
    assert expected(site, "gateway1", "db1", "5432") == "shut"
    assert expected(site, "worker1", "db1", "22") == "shut"
    assert expected(site, "db1", "worker1", "31337") == "shut"
    assert expected(site, "db1", "outside", "443") == "shut"


def test_a_service_of_the_site_has_to_answer(site):
    assert expected(site, "db1", "syslog", "6514") == "answers"


def test_a_right_matrix_has_no_wrong_cell(site):
    report = probe.report(site, right(site), {}, OUTSIDE)
    assert report["wrong"] == []
    assert "0 wrong" in report["text"]


def test_a_wrong_cell_is_named_with_both_ends_and_what_was_expected(site):
    found = right(site)
    number = [(cell.target, cell.port, cell.protocol) for cell in probe.attempts(site, "gateway1", OUTSIDE)].index(
        ("db1", "5432", "tcp")
    )
    found["gateway1"][number] = "open"
    report = probe.report(site, found, {}, OUTSIDE)
    assert report["wrong"] == ["gateway1 -> db1 (10.0.3.11) 5432/tcp: expected shut, found open (PostgreSQL)"]
    assert "!1" in report["text"]


def test_a_refusal_is_not_shut(site):
    cell = probe.Cell("a", "b", "10.0.0.1", "99", "tcp", "shut", "no flow")
    assert "found refused" in probe.verdict(cell, "refused")


def test_a_host_without_a_result_is_wrong(site):
    found = right(site)
    del found["db1"]
    assert probe.report(site, found, {}, OUTSIDE)["wrong"] == ["db1: no result"]


def test_silence_of_a_service_that_holds_the_udp_port_proves_nothing():
    cell = probe.Cell("a", "b", "10.0.0.1", "123", "udp", "open", "time")
    assert probe.verdict(cell, "shut", occupied=True) == probe.UNPROVEN
    assert "found shut" in probe.verdict(cell, "shut")


class TestSockets:
    @pytest.fixture
    def ports(self):
        """A port for the listeners, and one that nobody listens on."""
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            two.bind(("127.0.0.1", 0))
            found = [str(one.getsockname()[1]), str(two.getsockname()[1])]
        return found

    def test_open_and_refused_over_both_protocols(self, ports):
        listening, silent = ports
        echo = subprocess.Popen(
            [sys.executable, "-c", listen.ECHO, "127.0.0.1", f"tcp/{listening}", f"udp/{listening}"]
        )
        try:
            patience = time.monotonic() + 20
            while not listen.is_occupied("127.0.0.1", f"udp/{listening}") and time.monotonic() < patience:
                time.sleep(0.05)
            targets = [Target("127.0.0.1", port, protocol, "open") for port in ports for protocol in ("tcp", "udp")]
            assert try_all(targets, 1.0, 10) == ["open", "open", "refused", "refused"]
            assert listen.is_occupied("127.0.0.1", f"tcp/{listening}")
            assert not listen.is_occupied("127.0.0.1", f"tcp/{silent}")
        finally:
            echo.kill()
            echo.wait()

    def test_silence_is_shut_and_many_wait_together(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            targets = [Target("127.0.0.1", str(silent.getsockname()[1]), "udp", "shut")] * 100
            started = time.monotonic()
            assert set(try_all(targets, 0.3, 100)) == {"shut"}
            assert time.monotonic() - started < 1.5
