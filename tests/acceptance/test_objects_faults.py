"""The object store under load while a host of it is lost: reads and writes go on, and nothing acknowledged is missing.

Three hosts keep two copies, so that both copies of a write find a place while one host is away.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from acceptance.faults import (
    STAGE,
    Load,
    changes,
    data_site,
    data_tree,
    endpoint,
    holders,
    lab,
    python,
    report,
    root,
    secret,
    within,
)

from lab import scratch

NETWORK = "92"
TREE = data_tree(NETWORK, "database", "objects", of_witness=("objects",))
# The masters miss a host that vanishes without a word after up to a minute: the keepalive of their gRPC.
SILENT = 75
# Until PostgreSQL has another primary.
CUT = 35
MEMBERS = ["db1", "db2", "witness1"]
KEYS = {"access_key": "NEWKEYOFDIFY00000001", "secret_key": "0123456789" * 4}
CLIENT = Path(__file__).resolve().parents[2] / "plugins/module_utils/s3.py"

COMMON = """
def connect():
    context = ssl.create_default_context(cadata=SETTINGS["ca"])
    keys = Keys(SETTINGS["access_key"], SETTINGS["secret_key"])
    return Client(SETTINGS["endpoint"], keys, context=context, timeout=5)

def content(number):
    return hashlib.sha256(str(number).encode()).digest() * 600

def ask(session, method, number, body=b""):
    answer = session.request(method, "dify", f"{SETTINGS['prefix']}/{number}", body=body)
    if not answer.good:
        raise S3Error(str(answer))
    return answer.body
"""
WRITER = """
def write(session, number):
    ask(session, "PUT", number, content(number))
"""
READER = """
def write(session, number):
    number = number % SETTINGS["stored"] + 1
    if ask(session, "GET", number) != content(number):
        raise S3Error(f"object {number} has another content")
"""
CHECK = """
import json, sys
session, kept, reasons = connect(), [], {}
for number in json.load(sys.stdin):
    # While a host has just vanished, a read may wait for it before it asks the other one.
    for attempt in range(12):
        try:
            if ask(session, "GET", number) == content(number):
                kept.append(number)
                break
            reasons[number] = "another content"
        except S3Error as error:
            reasons[number] = str(error)
            session.close()
            time.sleep(1)
