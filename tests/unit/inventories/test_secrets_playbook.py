"""The example inventory as a user copies it: secrets are made, kept, and preflight then passes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from unit.inventories import overlay

from ansible_collections.onprem.dify.plugins.module_utils import site_secrets
from ansible_collections.onprem.dify.plugins.module_utils.storage import secrets_elsewhere

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


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_example_passes_preflight_once_its_secrets_are_made(site: Site) -> None:
    assert "[secret-missing]" in site.play("preflight.yml", "--tags", "inventory").stdout
    made = site.play("secrets.yml")
    assert made.returncode == 0, made.stdout
    assert site.secrets.stat().st_mode & 0o777 == 0o600
    assert not [value for value in site.values().values() if value in made.stdout]
    checked = site.play("preflight.yml", "--tags", "inventory")
    assert checked.returncode == 0, checked.stdout


def test_existing_secrets_are_kept_and_missing_ones_added(site: Site) -> None:
    site.secrets.write_bytes(
        overlay.vault().encrypt("{site_secrets: {postgres_dify: given by another team}, other: 1}")
    )
    assert "changed=1" in site.play("secrets.yml").stdout
    assert site.values()["postgres_dify"] == "given by another team"
    # The example keeps its backups on a disk.
    assert set(site.values()) == set(site_secrets.FORM_OF) - secrets_elsewhere({"backups": "local"})
    before = site.secrets.read_bytes()
    assert "changed=0" in site.play("secrets.yml").stdout
    assert site.secrets.read_bytes() == before


def test_a_dry_run_makes_nothing(site: Site) -> None:
    assert "would make postgres_replication" in site.play("secrets.yml", "--check").stdout
    assert not site.secrets.exists()


@pytest.mark.parametrize(
    ("file", "content", "vault", "message"),
    [
        ("unrelated.yml", "{}", False, "Ansible has no vault password"),
        ("group_vars/all/secrets.yml", "site_secrets: {}", True, "is not encrypted"),
        ("group_vars/all/others.yml", "site_secrets: {redis_dify: x}", True, "is also set outside of"),
    ],
)
def test_it_refuses_in_plain_words(site: Site, file: str, content: str, vault: bool, message: str) -> None:
    (site.inventory / file).write_text(content, encoding="utf-8")
    refused = site.play("secrets.yml", vault=vault)
    assert refused.returncode != 0
    assert message in refused.stdout
    assert "Traceback" not in refused.stdout + refused.stderr


def test_it_does_not_hide_variables_that_stand_in_a_file(site: Site) -> None:
    shutil.move(site.inventory / "group_vars/all/site.yml", site.inventory / "group_vars/all.yml")
    (site.inventory / "group_vars/all").rmdir()
    refused = site.play("secrets.yml")
    assert "would hide" in refused.stdout
    assert not site.secrets.exists()
