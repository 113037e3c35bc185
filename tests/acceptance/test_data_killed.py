"""The controller dies in every play of the first installation of the data tier: the next run heals all of it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
from acceptance.clients import Clients
from acceptance.faults import data_tree, root

from lab import scratch
from lab.processes import kill_tree
from lab.runs import PROJECT

STAGE = "playbooks/data.yml"
HOSTS = ["db1", "db2", "witness1"]
# Seconds that a play takes the first time, more or less; a kill comes at a random moment of them, or at its end.
PLAYS = {
    "Prepare the data hosts": 10,
    "Run etcd": 12,
    "Run PostgreSQL": 25,
    "Run Redis": 18,
    "Give every service its one address": 10,
    "Run the object store": 16,
}
# Each play is killed so often before the installation may go on with the next one.
KILLS = int(os.environ.get("KILLS", "2"))
SEED = int(os.environ.get("SEED", "1"))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[scratch.Site]:
    """Hardened hosts, and an installation of the data tier on them that was killed again and again."""
    tree = data_tree("83", "database", "cache", "objects")
    folder = scratch.copy_of_example(tmp_path_factory.mktemp("datakill") / "site", "datakill", "83", tree=tree)
    with scratch.running(folder) as site:
        for playbook in ("playbooks/harden.yml", "playbooks/segment.yml"):
            run = site.play(playbook)
            assert run.status == "successful", run.failures
        moments = random.Random(SEED)
        for name, seconds in PLAYS.items():
            for number in range(KILLS):
                print(f"kill {number + 1} in '{name}': {kill_in(site, name, moments.uniform(0, seconds))}", flush=True)
        yield site


def kill_in(site: scratch.Site, play: str, moment: float) -> str:
    """Kill a run so many seconds after a play has begun, or when that is over; what it was doing."""
    process = subprocess.Popen(
        ["ansible-playbook", STAGE, "-i", str(site.inventory)],
        cwd=PROJECT,
        env={**os.environ, "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "true", "ANSIBLE_NOCOLOR": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    kill = threading.Timer(moment, kill_tree, [process.pid])
    lines: list[str] = []
    inside, began = False, 0.0
    try:
        for line in process.stdout:
            lines.append(line)
            if line.startswith(("PLAY [", "PLAY RECAP")):
                if inside:
                    break
                if line.startswith(f"PLAY [{play}]"):
                    inside, began = True, time.monotonic()
                    kill.start()
    finally:
        kill.cancel()
        kill_tree(process.pid)
        process.communicate()
    said = "".join(lines)
    assert inside, f"{play} did not begin: {said[-3000:]}"
    # A run that fails is not a run that was killed.
    assert "FAILED!" not in said, said[-3000:]
    at = [line for line in lines if line.startswith(("PLAY [", "TASK ["))][-1]
    return f"after {time.monotonic() - began:.1f} s, {at.rstrip().rstrip('* ')}"


def test_the_next_run_builds_it_and_the_one_after_changes_nothing(site):
    run = site.play(STAGE)
    assert run.status == "successful", run.failures
    assert site.play(STAGE).changed == set()


def test_every_member_of_etcd_is_healthy(site):
    options = "--cacert=$D/ca.crt --cert=$D/tls.crt --key=$D/tls.key --endpoints=https://127.0.0.1:2379"
    etcdctl = f"D=/etc/onprem-dify/pki/etcd; etcdctl {options}"
    root(site, "witness1", f"{etcdctl} endpoint health --cluster")
    members = json.loads(root(site, "witness1", f"{etcdctl} member list --write-out=json"))["members"]
    assert sorted(member["name"] for member in members) == HOSTS


def test_postgresql_has_a_leader_and_a_synchronous_standby(site):
    listed = json.loads(root(site, "db1", "patronictl -c /etc/patroni/patroni.yml list --format json"))
    assert sorted(member["Role"] for member in listed) == ["Leader", "Sync Standby"]
    assert {member["TL"] for member in listed} == {listed[0]["TL"]}


def test_redis_has_a_master_a_replica_and_a_quorum(site):
    password = "$(cat /etc/onprem-dify/redis/admin.password)"
    admin = f"redis-cli --no-auth-warning -s /run/redis/admin.sock --user admin --pass {password} ROLE"
    assert sorted(root(site, host, admin).split("\n")[0] for host in ("db1", "db2")) == ["master", "slave"]
    secret = json.loads((site.lab.state / "secrets.json").read_text(encoding="utf-8"))["redis_sentinel"]
    pki = "/etc/onprem-dify/pki/redis"
    tls = f"--tls --cacert {pki}/ca.crt --cert {pki}/tls.crt --key {pki}/tls.key -p 26379"
    for host in HOSTS:
        said = root(
            site, host, f"redis-cli {tls} --user sentinel --pass {secret} --no-auth-warning SENTINEL CKQUORUM dify"
        )
        assert said.startswith("OK 3 usable Sentinels")


def test_a_client_writes_and_reads_through_each_endpoint(site):
    Clients(site).write("after")


def test_the_controls_of_the_data_hosts_pass(site):
    run = site.play("playbooks/verify.yml", limit="data", extra_vars={"verify_report_dir": str(site.folder / "verify")})
    assert run.status == "successful", run.failures
