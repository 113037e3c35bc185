"""PostgreSQL loses processes, hosts, networks and its disk under load: it goes on, and keeps what it acknowledged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from acceptance.faults import Load, changes, data_site, data_tree, endpoint, holders, lab, report, root, secret, within

from lab import scratch

MEMBERS = ["db1", "db2"]
CLIENTS = 2
# Two clients, each at least a minute.
SECONDS = 62
CRASH, LOSS, SWITCHOVER = 10, 25, 3
CLIENT = Path(__file__).parents[2] / "plugins/module_utils/postgresql_client.py"
PROGRAM = f"""{CLIENT.read_text(encoding="utf-8")}
import ssl

def connect():
    connected = socket.create_connection((SETTINGS["address"], 5432), timeout=3)
    if not offers_tls(connected):
        raise OSError("no TLS")
    context = ssl.create_default_context(cadata=SETTINGS["authorities"])
    session = Connection(context.wrap_socket(connected, server_hostname=SETTINGS["address"]))
    return session.login("dify", SETTINGS["password"], "dify")

def write(session, number):
    session.query(f"INSERT INTO written VALUES ({{SETTINGS['client']}}, {{number}})")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[scratch.Site]:
    with data_site(
        tmp_path_factory.mktemp("postgres") / "site", "postgres", "95", data_tree("95", "database")
    ) as running:
        yield running


@pytest.fixture
def cluster(site) -> Iterator[Cluster]:
    """All members are there before a fault, and come back after it by themselves."""
    whole = Cluster(site)
    whole.wait_until_whole()
    yield whole
    lab(site, "heal")
    for host in [*MEMBERS, "witness1"]:
        if site.ssh(host, "true").returncode != 0:
            lab(site, "start", host)
    whole.wait_until_whole()


class Cluster:
    def __init__(self, site: scratch.Site) -> None:
        self.site = site
        self.address = endpoint(site, "postgres")
        self.password = secret(site, "postgres_dify")
        self.authorities = (site.lab.state / "pki/root.crt").read_text(encoding="utf-8")

    def members(self) -> list[dict[str, Any]]:
        for host in MEMBERS:
            done = self.site.ssh(host, "sudo patronictl -c /etc/patroni/patroni.yml list --format json")
            if done.returncode == 0 and done.stdout.strip():
                return list(json.loads(done.stdout))
        return []

    def named(self, role: str) -> str:
        return next((str(member["Member"]) for member in self.members() if member["Role"] == role), "")

    @property
    def primary(self) -> str:
        return self.named("Leader")

    @property
    def standby(self) -> str:
        return next(host for host in MEMBERS if host != self.primary)

    def wait_until_whole(self) -> float:
        """A leader and a synchronous standby; how long that took."""
        return within(
            150, lambda: bool(self.primary and self.named("Sync Standby")), "a leader and a synchronous standby"
        )

    def sql(self, statement: str) -> str:
        return root(self.site, self.primary, f'cd / && runuser -u postgres -- psql -XAtqc "{statement}" dify')

    @contextmanager
    def load(self, seconds: float = SECONDS) -> Iterator[list[Load]]:
        """Two clients write through the endpoint for at least so many seconds."""
        self.sql(
            "DROP TABLE IF EXISTS written; CREATE TABLE written (client int, number int, PRIMARY KEY (client, number))"
        )
        self.sql("ALTER TABLE written OWNER TO dify")
        settings = {"address": self.address, "password": self.password, "authorities": self.authorities}
        loads = [Load(self.site, "worker1", PROGRAM, {**settings, "client": client}) for client in range(CLIENTS)]
        with ExitStack() as stack:
            for load in loads:
                stack.enter_context(load.running(before=2, after=0))
            started = time.monotonic()
            yield loads
            time.sleep(max(2.0, seconds - (time.monotonic() - started)))

    def check(self, fault: str, loads: list[Load], most: float) -> None:
        """What the clients saw: nothing acknowledged is missing, and no pause was longer than it may be."""
        self.wait_until_whole()
        rows = [tuple(map(int, line.split("|"))) for line in self.sql("SELECT client, number FROM written").split()]
        worst = max(loads, key=lambda load: load.longest_gap)
        lost = [load.lost({number for client, number in rows if client == load.settings["client"]}) for load in loads]
        report(f"PostgreSQL: {fault}", worst, sum(map(len, lost)))
        assert lost == [[] for _load in loads]
        assert worst.longest_gap < most


def faulted(cluster: Cluster, fault: str, most: float, act: Callable[[], object]) -> None:
    with cluster.load() as loads:
        act()
    cluster.check(fault, loads, most)


def test_a_killed_postmaster(cluster):
    primary = cluster.primary
    faulted(
        cluster,
        "kill -9 of the postmaster",
        CRASH,
        lambda: root(cluster.site, primary, "kill -9 $(head -n 1 /var/lib/postgresql/15/dify/postmaster.pid)"),
    )


