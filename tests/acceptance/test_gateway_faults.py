"""Two gateways of a hardened site: their second run, their failover, and who reaches what."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from acceptance.faults import Load, endpoint, hardened_site, holders, lab, report, root, within

from lab import scratch

NETWORK = "87"
GATEWAYS = ["gateway1", "gateway2"]
USER = "user1"
FAILOVER = 3
STAGE = "playbooks/gateway.yml"
TREE: dict[str, Any] = {
    "dmz": {
        "children": {"gateway": {"hosts": {f"gateway{n}": {"ansible_host": f"10.{NETWORK}.1.1{n}"} for n in (1, 2)}}}
    },
    "app": {
        "children": {"workers": {"hosts": {f"worker{n}": {"ansible_host": f"10.{NETWORK}.2.2{n}"} for n in (1, 2)}}}
    },
    "ops": {"children": {"monitoring": {"hosts": {USER: {"ansible_host": f"10.{NETWORK}.4.11"}}}}},
}
OF_USER = {
    "from": "monitoring",
    "to": "gateway",
    "port": "443",
    "protocol": "tcp",
    "why": "A host in the place of users",
}
COMMON = """
import socket, ssl

def line():
    context = ssl.create_default_context(cadata=SETTINGS["authorities"])
    plain = socket.create_connection((SETTINGS["address"], SETTINGS.get("port", 443)), timeout=1)
    return context.wrap_socket(plain, server_hostname=SETTINGS["host"])

def asked(path):
    found = line()
    found.sendall(f"GET {path} HTTP/1.1\\r\\nHost: {SETTINGS['host']}\\r\\nConnection: close\\r\\n\\r\\n".encode())
    return found
"""
# Opens a connection for each request, as a user does who comes anew.
REQUESTS = """
def connect():
    return None

def write(session, number):
    answer = asked("/console/api/setup").makefile("rb").read()
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise ValueError(answer[:80])
"""
# Speaks on over one connection.
TALK = """
def connect():
    session = line()
    wish = ["GET /socket.io/ HTTP/1.1", f"Host: {SETTINGS['host']}", "Upgrade: websocket", "Connection: Upgrade"]
    session.sendall("\\r\\n".join([*wish, "", ""]).encode())
    head = session.recv(4096)
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ValueError(head[:80])
    return session

def write(session, number):
    session.sendall(b"%d\\n" % number)
    if session.recv(100) != b"%d\\n" % number:
        raise ValueError("another answer")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[scratch.Site]:
    """The hosts as they are before the gateway."""
    made = partial(copy, tmp_path_factory)
    with hardened_site(made, "tests/acceptance/gateway_workers.yml") as running:
        yield running


def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = scratch.copy_of_example(tmp_path_factory.mktemp("gate") / "site", "gate", NETWORK, tree=TREE)
    file = folder / "group_vars/all/site.yml"
    variables = scratch.load(file)
    variables["site_extra_flows"].append(OF_USER)
    scratch.dump(file, {**variables, "site_user_networks": [f"10.{NETWORK}.4.0/24"]})
    return folder


@pytest.fixture(scope="module")
def runs(site: scratch.Site) -> dict[str, Any]:
    predicted = site.play(STAGE, check=True)
    first = site.play(STAGE)
    return {
        "predicted": predicted,
        "first": first,
        "checked again": site.play(STAGE, check=True),
        "second": site.play(STAGE),
    }


@pytest.fixture(scope="module")
def installed(site: scratch.Site, request: pytest.FixtureRequest) -> scratch.Site:
    if "FAULTS_SITE" not in os.environ:
        request.getfixturevalue("runs")
    return site


@pytest.fixture
def healthy(installed: scratch.Site) -> Iterator[scratch.Site]:
    """One gateway holds the address, both could, and both workers answer."""
    site = installed
    yield site
    for host in [*GATEWAYS, "worker1", "worker2"]:
        if site.ssh(host, "true").returncode != 0:
            lab(site, "start", host)
    for host in GATEWAYS:
        within(
            60,
            lambda host=host: site.ssh(host, "sudo systemctl start keepalived onprem-dify-gateway").returncode == 0,
            host,
        )
        within(60, lambda host=host: fit(site, host), f"{host} can hold the address")
    for host in ("worker1", "worker2"):
        within(60, lambda host=host: site.ssh(host, "sudo systemctl start router").returncode == 0, host)
    within(60, lambda: len(holding(site)) == 1, "one holder")
    time.sleep(3)


