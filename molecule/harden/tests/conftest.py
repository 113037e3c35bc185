"""The controller's way into a node: real logins over SSH."""

from __future__ import annotations

import functools
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))

from lab import ssh, topology

read = functools.lru_cache(topology.read)


class Node:
    """A machine of the lab."""

    def __init__(self, host) -> None:
        self.lab = read(str(host.backend.ansible_runner.inventory_file))
        self.machine = self.lab.host(host.backend.host)

    def login(self, *options: str, command: str = "true") -> subprocess.CompletedProcess[str]:
        """Log in with options of ssh, of which the first that is given wins."""
        words = ssh.command(self.lab, self.machine, command, batch=True)
        words[1:1] = options
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the operator."""
        return self.login(
            "-oControlMaster=auto", f"-oControlPath={self.lab.state}/%h", "-oControlPersist=60", command=command
        )

    def root(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as root."""
        return self.run(f"sudo bash -c {shlex.quote(script)}")


@pytest.fixture(scope="module")
def node(host) -> Node:
    return Node(host)


@pytest.fixture(scope="module")
def only_one(host) -> None:
    """Skip all nodes but the first: they have the same system, and what asks for this takes time."""
    if host.backend.host != read(str(host.backend.ansible_runner.inventory_file)).hosts[0].name:
        pytest.skip("one node is as good as another")