def test_a_killed_patroni_and_postgresql(cluster):
    primary = cluster.primary
    faulted(
        cluster,
        "kill -9 of Patroni and PostgreSQL",
        LOSS,
        lambda: root(cluster.site, primary, "systemctl kill --signal=KILL patroni.service"),
    )


def test_a_primary_without_power_is_replaced_and_rejoins(cluster):
    old = cluster.primary
    faulted(cluster, "power-off of the primary", LOSS, lambda: power_cycle(cluster, old))
    assert cluster.primary != old


def power_cycle(cluster: Cluster, host: str) -> None:
    lab(cluster.site, "kill", host)
    time.sleep(35)
    lab(cluster.site, "start", host)


def test_a_primary_that_is_cut_off_takes_no_writes(cluster):
    old = cluster.primary
    others = f"{cluster.standby},witness1"

    def cut() -> None:
        lab(cluster.site, "cut", old, others)
        time.sleep(35)
        # Writes stop there, although the clients still reach the host.
        recovering = root(
            cluster.site, old, "cd / && runuser -u postgres -- psql -XAtqc 'SELECT pg_is_in_recovery()' || echo off"
        )
        assert recovering.strip() in ("t", "off")
        lab(cluster.site, "heal")

    faulted(cluster, "the primary is cut off from the data zone", LOSS, cut)
    assert cluster.primary != old
    assert len(holders(cluster.site, cluster.address, MEMBERS)) == 1


def test_a_frozen_primary_does_no_harm_when_it_wakes_up(cluster):
    old = cluster.primary

    def freeze() -> None:
        lab(cluster.site, "freeze", old)
        time.sleep(30)
        lab(cluster.site, "thaw", old)

    faulted(cluster, "the primary is frozen for 30 s", LOSS, freeze)


def test_a_lost_witness_stops_nothing(cluster):
    faulted(cluster, "power-off of the witness", CRASH, lambda: lab(cluster.site, "kill", "witness1"))


def test_a_lost_standby(cluster):
    standby = cluster.standby
    with cluster.load() as loads:
        lab(cluster.site, "kill", standby)
        time.sleep(40)
        lab(cluster.site, "start", standby)
    cluster.check("power-off of the standby", loads, LOSS)


def test_the_endpoints_hosts_one_after_the_other(cluster):
    def stop_both() -> None:
        for _turn in MEMBERS:
            (holder,) = holders(cluster.site, cluster.address, MEMBERS)
            root(cluster.site, holder, "systemctl stop haproxy")
            time.sleep(12)
            root(cluster.site, holder, "systemctl start haproxy")
            time.sleep(8)

    faulted(cluster, "HAProxy stopped on one host, then on the other", CRASH, stop_both)


def test_a_planned_switchover(cluster):
    old = cluster.primary
    faulted(
        cluster,
        "planned switchover",
        SWITCHOVER,
        lambda: root(cluster.site, old, f"patronictl -c /etc/patroni/patroni.yml switchover --leader {old} --force"),
    )
    assert cluster.primary != old


def test_a_new_password_closes_no_session(cluster):
    new = {f"postgres_{name}": f"{name}-{'0123456789' * 2}" for name in ("dify", "replication", "rewind")}
    with changes(cluster.site, {}) as change:
        with cluster.load() as loads:
            change(new)
        assert [load.errors for load in loads] == [[] for _load in loads]
        assert [{write.connection for write in load.writes} for load in loads] == [{1} for _load in loads]
        assert "password authentication failed" in loads[0].refusal()
        loads[0].settings["password"] = new["postgres_dify"]
        assert loads[0].refusal() == ""
        cluster.check("new passwords of a database, of replication and of pg_rewind", loads, SWITCHOVER)


def test_a_member_of_etcd_is_lost_and_replaced(cluster):
    def replace() -> None:
        root(cluster.site, "witness1", "systemctl stop etcd && rm -rf /var/lib/etcd/member")
        run = cluster.site.play("playbooks/data.yml")
        assert run.status == "successful", run.failures

    faulted(cluster, "a member of etcd is lost and replaced", CRASH, replace)
    options = "--cacert=$D/ca.crt --cert=$D/tls.crt --key=$D/tls.key --endpoints=https://127.0.0.1:2379"
    root(cluster.site, "witness1", f"D=/etc/onprem-dify/pki/etcd; etcdctl {options} endpoint health --cluster")


def test_a_full_disk_of_the_primary(cluster):
    primary = cluster.primary

    def fill() -> None:
        lab(cluster.site, "fill", primary)
        time.sleep(25)
        lab(cluster.site, "fill", primary, "--free")

    # Writes may stop for as long as the disk is full.
    faulted(cluster, "the disk of the primary is full for 25 s", 25 + LOSS, fill)
