"""The site under test, and a way to reach its hosts from addresses that are none of its own."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / ".ansible/collections"))

from ansible_collections.onprem.dify.plugins.module_utils.probe_sockets import Target, try_all
from ansible_collections.onprem.dify.plugins.modules import listen
from lab import scratch, ssh

SOCKETS = scratch.ROOT / "plugins/module_utils/probe_sockets.py"


class Site(scratch.Site):
    """The lab, with a hand in its firewalls."""

    def root(self, host: str, script: str, text: str | None = None) -> str:
        """Run a script as root, over one login that is kept."""
        words = ssh.command(self.lab, self.lab.host(host), f"sudo bash -c {shlex.quote(script)}", batch=True)
        words[1:1] = ["-oControlMaster=auto", f"-oControlPath={self.lab.state}/%h", "-oControlPersist=60"]
        done = subprocess.run(words, input=text or "", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def address(self, host: str) -> str:
        return self.lab.host(host).address

    def probe(self):
        report = self.folder / "probe"
        run = self.play("playbooks/probe.yml", extra_vars={"probe_report_folder": str(report)})
        text = (report / "probe.txt").read_text(encoding="utf-8")
        return run, [line.removeprefix("WRONG").strip() for line in text.splitlines() if line.startswith("WRONG")]

    @contextmanager
    def stranger(self, address: str) -> Iterator[None]:
        """Give the bridge an address that belongs to nothing the inventory names."""
        words = ["ip", "address", "{}", f"{address}/32", "dev", self.lab.bridge]
        subprocess.run([word.format("add") for word in words], check=True)
        try:
            yield
        finally:
            subprocess.run([word.format("del") for word in words], check=True)

    def reached_from(self, source: str, ports: list[str]) -> set[tuple[str, str]]:
        """Return what answers ``source``: pairs of host and port like tcp/22."""
        tries = [(host.name, port) for host in self.lab.hosts for port in ports]
        targets = [
            Target(self.address(host), port.partition("/")[2], port.partition("/")[0], "shut") for host, port in tries
        ]
        answers = try_all(targets, 1.5, 400, source)
        return {attempt for attempt, answer in zip(tries, answers, strict=True) if answer != "shut"}

    def from_pod(self, node: str, tries: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Return what a pod on ``node`` finds at pairs of address and port like tcp/22."""
        targets = [(address, port.partition("/")[2], port.partition("/")[0], "shut") for address, port in tries]
        script = f"{SOCKETS.read_text(encoding='utf-8')}\nprint(*try_all([Target(*t) for t in {targets!r}], 1.5, 99))\n"
        program = "import sys; exec(compile(sys.stdin.read(), 'probe', 'exec'))"
        found = self.root(node, f"ip netns exec pod1 python3 -c {shlex.quote(program)}", script)
        return dict(zip(tries, found.split(), strict=True))


@pytest.fixture(scope="session")
def site(pytestconfig) -> Site:
    return Site(Path(pytestconfig.getoption("ansible_inventory")))


@pytest.fixture
def listening(site):
    """Listeners on all hosts, on top of what runs there."""

    def start(*ports: str) -> None:
        words = ["/usr/bin/python3" if word == sys.executable else word for word in listen.command(list(ports), 60)]
        for host in site.lab.hosts:
            site.root(host.name, shlex.join(words))

    yield start
    for host in site.lab.hosts:
        site.root(host.name, f"systemctl stop {listen.UNIT}")
