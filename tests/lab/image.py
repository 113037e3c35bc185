"""The root of all nodes: built once, kept in the cache under a hash of what it is made of, never written again.

It belongs to the users of the nodes' user namespace, and once more to those of the machine for nodes that run pods.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .cgroups import Members
from .errors import LabError
from .owners import FIRST_ID, SHIFT, shift
from .recipe import NODE_FILES, NODE_SETUP, PACKAGES
from .sources import Mirror, of_this_machine
from .system import remove_tree
from .topology import Lab

BUILD = "_image"


def building_names(site: str) -> tuple[str, str]:
    """Each lab builds under names of its own, so that `down` knows what a killed build left."""
    # No site has an underscore in its name.
    return f".building_{site}", f".building_{site}_files"


def key(suite: str, mirror: Mirror, first_id: int) -> str:
    recipe = json.dumps([suite, mirror.archive, mirror.security, PACKAGES, NODE_FILES, NODE_SETUP, first_id, SHIFT])
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def path(lab: Lab, first_id: int = FIRST_ID) -> Path:
    return lab.cache / "images" / f"{lab.suite}-{key(lab.suite, of_this_machine(), first_id)}"


def ensure(lab: Lab, members: Members, first_id: int = FIRST_ID) -> tuple[Path, float]:
    """Return the root for the lab's nodes and the seconds it took to build (0 if it was there)."""
    root = path(lab, first_id)
    started = time.monotonic()
    with one_builder(root.parent):
        if root.is_dir():
            return root, 0.0
        building = root.with_name(building_names(lab.name)[0])
        members.kill(BUILD)
        remove_tree(building)
        _build(lab, members, building)
        shift(building, first_id)
        building.rename(root)
    return root, time.monotonic() - started


@contextmanager
def one_builder(folder: Path) -> Iterator[None]:
    """Labs that start together share the work: one builds, the others wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _build(lab: Lab, members: Members, target: Path) -> None:
    files = target.with_name(building_names(lab.name)[1])
    remove_tree(files)
    for name, content in NODE_FILES.items():
        file = files / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    setup = lab.state / "image-setup"
    setup.write_text(NODE_SETUP)
    setup.chmod(0o755)
    log = lab.state / "image.log"
    log.unlink(missing_ok=True)
    options = [
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(PACKAGES)}",
        "--dpkgopt=force-unsafe-io",
        '--aptopt=Acquire::Check-Valid-Until "false"',
        f'--customize-hook=cp -rT {files} "$1"',
        f"--customize-hook={setup}",
    ]
    sources = [line for line in of_this_machine().entries(lab.suite) if served(line)]
    if not sources:
        raise LabError(f"{lab.suite}: the machine's Debian mirror does not serve it")
    code = members.run(BUILD, ["mmdebstrap", *options, lab.suite, str(target), *sources], log)
    remove_tree(files)
    if code != 0:
        raise LabError(f"the base image could not be built: see {log}")


def served(entry: str) -> bool:
    """Whether the mirror has the suite: a dated mirror may not have newer ones."""
    _, uri, suite, _ = entry.split()
    request = urllib.request.Request(f"{uri}/dists/{suite}/InRelease", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=20):
            return True
    except urllib.error.HTTPError:
        return False
    except OSError as error:
        raise LabError(f"{uri}: the Debian mirror does not answer ({error})") from error
