"""The address of an endpoint moves to the other host within seconds, and never stays on two."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from acceptance.faults import Load, data_site, data_tree, endpoint, holders, lab, report, root, within

from lab import scratch

HOSTS = ["db1", "db2"]
FAILOVER = 3
PROGRAM = """
import socket

def connect():
    return None

def write(session, number):
    socket.create_connection((SETTINGS["address"], 6379), timeout=0.3).close()
"""
# Keeps one connection; the answer is an alert or nothing, which is all that the endpoint itself gives.
SESSION = """
import socket

def connect():
    return socket.create_connection((SETTINGS["address"], 6379), timeout=2)

def write(session, number):
    session.setblocking(False)
    try:
        if session.recv(1) == b"":
            raise ConnectionResetError("closed")
    except BlockingIOError:
        pass
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[scratch.Site]:
    with data_site(tmp_path_factory.mktemp("endpoint") / "site", "redis", "85", data_tree("85", "cache")) as running:
        yield running


@pytest.fixture
def healthy(site):
    """One host holds the address, both could."""
    yield site
    for host in HOSTS:
        if site.ssh(host, "true").returncode != 0:
            lab(site, "start", host)
    lab(site, "heal")
    for host in HOSTS:
        within(60, lambda host=host: site.ssh(host, "sudo systemctl start haproxy keepalived").returncode == 0, host)
    within(60, lambda: len(holding(site)) == 1, "one holder")
    # A host that came back has to be fit before the next fault.
    for host in HOSTS:
        within(60, lambda host=host: fit(site, host), f"{host} can hold the address")
    time.sleep(3)


def fit(site, host: str) -> bool:
    asked = "curl --silent --fail --unix-socket /run/haproxy/alive.sock http://localhost/redis"
    return site.ssh(host, f"sudo systemctl is-active keepalived && sudo {asked}").returncode == 0


def address(site) -> str:
    return endpoint(site, "redis")


def holding(site) -> list[str]:
    return holders(site, address(site), HOSTS)


def holder(site) -> str:
    return holding(site)[0]


def other(host: str) -> str:
    return next(name for name in HOSTS if name != host)


def moved(site, name: str, fault) -> None:
    old = holder(site)
    with Load(site, "worker1", PROGRAM, {"address": address(site)}).running(after=8) as run:
        fault(old)
    report(name, run)
    assert run.longest_gap <= FAILOVER
    assert holding(site) == [other(old)]


def test_the_address_moves_when_keepalived_is_stopped(healthy):
    moved(healthy, "Address: keepalived stopped", lambda host: root(healthy, host, "systemctl stop keepalived"))


def test_the_address_moves_when_haproxy_is_stopped(healthy):
    moved(healthy, "Address: HAProxy stopped", lambda host: root(healthy, host, "systemctl stop haproxy"))


def test_the_address_moves_when_the_host_loses_its_power(healthy):
    moved(healthy, "Address: power-off", lambda host: lab(healthy, "kill", host))


@pytest.mark.parametrize("program", ["keepalived", "haproxy"])
def test_a_killed_program_is_back_or_replaced_in_time(healthy, program):
    with Load(healthy, "worker1", PROGRAM, {"address": address(healthy)}).running(after=8) as run:
        root(healthy, holder(healthy), f"kill -9 $(pidof {program})")
    report(f"Address: kill -9 of {program}", run)
    assert run.longest_gap <= FAILOVER
    assert len(holding(healthy)) == 1


def test_a_cut_and_its_healing_leave_one_holder(healthy):
    old = holder(healthy)
    lab(healthy, "cut", old, f"{other(old)},witness1")
    # The host that sees no majority lets go by itself.
    within(10, lambda: holding(healthy) == [other(old)], "the side with the majority holds it alone")
    lab(healthy, "heal")
    for _look in range(8):
        assert holding(healthy) == [other(old)]


def test_a_reload_drops_no_session(healthy):
    with Load(healthy, "worker1", SESSION, {"address": address(healthy)}).running(after=5) as run:
        root(healthy, holder(healthy), "systemctl reload haproxy")
    assert run.errors == []
    assert {write.connection for write in run.writes} == {1}
