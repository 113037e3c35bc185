"""Load on a service from a host of another zone while something breaks: what was acknowledged, and the longest pause.

A `Load` runs a small program with the Python of a lab host. The program defines ``connect()`` and
``write(session, number)``, which returns something for the record, such as how many replicas confirmed it. It may use
``SETTINGS``.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from lab import scratch, ssh

# What a change is made with while a site is used.
STAGE = os.environ.get("FAULTS_STAGE", "playbooks/data.yml")
# Numbers each write, and never the same one twice: what was not acknowledged may have been done or not.
LOOP = """
import json, sys, threading, time

def loop(pause):
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    number, session, connections = 0, None, 0
    while not stop.is_set():
        number += 1
        began = time.monotonic()
        try:
            if session is None:
                session, connections = connect(), connections + 1
            note = write(session, number)
            print(json.dumps([number, began, time.monotonic(), connections, note]), flush=True)
        except Exception as error:
            print(json.dumps([number, began, None, connections, repr(error)[:200]]), flush=True)
            try:
                session.close()
            except Exception:
                pass
            session = None
        time.sleep(pause)

loop(SETTINGS["pause"])
"""


@dataclass
class Write:
    number: int
    began: float
    ended: float | None
    connection: int
    note: Any

    @property
    def acknowledged(self) -> bool:
        return self.ended is not None


@dataclass
class Load:
    """Writes from `host`; `program` is Python source, `settings` plain data for it."""

    site: scratch.Site
    host: str
    program: str
    settings: dict[str, Any] = field(default_factory=dict)
    pause: float = 0.02
    writes: list[Write] = field(default_factory=list)

    @contextmanager
    def running(self, before: float = 3, after: float = 3) -> Iterator[Load]:
        """Load while the body runs, some seconds before, and until it works again and some seconds more."""
        process = self._start()
        try:
            time.sleep(before)
            yield self
            time.sleep(after)
        finally:
            out, err = process.communicate("")
        self.writes = [Write(*json.loads(line)) for line in out.splitlines()]
        assert self.acknowledged, f"nothing was ever acknowledged: {self.errors[:3] or err}"

    def _start(self) -> subprocess.Popen[str]:
        settings = {"pause": self.pause, **self.settings}
        return subprocess.Popen(
            python(self.site, self.host, f"{self.program}\nSETTINGS = {settings!r}\n{LOOP}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def acknowledged(self) -> list[Write]:
        return [write for write in self.writes if write.acknowledged]

    @property
    def errors(self) -> list[str]:
        return [str(write.note) for write in self.writes if not write.acknowledged]

    @property
    def longest_gap(self) -> float:
        """Seconds between two acknowledgements, also from the first try and until the last."""
        moments = [self.writes[0].began, *(write.ended for write in self.acknowledged), self.writes[-1].began]
        return max(later - earlier for earlier, later in pairwise(moments))

    def lost(self, kept: set[int], confirmed: Callable[[Write], bool] = lambda _write: True) -> list[int]:
        """Acknowledged writes that are not there any more."""
        return [write.number for write in self.acknowledged if confirmed(write) and write.number not in kept]

    def refusal(self) -> str:
        """Why one write of number 0 fails now; empty if it does not."""
        once = "try:\n    write(connect(), 0)\nexcept Exception as error:\n    print(repr(error))"
        source = f"{self.program}\nSETTINGS = {self.settings!r}\n{once}"
        done = subprocess.run(python(self.site, self.host, source), capture_output=True, text=True, check=True)
        return done.stdout.strip()


def python(site: scratch.Site, host: str, source: str) -> list[str]:
    """The command that runs Python source on a host, with what comes in for it to read."""
    code = base64.b64encode(source.encode()).decode()
    return ssh.command(site.lab, site.lab.host(host), f"python3 -c 'import base64; exec(base64.b64decode(\"{code}\"))'")


def report(name: str, load: Load, lost: int | None = None) -> None:
    """One line for people, and one for the failover table if FAULTS_REPORT names a file."""
    figures = {
        "fault": name,
        "gap": round(load.longest_gap, 2),
        "acknowledged": len(load.acknowledged),
        "failed": len(load.errors),
        "lost": lost,
    }
    print(json.dumps(figures))
    if os.environ.get("FAULTS_REPORT"):
        with Path(os.environ["FAULTS_REPORT"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")


def data_tree(network: str, *groups: str, of_witness: tuple[str, ...] = ()) -> dict[str, Any]:
    """Groups of an inventory: a client, two data hosts in all of `groups`, and a witness, in those `of_witness` too."""
    servers = {name: {"ansible_host": f"10.{network}.3.1{number}"} for number, name in enumerate(("db1", "db2"), 1)}
    witness = {"witness1": {"ansible_host": f"10.{network}.3.21"}}
    client = {"worker1": {"ansible_host": f"10.{network}.2.21"}}
    data = {group: {"hosts": servers | (witness if group in of_witness else {})} for group in groups}
    data["witness"] = {"hosts": witness}
    return {"app": {"children": {"workers": {"hosts": client}}}, "data": {"children": data}}


@contextmanager
def hardened_site(made: Callable[[], Path], playbook: str) -> Iterator[scratch.Site]:
    """The site of a folder, hardened, after the playbook; or that of FAULTS_SITE, which is left as it is."""
    existing = os.environ.get("FAULTS_SITE")
    if existing:
        yield scratch.Site(Path(existing))
        return
    with scratch.running(made()) as site:
        for step in ("playbooks/harden.yml", "playbooks/segment.yml", playbook):
            run = site.play(step)
            assert run.status == "successful", run.failures
        yield site


@contextmanager
def data_site(folder: Path, name: str, network: str, tree: dict[str, Any]) -> Iterator[scratch.Site]:
    """A hardened site with its data tier."""
    made = partial(scratch.copy_of_example, folder, name, network, tree=tree)
    with hardened_site(made, "playbooks/data.yml") as site:
        yield site


@contextmanager
def changes(site: scratch.Site, retire: dict[str, Any]) -> Iterator[Callable[..., None]]:
    """Run the stage with other secrets and variables; afterwards once more with those of before, and with `retire`."""
    file = site.lab.state / "secrets.json"
    before = file.read_text(encoding="utf-8")

    def change(secrets: dict[str, str], **variables: Any) -> None:
        file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **secrets}), encoding="utf-8")
        done = site.play(STAGE, extra_vars=variables)
        assert done.status == "successful", done.failures

    try:
        yield change
    finally:
        change(json.loads(before), **retire)


def root(site: scratch.Site, host: str, command: str) -> str:
    """The output of a command of root on a host."""
    done = site.ssh(host, f"sudo sh -c {shlex.quote(command)}")
    assert done.returncode == 0, f"{host}: {command}: {done.stdout}{done.stderr}"
    return done.stdout


def lab(site: scratch.Site, *words: str) -> None:
    done = site.command(*words)
    assert done.returncode == 0, done.stderr


def within(seconds: float, fact: Callable[[], bool], what: str) -> float:
    """Wait for a fact; how long that took."""
    started = time.monotonic()
    while not fact():
        assert time.monotonic() - started < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.3)
    return time.monotonic() - started


def endpoint(site: scratch.Site, name: str) -> str:
    """The address of an endpoint of the site."""
    return str(scratch.load(site.inventory / "group_vars/all/site.yml")["site_endpoints"][name])


def secret(site: scratch.Site, name: str) -> str:
    return str(json.loads((site.lab.state / "secrets.json").read_text(encoding="utf-8"))[name])


def holders(site: scratch.Site, address: str, hosts: list[str]) -> list[str]:
    """The hosts that carry an address. One that is off carries none."""
    found = []
    for host in hosts:
        done = site.ssh(host, "ip -oneline address show")
        if done.returncode == 0 and f" {address}/" in done.stdout:
            found.append(host)
    return found
