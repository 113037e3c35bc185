"""The data tier as its clients see it: programs run on hosts of the lab, with what Python has."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))

from lab import scratch, ssh


class Site(scratch.Site):
    def run(self, host: str, program: str, **settings: Any) -> Any:
        """Run Python on a host as root; what it calls ``answer`` comes back."""
        source = f"{program}\nimport json\nprint(json.dumps(answer))"
        words = ssh.command(self.lab, self.lab.host(host), "sudo python3 -", batch=True)
        words[1:1] = ["-oControlMaster=auto", f"-oControlPath={self.lab.state}/%h", "-oControlPersist=60"]
        text = source.replace("SETTINGS", repr(settings))
        done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def root(self, host: str, command: str) -> str:
        done = self.ssh(host, f"sudo bash -c {shlex.quote(command)}")
        assert done.returncode == 0, f"{host}: {command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def address(self, name: str) -> str:
        """Of a host, or of an endpoint."""
        endpoints = scratch.load(self.inventory / "group_vars/all/site.yml")["site_endpoints"]
        return str(endpoints[name]) if name in endpoints else self.lab.host(name).address

    @property
    def authorities(self) -> str:
        return (self.lab.state / "pki/root.crt").read_text(encoding="utf-8")

    def secret(self, name: str) -> str:
        return str(json.loads((self.lab.state / "secrets.json").read_text(encoding="utf-8"))[name])


@pytest.fixture(scope="session")
def site(pytestconfig) -> Site:
    return Site(Path(pytestconfig.getoption("ansible_inventory")))
