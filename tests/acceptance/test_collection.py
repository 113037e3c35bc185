"""The collection as a site gets it: a tarball, installed, run by its full name."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from lab.runs import PROJECT
from lab.scratch import copy_of_example

EXPECTED = {
    *("CHANGELOG.rst", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "changelogs", "collections.txt"),
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


def test_the_site_runs_from_an_installed_collection(tarball, tmp_path):
    collections = tmp_path / "collections"
    # Forced, as the checkout itself counts as installed.
    run("ansible-galaxy", "collection", "install", "--force", "--no-deps", "-p", str(collections), str(tarball))
    inventory = copy_of_example(tmp_path / "inventory", "installed", "94", ["db1"])
    empty = tmp_path / "ansible.cfg"
    empty.touch()
    paths = f"{collections}:{without_the_checkout(tmp_path / 'others')}"
    answer = run(
        *("ansible-playbook", "onprem.dify.site", "-i", str(inventory), "--tags", "inventory"),
        environment={"ANSIBLE_CONFIG": str(empty), "ANSIBLE_COLLECTIONS_PATH": paths},
        cwd=tmp_path,
    )
    assert "Preflight of the inventory: no findings" in answer


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
