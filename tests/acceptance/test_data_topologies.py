"""The smallest and the widest data tier: one host for everything, and three hosts that need no witness."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from acceptance.clients import LIBRARIES, Clients
from acceptance.faults import Load, lab, report, within

from lab import scratch
from lab.runs import PROJECT

GROUPS = ("database", "cache", "objects")
SECONDS = 62
LOSS = 25


def tree(network: str, members: list[str], witness: bool = False) -> dict[str, Any]:
    """A client, and hosts that are all in the same groups of the zone data."""
    hosts = {name: {"ansible_host": f"10.{network}.3.1{name[-1]}"} for name in members}
    data: dict[str, Any] = {group: {"hosts": hosts} for group in GROUPS}
    if witness:
        data["witness"] = {"hosts": {"witness1": {"ansible_host": f"10.{network}.3.21"}}}
    client = {"hosts": {"worker1": {"ansible_host": f"10.{network}.2.21"}}}
    return {"app": {"children": {"control_plane": client, "workers": client}}, "data": {"children": data}}


@pytest.fixture(scope="class")
def clients(request) -> Clients:
    """The clients of a site that is built."""
    site = request.getfixturevalue(request.cls.site)
    installed(site)
    return Clients(site)


@pytest.fixture(scope="class")
def one(tmp_path_factory) -> Iterator[scratch.Site]:
    folder = tmp_path_factory.mktemp("dataone") / "site"
    with scratch.running(scratch.copy_of_example(folder, "dataone", "83", tree=tree("83", ["db1"]))) as site:
        yield site


@pytest.fixture(scope="class")
def three(tmp_path_factory) -> Iterator[scratch.Site]:
    folder = tmp_path_factory.mktemp("datathree") / "site"
    hosts = tree("84", ["db1", "db2", "db3"])
    with scratch.running(scratch.copy_of_example(folder, "datathree", "84", tree=hosts)) as site:
        yield site


def installed(site: scratch.Site) -> None:
    """Succeeds, and changes nothing the second time."""
    run = site.play()
    assert run.status == "successful", run.failures
    again = site.play()
    assert again.status == "successful", again.failures
    assert again.changed == set()


class TestOneHost:
    site = "one"

    def test_it_is_built_and_serves_through_each_endpoint(self, clients):
        clients.write("alone")

    def test_it_serves_again_after_a_loss_of_power(self, one, clients):
        lab(one, "kill", "db1")
        lab(one, "start", "db1")
        within(90, lambda: clients.reads(*LIBRARIES), "all services are back")
        clients.write("back")

    def test_two_databases_without_a_witness_are_refused_with_the_way_out(self, one, clients):
        scratch.dump(one.inventory / "hosts.yml", tree("83", ["db1", "db2"]))
        command = ["ansible-playbook", "playbooks/preflight.yml", "--tags", "inventory", "-i", str(one.inventory)]
        run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert run.returncode != 0
        assert "database is 2 hosts with 0 witness, wanted: an odd number together" in run.stdout + run.stderr

    def test_it_grows_to_two_hosts_and_a_witness(self, one, clients):
        scratch.dump(one.inventory / "hosts.yml", tree("83", ["db1", "db2"], witness=True))
        one = scratch.Site(one.inventory)
        one.up()
        installed(one)
        assert roles(one) == ["Leader", "Sync Standby"]
        clients.write("grown")
        # What the one host had is now on another one, too.
        lab(one, "kill", "db1")
        within(60, lambda: clients.reads("postgres", "redis"), "the second host has taken over")


class TestThreeHosts:
    site = "three"

    def test_they_are_built_and_serve_through_each_endpoint(self, three, clients):
        assert roles(three) == ["Leader", "Replica", "Sync Standby"]
        clients.write("whole")

    def test_nothing_acknowledged_is_lost_with_the_primary(self, three, clients):
        clients.run("postgres", 'answer = connect().query("CREATE TABLE written (client int, number int)")')
        settings = {**clients.settings("postgres"), "client": 0}
        with Load(three, "worker1", LIBRARIES["postgres"], settings).running(before=2) as load:
            began = time.monotonic()
            lab(three, "kill", leader(three))
            time.sleep(max(2, SECONDS - (time.monotonic() - began)))
        rows = clients.run("postgres", 'answer = connect().query("SELECT number FROM written")')
        lost = load.lost({int(row[0]) for row in rows})
        report("PostgreSQL on three hosts: power-off of the primary", load, len(lost))
        assert lost == []
        assert load.longest_gap < LOSS
        clients.write("two of three")


def members(site: scratch.Site) -> list[dict[str, Any]]:
    for host in site.lab.hosts:
        if "database" in host.groups:
            done = site.ssh(host.name, "sudo patronictl -c /etc/patroni/patroni.yml list --format json")
            if done.returncode == 0 and done.stdout.strip():
                return list(json.loads(done.stdout))
    return []


def roles(site: scratch.Site) -> list[str]:
    return sorted(member["Role"] for member in members(site))


def leader(site: scratch.Site) -> str:
    return next(str(member["Member"]) for member in members(site) if member["Role"] == "Leader")