print(json.dumps([kept, reasons]))
"""


class Store:
    """The store as an application on another host sees it."""

    def __init__(self, site: scratch.Site) -> None:
        self.site = site
        self.settings: dict[str, Any] = {
            "endpoint": f"https://{endpoint(site, 's3')}:8333",
            "access_key": secret(site, "s3_dify_access_key"),
            "secret_key": secret(site, "s3_dify_secret_key"),
            "ca": root(site, "db2", "cat /etc/onprem-dify/pki/seaweedfs/ca.crt"),
        }
        self.source = CLIENT.read_text(encoding="utf-8")

    def load(self, program: str, prefix: str, **more: Any) -> Load:
        return Load(self.site, "worker1", self.source + COMMON + program, {**self.settings, "prefix": prefix, **more})

    def kept(self, prefix: str, numbers: list[int]) -> set[int]:
        """Which of the objects can be read, with their content."""
        source = f"{self.source}{COMMON}SETTINGS = { ({**self.settings, 'prefix': prefix})!r}\n{CHECK}"
        command = python(self.site, "worker1", source)
        done = subprocess.run(command, input=json.dumps(numbers), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        kept, reasons = json.loads(done.stdout)
        if reasons:
            print(reasons)
        return set(kept)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[scratch.Site]:
    with data_site(tmp_path_factory.mktemp("objects"), "objects", NETWORK, TREE) as site:
        yield site


@pytest.fixture(scope="module")
def store(site: scratch.Site) -> Store:
    store = Store(site)
    with store.load(WRITER, "seed").running(0, 3):
        pass
    return store


@pytest.fixture(autouse=True)
def whole(site: scratch.Site, store: Store) -> Iterator[None]:
    yield
    lab(site, "heal")
    for member in MEMBERS:
        if site.ssh(member, "true").returncode != 0:
            lab(site, "start", member)
    for member in MEMBERS:
        within(120, partial(healthy, site, member), f"the object store of {member} is back")


def healthy(site: scratch.Site, host: str) -> bool:
    units = [f"seaweedfs-{process}.service" for process in ("master", "volume", "filer", "s3")]
    return site.ssh(host, f"sudo systemctl is-active --quiet {' '.join(units)}").returncode == 0


def break_under_load(store: Store, name: str, gap: float, *words: str, seconds: float = 45) -> None:
    prefix = f"fault-{name}-{time.monotonic_ns()}"
    writer, reader = store.load(WRITER, prefix), store.load(READER, "seed", stored=20)
    with reader.running(3, 3), writer.running(3, 3):
        lab(store.site, *words)
        time.sleep(seconds)
    numbers = [write.number for write in writer.acknowledged]
    lost = writer.lost(store.kept(prefix, numbers))
    report(f"objects: {name}, writes", writer, len(lost))
    report(f"objects: {name}, reads", reader)
    assert lost == []
    assert writer.longest_gap < gap
    assert reader.longest_gap < gap


@pytest.mark.parametrize("host", MEMBERS)
def test_reads_and_writes_go_on_when_a_host_loses_its_power(store: Store, host: str) -> None:
    break_under_load(store, f"power of {host} lost", 45, "kill", host)


def test_reads_and_writes_go_on_when_a_host_is_cut_off(site: scratch.Site, store: Store) -> None:
    break_under_load(store, "witness1 cut off", SILENT, "cut", "witness1", "db1,db2,worker1")


def test_a_host_that_is_cut_off_gives_up_the_address(site: scratch.Site, store: Store) -> None:
    address = endpoint(site, "s3")
    (old,) = holders(site, address, MEMBERS)
    others = [member for member in MEMBERS if member != old]
    prefix = f"fenced-{time.monotonic_ns()}"
    writer = store.load(WRITER, prefix)
    with writer.running(3, 15):
        # Clients still reach it.
        lab(site, "cut", old, ",".join(others))
        healed = time.monotonic() + CUT
        within(10, lambda: old not in holders(site, address, [old]), f"{old} lets go of the address")
        within(10, lambda: len(holders(site, address, others)) == 1, "the side with the majority takes the address")
        while time.monotonic() < healed:
            assert not answers(site, old, address)
            assert len(holders(site, address, MEMBERS)) == 1
        lab(site, "heal")
        for _look in range(8):
            assert len(holders(site, address, MEMBERS)) == 1
    lost = writer.lost(store.kept(prefix, [write.number for write in writer.acknowledged]))
    report("objects: the host with the address cut off from the others, writes", writer, len(lost))
    assert lost == []
    assert writer.longest_gap < SILENT


def answers(site: scratch.Site, host: str, address: str) -> bool:
    """Whether S3 answers on a host under an address."""
    asked = f"curl --silent --output /dev/null --cacert /etc/onprem-dify/pki/seaweedfs/ca.crt --max-time 1 https://{address}:8333/healthz"
    return site.ssh(host, f"sudo {asked}").returncode == 0


def test_new_keys_stop_no_client(site: scratch.Site, store: Store) -> None:
    prefix = f"keys-{time.monotonic_ns()}"
    old, new = store.load(WRITER, prefix), store.load(WRITER, f"{prefix}-new")
    with changes(site, {"objects_retire_keys": True}) as change:
        with old.running():
            change({f"s3_dify_{name}": value for name, value in KEYS.items()})
        new.settings.update(KEYS)
        assert [old.refusal(), new.refusal()] == ["", ""]
        lost = old.lost(store.kept(prefix, [write.number for write in old.acknowledged]))
        report("objects: new keys, writes", old, len(lost))
        assert lost == []
        assert [error for error in old.errors if "AccessDenied" in error or "403" in error] == []
        assert old.longest_gap < 5
        change({}, objects_retire_keys=True)
        assert "InvalidAccessKeyId" in old.refusal()
        assert new.refusal() == ""


def test_a_process_that_is_killed_is_hardly_felt(site: scratch.Site, store: Store) -> None:
    for process in ("s3", "filer", "volume", "master"):
        prefix = f"process-{process}-{time.monotonic_ns()}"
        writer = store.load(WRITER, prefix)
        with writer.running(3, 3):
            root(site, "db2", f"systemctl kill --signal=KILL seaweedfs-{process}.service")
            time.sleep(15)
        lost = writer.lost(store.kept(prefix, [write.number for write in writer.acknowledged]))
        report(f"objects: {process} of db2 killed, writes", writer, len(lost))
        assert lost == []
        # A master that is new as leader gives out no places for 15 seconds, until all volumes had the time to report.
        assert writer.longest_gap < 30


def test_a_lost_host_is_replaced_by_running_the_stage_again(site: scratch.Site, store: Store) -> None:
    prefix = f"replaced-{time.monotonic_ns()}"
    with store.load(WRITER, prefix).running(0, 5) as writer:
        pass
    numbers = [write.number for write in writer.acknowledged]
    root(site, "witness1", "systemctl stop seaweedfs-s3 seaweedfs-filer seaweedfs-volume seaweedfs-master")
    root(site, "witness1", "rm -rf /var/lib/seaweedfs /etc/seaweedfs /opt/onprem-dify/seaweedfs*")
    assert store.kept(prefix, numbers) == set(numbers)
    run = site.play(STAGE)
    assert run.status == "successful", run.failures
    # Copies come back by themselves within objects_repair_minutes; here at once.
    weed = f"weed -config_dir=/etc/seaweedfs shell -master={masters(site)}"
    root(site, "db1", f"echo 'lock; volume.fix.replication -apply; unlock' | {weed}")
    lab(site, "kill", "db2")
    within(60, lambda: store.kept(prefix, numbers[:1]) == set(numbers[:1]), "the store answers without db2")
    assert store.kept(prefix, numbers) == set(numbers)


def masters(site: scratch.Site) -> str:
    return ",".join(f"{site.lab.host(name).address}:9333" for name in MEMBERS)
