"""Lab sites for the acceptance tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".ansible/collections"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab import scratch
from lab.runs import PROJECT


@pytest.fixture(scope="session")
def installed_collections(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the collection stands as it is installed, which does not change under a test, and those that it needs."""
    folder = tmp_path_factory.mktemp("collections")
    (folder / "ansible.cfg").touch()
    environment = {**os.environ, "ANSIBLE_CONFIG": str(folder / "ansible.cfg")}

    def galaxy(*words: object) -> None:
        command = ["ansible-galaxy", "collection", *map(str, words)]
        done = subprocess.run(
            command, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    galaxy("build", "--output-path", folder)
    (tarball,) = folder.glob("onprem-dify-*.tar.gz")
    galaxy("install", "--force", "--no-deps", "-p", folder / "own", tarball)
    others = folder / "others/ansible_collections"
    others.mkdir(parents=True)
    for namespace in (PROJECT / ".ansible/collections/ansible_collections").iterdir():
        if namespace.name != "onprem":
            (others / namespace.name).symlink_to(namespace)
    return f"{folder / 'own'}:{folder / 'others'}"


@pytest.fixture(scope="module")
def start_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., scratch.Site]]:
    """Start a fresh site: ``start_site("lockout", "88", ["db1", "worker1"])``; it is gone after the module."""
    with ExitStack() as stack:

        def start(name: str, network: str, keep: list[str] | None = None) -> scratch.Site:
            folder = scratch.copy_of_example(tmp_path_factory.mktemp(name), name, network, keep or ())
            return stack.enter_context(scratch.running(folder))

        yield start
