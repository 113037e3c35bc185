"""The collection as a site gets it: a tarball, installed, run by its full name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import pins
from ansible_collections.onprem.dify.plugins.plugin_utils import collection_files
from lab.runs import PROJECT

EXPECTED = {
    *(
        "bundle",
        "releases",
        "CHANGELOG.rst",
        "FILES.json",
        "LICENSE",
        "MANIFEST.json",
        "README.md",
        "changelogs",
        "collections.txt",
    ),
    *("docs", "inventories", "meta", "playbooks", "plugins", "requirements.txt", "roles", "site.yml"),
}


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tarball")
    run("ansible-galaxy", "collection", "build", "--output-path", str(folder))
    (found,) = folder.glob("onprem-dify-*.tar.gz")
    return found


def test_the_tarball_holds_the_collection_and_nothing_else(tarball):
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    assert {name.split("/")[0] for name in names} <= EXPECTED
    assert [name for name in names if "secrets.yml" in name and not name.startswith("playbooks/")] == []


@pytest.fixture
def installed(tarball: Path, tmp_path: Path) -> Callable[..., str]:
    """Run a playbook of the collection as it is after its installation, far from the checkout."""
    # Forced, as the checkout itself counts as installed.
    run("ansible-galaxy", "collection", "install", "--force", "--no-deps", "-p", str(tmp_path), str(tarball))
    others = without_the_checkout(tmp_path / "others")
    inventory = shutil.copytree(PROJECT / "inventories/prod", tmp_path / "inventory")
    password = tmp_path / "password"
    password.write_text("the password of a test\n")
    configuration = tmp_path / "ansible.cfg"
    configuration.touch()
    environment = {"ANSIBLE_CONFIG": str(configuration), "ANSIBLE_COLLECTIONS_PATH": f"{tmp_path}:{others}"}
    environment["ANSIBLE_VAULT_PASSWORD_FILE"] = str(password)

    def play(playbook: str, *options: str) -> str:
        words = ("ansible-playbook", playbook, "-i", str(inventory), *options)
        return run(*words, environment=environment, cwd=tmp_path)

    return play


def test_every_stage_is_found_by_its_full_name(installed):
    stages = installed("onprem.dify.site", "--list-tasks")
    for task in ("Check the inventory", "Harden the hosts", "Allow the flows of the site and drop the rest"):
        assert task in stages


def test_secrets_and_preflight_run_from_an_installed_collection(installed):
    installed("onprem.dify.secrets")
    assert "Preflight of the inventory: no findings" in installed("onprem.dify.preflight", "--tags", "inventory")


def test_a_file_that_is_asked_for_is_written_where_one_stands(installed, tmp_path):
    installed("onprem.dify.drawing", "-e", "drawing=mysite.svg")
    assert "<svg" in (tmp_path / "mysite.svg").read_text()
    installed("onprem.dify.secrets")
    values = ("-e", json.dumps({"site_pins": reviewed()}), "-e", "dify_manifests_file=dify.yml")
    installed("onprem.dify.dify_manifests", *values)
    assert "kind: Namespace" in (tmp_path / "dify.yml").read_text()


def reviewed() -> dict[str, Any]:
    """As if a site had asked for the digests that no maker published."""
    bundle = {name: pins.to_resolve(pin).images for name, pin in collection_files.bundle().items()}
    digest = f"sha256:{'0' * 64}"
    return {
        component: {"images": [{"name": name, "tag": tag, "digest": digest} for name, tag in images]}
        for component, images in bundle.items()
        if images
    }


def without_the_checkout(folder: Path) -> Path:
    """The collections that ours depends on, as they are installed here."""
    source = PROJECT / ".ansible/collections/ansible_collections"
    for namespace in source.iterdir():
        if namespace.name != "onprem":
            (folder / "ansible_collections").mkdir(parents=True, exist_ok=True)
            (folder / "ansible_collections" / namespace.name).symlink_to(namespace)
    return folder


def run(*words: str, environment: dict[str, str] | None = None, cwd: Path = PROJECT) -> str:
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
