# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a controller from a bundle, on a machine that has Python and no internet.

    DIR/2026.11.25/venv           Ansible, from the wheels of the bundle
    DIR/2026.11.25/collections    this collection and those it depends on
    DIR/2026.11.25/env            what a shell has to know of them
    DIR/current                   leads to the release in use

A release is made beside the one in use, which stays until the new one is complete, and after that for the way back.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import File, Lock, hex_of
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store, StoreError, open_plain

OLDEST_PYTHON = (3, 11)
WHEELS, COLLECTIONS = "wheels/ansible-core/", "collections/"
CURRENT, ENVIRONMENT = "current", "env"


class InstallError(Exception):
    """The controller was not installed; the text is for the user."""


def install(bundle: Path, lock: Lock, target: Path, say: Callable[[str], None]) -> tuple[Path, bool]:
    """Install the controller of a verified bundle. Returns where it is, and whether anything was new."""
    if sys.version_info < OLDEST_PYTHON:
        raise InstallError(f"this is Python {sys.version.split()[0]}, and Ansible needs 3.11 or newer")
    target = target.absolute()
    home = target / lock.release
    new = not (home / ENVIRONMENT).is_file()
    if new:
        _build(Store(bundle), lock, home, target, say)
    return home, _point(target / CURRENT, lock.release) or new


def _build(store: Store, lock: Lock, home: Path, target: Path, say: Callable[[str], None]) -> None:
    wheels = [file for file in lock.files if file.path.startswith(WHEELS)]
    collections = [file for file in lock.files if file.path.startswith(COLLECTIONS)]
    pip = next((file for file in wheels if _name(file).startswith("pip-")), None)
    if not pip or not collections:
        raise InstallError(f"release {lock.release} holds no controller: no wheel of pip, or no collections")
    # What an installation left that was broken off.
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    try:
        carried = home / "carried"
        # Read once more on their way: between the verification and here somebody may have written to the medium.
        for file in wheels + collections:
            _take(store, file, carried)
        say(f"Ansible into {home / 'venv'}")
        # Without pip: where Python comes as a package of its own, the part that brings pip is missing.
        venv.EnvBuilder(symlinks=True, with_pip=False).create(home / "venv")
        python = home / "venv/bin/python"
        _install_wheels([str(python), str(carried / _name(pip) / "pip")], wheels, carried)
        say(f"{len(collections)} collections into {home / 'collections'}")
        _install_collections(python, [carried / _name(file) for file in collections], home / "collections")
        shutil.rmtree(carried)
        (home / ENVIRONMENT).write_text(_environment(target / CURRENT), encoding="utf-8")
    except (OSError, StoreError) as error:
        raise InstallError(str(error)) from error


def _take(store: Store, file: File, folder: Path) -> None:
    """A copy under the name that pip and Ansible expect, of the bytes that were signed."""
    own = Store(folder)
    with open_plain(store.path(file.digest)) as source:
        own.add(source, file.digest, file.size)
    own.path(file.digest).replace(folder / _name(file))


def _install_wheels(pip: Sequence[str], wheels: Sequence[File], folder: Path) -> None:
    """Let pip choose what fits this Python, then install exactly that, by the hashes of the lock."""
    offline = ["--disable-pip-version-check", "--no-input", "install", "--quiet", "--no-index", "--no-cache-dir"]
    offline += ["--only-binary=:all:", f"--find-links={folder}"]
    projects = sorted({_name(file).split("-")[0].replace("_", "-").lower() for file in wheels} - {"pip"})
    report = folder / "report.json"
    _run([*pip, *offline, "--dry-run", "--ignore-installed", f"--report={report}", *projects])
    chosen = json.loads(report.read_bytes())["install"]
    requirements = folder / "requirements.txt"
    requirements.write_text(_requirements([entry["metadata"] for entry in chosen], wheels), encoding="utf-8")
    _run([*pip, *offline, "--require-hashes", f"--requirement={requirements}"])


def _requirements(chosen: Sequence[Mapping[str, str]], wheels: Sequence[File]) -> str:
    hashes: dict[tuple[str, str], list[str]] = {}
    for file in wheels:
        project, version = _name(file).split("-")[:2]
        hashes.setdefault((_plain(project), version), []).append(f"--hash=sha256:{hex_of(file.digest)}")
    lines = [
        " ".join([f"{entry['name']}=={entry['version']}", *hashes[_plain(entry["name"]), entry["version"]]])
        for entry in chosen
    ]
    return "".join(f"{line}\n" for line in lines)


def _install_collections(python: Path, tarballs: Sequence[Path], place: Path) -> None:
    work = tarballs[0].parent
    (work / "ansible.cfg").touch()
    galaxy = [str(python), str(python.with_name("ansible-galaxy")), "collection", "install"]
    _run(
        [*galaxy, "--offline", "--no-deps", "--collections-path", str(place), *map(str, tarballs)],
        ANSIBLE_CONFIG=str(work / "ansible.cfg"),
        ANSIBLE_HOME=str(work / "home"),
    )


def _run(command: Sequence[str], **settings: str) -> None:
    # Settings of the person who runs this must not lead elsewhere.
    own = ("PIP_", "ANSIBLE_", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PYTHONNOUSERSITE": "1", **settings}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd="/")
    if done.returncode != 0:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise InstallError("\n".join([f"{Path(command[1]).name} failed:", *(f"  {line}" for line in lines[-10:])]))


def _point(link: Path, release: str) -> bool:
    """Put a release in use."""
    if link.is_symlink() and str(link.readlink()) == release:
        return False
    new = link.with_name(f"{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(release)
    new.replace(link)
    return True


def _environment(current: Path) -> str:
    return (
        f'export PATH={shlex.quote(str(current / "venv/bin"))}:"$PATH"\n'
        f"export ANSIBLE_COLLECTIONS_PATH={shlex.quote(str(current / 'collections'))}\n"
    )


def _name(file: File) -> str:
    return file.path.rpartition("/")[2]


def _plain(project: str) -> str:
    return project.replace("_", "-").replace(".", "-").lower()
