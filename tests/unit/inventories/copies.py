"""A copy of the example inventory, as a user makes one, with a vault password of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from unit.inventories import overlay

ROOT = Path(__file__).resolve().parents[3]


class Site:
    """A copy of inventories/prod, with a vault password of its own."""

    def __init__(self, folder: Path) -> None:
        self.inventory = folder / "mysite"
        self.secrets = self.inventory / "group_vars/all/secrets.yml"
        self.password_file = folder / "vault_password"
        shutil.copytree(overlay.GOOD, self.inventory, ignore=shutil.ignore_patterns("secrets.yml"))
        self.password_file.write_text(overlay.VAULT_PASSWORD, encoding="utf-8")

    def play(self, playbook: str, *arguments: str, vault: bool = True) -> subprocess.CompletedProcess[str]:
        command = [Path(sys.executable).with_name("ansible-playbook"), ROOT / "playbooks" / playbook]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        for name in ("ANSIBLE_VAULT_PASSWORD_FILE", "ANSIBLE_FORCE_COLOR"):
            environment.pop(name, None)
        if vault:
            environment["ANSIBLE_VAULT_PASSWORD_FILE"] = str(self.password_file)
        return subprocess.run(
            [*command, "-i", self.inventory, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def values(self) -> dict[str, str]:
        values: dict[str, str] = yaml.safe_load(overlay.vault().decrypt(self.secrets.read_bytes()))["site_secrets"]
        return values
