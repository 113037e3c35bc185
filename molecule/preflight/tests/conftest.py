"""The project as a user of it sees it: its playbooks on the command line, its lab."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = ROOT / "molecule/preflight/inventory"
for folder in (ROOT / ".ansible/collections", ROOT / "tests"):
    sys.path.insert(0, str(folder))


@dataclass(frozen=True)
class Answer:
    """What a run of preflight ended with and printed."""

    code: int
    output: str

    @property
    def findings(self) -> list[str]:
        """The lines of findings; each ends with the id of its check."""
        return re.findall(r"^  (\S.* \[[a-z-]+\])$", self.output, re.MULTILINE)


def run_preflight(*arguments: str, inventory: Path = INVENTORY, vault_password_file: Path | None = None) -> Answer:
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environment.pop("ANSIBLE_FORCE_COLOR", None)
    if vault_password_file:
        environment["ANSIBLE_VAULT_PASSWORD_FILE"] = str(vault_password_file)
    command = ["ansible-playbook", str(ROOT / "playbooks/preflight.yml"), "-i", str(inventory), *arguments]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return Answer(run.returncode, run.stdout + run.stderr)


@pytest.fixture(scope="session")
def preflight() -> Callable[..., Answer]:
    """Run preflight, on the machines of the scenario if no other inventory is given."""
    return run_preflight


@pytest.fixture(scope="session")
def on_node() -> Callable[[str, str], str]:
    def run(node: str, command: str) -> str:
        lab = [str(ROOT / "tests/lab/lab"), "ssh", "-i", str(INVENTORY), node, command]
        return subprocess.run(lab, capture_output=True, text=True, check=True).stdout.strip()

    return run
