"""Redis loses a host, a process or a network: it goes on within seconds, and what a replica had confirmed stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from acceptance.faults import Load, changes, data_site, data_tree, endpoint, lab, report, root, secret, within

from lab import scratch

SERVERS = ["db1", "db2"]
GAP = 10
PROTOCOL = Path(__file__).parents[2] / "plugins/module_utils/redis_protocol.py"
# What a client of Redis needs, then a set that every write adds its number to. A replica confirms it or not.
PROGRAM = f"""{PROTOCOL.read_text(encoding="utf-8")}
import tempfile

def connect():
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(SETTINGS["authorities"])
        file.flush()
        session = Connection.over_tls(SETTINGS["address"], 6379, Tls("", "", file.name), 2)
    return session.login("dify", SETTINGS["password"])

def write(session, number):
    session.call("SADD", SETTINGS["set"], number)
    return session.call("WAIT", 1, 300)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[scratch.Site]:
    with data_site(tmp_path_factory.mktemp("redis") / "site", "redis", "85", data_tree("85", "cache")) as running:
        yield running


@pytest.fixture
def healthy(site):
    """All servers follow one master, and the endpoint leads there."""
    yield site
    for host in SERVERS:
        if host not in [name for name in SERVERS if site.ssh(name, "true").returncode == 0]:
            lab(site, "start", host)
    lab(site, "heal")
    within(90, lambda: sorted(role(site, host) for host in SERVERS) == ["master", "slave"], "a master and a replica")
    within(60, lambda: "master_link_status:up" in info(site, replica(site)), "the replica is in step")


@contextmanager
def load(site, **options) -> Iterator[Load]:
    """Writes through the endpoint."""
    settings = {
        "address": endpoint(site, "redis"),
        "password": secret(site, "redis_dify"),
        "authorities": (site.lab.state / "pki/root.crt").read_text(encoding="utf-8"),
        "set": "written",
    }
    root(site, master(site), redis("DEL written"))
    with Load(site, "worker1", PROGRAM, settings).running(**options) as running:
        yield running


def redis(words: str) -> str:
    password = "$(cat /etc/onprem-dify/redis/admin.password)"
    return f"redis-cli --no-auth-warning -s /run/redis/admin.sock --user admin --pass {password} {words}"


def info(site, host: str) -> str:
    return root(site, host, redis("INFO replication"))


def role(site, host: str) -> str:
    done = site.ssh(host, f"sudo sh -c '{redis('ROLE')}'")
    return done.stdout.split("\n")[0]


def master(site) -> str:
    return next(host for host in SERVERS if role(site, host) == "master")


def replica(site) -> str:
    return next(host for host in SERVERS if role(site, host) == "slave")


def written(site) -> set[int]:
    return {int(line) for line in root(site, master(site), redis("SMEMBERS written")).split()}


def confirmed(write) -> bool:
    return write.note >= 1


def check(name: str, site, run: Load) -> None:
    lost = run.lost(written(site), confirmed)
    report(name, run, len(lost))
    assert lost == []
    assert run.longest_gap < GAP


def test_a_killed_master_is_back_or_replaced_and_nothing_confirmed_is_lost(healthy):
    with load(healthy, after=15) as run:
        root(healthy, master(healthy), "kill -9 $(pidof redis-server)")
    check("Redis: kill -9 of the master", healthy, run)


def test_a_master_without_power_is_replaced_and_rejoins_as_a_replica(healthy):
    old, new = master(healthy), replica(healthy)
    with load(healthy, after=20) as run:
        lab(healthy, "kill", old)
    assert role(healthy, new) == "master"
    # It believes in itself until Sentinel tells it, and takes no write meanwhile: the endpoint does not lead there.
    with load(healthy, after=25) as again:
        lab(healthy, "start", old)
    assert again.longest_gap < GAP
    within(60, lambda: role(healthy, old) == "slave", f"{old} rejoins")
    assert role(healthy, new) == "master"
    check("Redis: power-off of the master", healthy, run)
    check("Redis: the old master comes back", healthy, again)


def test_a_master_that_is_cut_off_is_replaced_and_rejoins_as_a_replica(healthy):
    old, new = master(healthy), replica(healthy)
    with load(healthy, after=25) as run:
        lab(healthy, "cut", old, f"{new},witness1")
    assert role(healthy, new) == "master"
    lab(healthy, "heal")
    within(60, lambda: role(healthy, old) == "slave", f"{old} rejoins")
    check("Redis: the master is cut off from the data zone", healthy, run)


def test_a_lost_replica_stops_nothing(healthy):
    with load(healthy, after=10) as run:
        lab(healthy, "kill", replica(healthy))
    check("Redis: power-off of the replica", healthy, run)


def test_a_lost_witness_stops_nothing(healthy):
    with load(healthy, after=8) as run:
        lab(healthy, "kill", "witness1")
    lab(healthy, "start", "witness1")
    check("Redis: power-off of the witness", healthy, run)


# What a run changes while everything is used


def test_new_passwords_and_settings_drop_no_connection(healthy, change):
    before = secret(healthy, "redis_dify")
    with load(healthy) as run:
        change(
            {f"redis_{name}": f"{name}-{'0123456789' * 2}" for name in ("dify", "check", "replication", "sentinel")},
            redis_max_clients=4001,
        )
    check("Redis: new passwords of all users", healthy, run)
    assert run.errors == []
    assert {write.connection for write in run.writes} == {1}
    within(60, lambda: "master_link_status:up" in info(healthy, replica(healthy)), "the replica is in step")
    assert logs_in(healthy, before)
    assert logs_in(healthy, secret(healthy, "redis_dify"))
    change({}, redis_max_clients=4001, redis_retire_passwords=True)
    assert not logs_in(healthy, before)
    assert logs_in(healthy, secret(healthy, "redis_dify"))


def test_what_needs_a_restart_hands_over_first(healthy, change):
    with load(healthy) as run:
        change({}, redis_databases=17)
    check("Redis: all servers restarted for a setting", healthy, run)
    assert run.longest_gap < 5


@pytest.fixture
def change(site):
    with changes(site, {"redis_retire_passwords": True}) as change:
        yield change


def logs_in(site, password: str) -> bool:
    tls = "--tls --cacert /etc/onprem-dify/pki/redis/ca.crt"
    words = f"redis-cli {tls} -h 127.0.0.1 --user dify --pass {password} --no-auth-warning PING"
    return root(site, master(site), words).strip() == "PONG"