def fit(site: scratch.Site, host: str) -> bool:
    asked = "curl --silent --fail --unix-socket /run/onprem-dify-gateway.sock http://localhost/gateway"
    return site.ssh(host, f"sudo systemctl is-active keepalived && sudo {asked}").returncode == 0


def load(site: scratch.Site, program: str, host: str = USER, **settings: Any) -> Load:
    authorities = (site.lab.state / "pki/root.crt").read_text(encoding="utf-8")
    wish = {"address": endpoint(site, "gateway"), "host": "lab.internal", "authorities": authorities, **settings}
    return Load(site, host, COMMON + program, wish, pause=0.05)


def holding(site: scratch.Site) -> list[str]:
    return holders(site, endpoint(site, "gateway"), GATEWAYS)


def other(host: str) -> str:
    return next(name for name in GATEWAYS if name != host)


# Its runs


@pytest.mark.parametrize("name", ["predicted", "first", "checked again", "second"])
def test_no_run_fails(runs: dict[str, Any], name: str) -> None:
    assert runs[name].status == "successful", runs[name].failures


def test_what_the_dry_run_predicts_is_what_changes(runs: dict[str, Any]) -> None:
    assert runs["first"].changed == runs["predicted"].changed != set()


@pytest.mark.parametrize("name", ["checked again", "second"])
def test_nothing_changes_again(runs: dict[str, Any], name: str) -> None:
    assert runs[name].changed == set()


def test_streams_survive_a_reload(healthy: scratch.Site) -> None:
    (host,) = holding(healthy)
    with load(healthy, TALK).running(after=8) as talk, load(healthy, REQUESTS).running() as requests:
        root(healthy, host, "systemctl reload onprem-dify-gateway")
    assert (talk.errors, requests.errors) == ([], [])
    assert {write.connection for write in talk.writes} == {1}


# Who reaches what


def test_users_reach_the_gateway_and_nothing_behind_it(healthy: scratch.Site) -> None:
    worker = str(healthy.lab.host("worker1").address)
    assert load(healthy, REQUESTS).refusal() == ""
    assert "timed out" in load(healthy, REQUESTS, address=worker, port=30443).refusal()
    assert "timed out" in load(healthy, REQUESTS, host="worker2", address=worker, port=30443).refusal()
    assert "timed out" in load(healthy, REQUESTS, host="worker1").refusal()
    assert load(healthy, REQUESTS, host="gateway1", address=worker, port=30443).refusal() == ""


def test_keys_and_logs_are_roots(healthy: scratch.Site) -> None:
    for host in GATEWAYS:
        assert root(healthy, host, "stat -Lc '%U %a' /etc/onprem-dify/pki/gateway-dify/tls.key").strip() == "root 600"
        owners = root(healthy, host, "ps -o user= -C nginx | sort -u").split()
        assert owners == ["root", "www-data"]
        assert root(healthy, host, "systemctl is-enabled nginx || true").strip() in ("masked", "bad")


def test_the_log_is_rotated_without_a_lost_line(healthy: scratch.Site) -> None:
    (host,) = holding(healthy)
    log = "/var/log/nginx/onprem-dify-gateway.json"
    root(healthy, host, "logrotate --force /etc/logrotate.d/onprem-dify-gateway")
    within(5, lambda: root(healthy, host, f"stat -c %s {log}").strip() == "0", "a new file")
    assert load(healthy, REQUESTS).refusal() == ""
    within(5, lambda: "/console/api/setup" in root(healthy, host, f"cat {log}"), "a line in the new file")


# Failover


def test_the_address_moves_when_a_gateway_loses_its_power(healthy: scratch.Site) -> None:
    (old,) = holding(healthy)
    with load(healthy, REQUESTS).running(after=8) as run:
        lab(healthy, "kill", old)
    report("Gateway: power-off", run)
    assert run.longest_gap <= FAILOVER
    assert holding(healthy) == [other(old)]
