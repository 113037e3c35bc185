"""The example inventory as a user copies it: secrets are made, kept, and preflight then passes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from unit.inventories import overlay
from unit.inventories.copies import Site

from ansible_collections.onprem.dify.plugins.module_utils import site_secrets
from ansible_collections.onprem.dify.plugins.module_utils.storage import secrets_elsewhere


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
    assert set(site.values()) == set(site_secrets.forms_of()) - secrets_elsewhere({"backups": "local"}, ["dify"])
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
