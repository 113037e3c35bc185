"""The VM as its operator sees it. Emulation makes each login expensive, so tests share one connection."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))

from lab import scratch, ssh, topology
from lab.topology import Host, Lab

INVENTORY = Path(__file__).resolve().parents[1] / "inventory"


class Machine:
    """A host of the lab, reached over SSH."""

    def __init__(self, lab: Lab, host: Host) -> None:
        self.lab, self.host = lab, host

    def login(self, *options: str, command: str = "true") -> subprocess.CompletedProcess[str]:
        """Log in with options of ssh, of which the first that is given wins."""
        words = ssh.command(self.lab, self.host, command, batch=True)
        words[1:1] = options
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120)

    def root(self, script: str) -> str:
        """Run a script as root and return what it printed; it must succeed."""
        shared = ("-oControlMaster=auto", f"-oControlPath={self.lab.state}/%h", "-oControlPersist=60")
        answer = self.login(*shared, command=f"sudo bash -c {shlex.quote(f'set -e; {script}')}")
        assert answer.returncode == 0, answer.stderr or answer.stdout
        return answer.stdout.strip()

    def refused(self, script: str) -> str:
        """Run a script as root that must fail, and return what it said."""
        return self.root(f"if said=$( ({script}) 2>&1 ); then echo no failure: $said >&2; exit 9; fi; echo $said")

    def forget_login(self) -> None:
        """Close the shared connection, before the machine is gone."""
        self.login(f"-oControlPath={self.lab.state}/%h", "-Oexit")


@pytest.fixture(scope="session")
def machine() -> Machine:
    lab = topology.read(str(INVENTORY))
    return Machine(lab, lab.hosts[0])


@pytest.fixture(scope="session")
def site() -> scratch.Site:
    return scratch.Site(INVENTORY)


@pytest.fixture(scope="session")
def started(machine: Machine) -> int:
    """When the lab gave the VM its address: all that the policy refuses from then on is ours."""
    return int(machine.root("stat --format=%Y /etc/onprem-lab/network"))
