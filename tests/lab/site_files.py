"""What a real site keeps in its own folder and a lab makes when it comes up: secrets, pins, repositories, served files.

inventories/lab/group_vars/all/lab.yml reads the files that are written here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from . import debian, pods, product
from .artifacts import catalogue, golang, pgvector, store
from .cgroups import Members
from .progress import Progress
from .sources import of_this_machine
from .topology import SERVED, Lab


def up(lab: Lab, members: Members, progress: Progress) -> None:
    """Write the files of the site; each artifact is served and pinned as soon as it is there."""
    make_secrets(lab)
    if any(host.runs_pods for host in lab.hosts):
        write(lab.file_of_site("kubernetes"), pods.variables(pods.this_machine()))
    pins, repositories = from_mirror(lab)
    write(lab.file_of_site("pins"), pins)
    write(lab.file_of_site("repositories"), repositories)
    for artifact, source in catalogue.ensure(lab, members, progress):
        folder, url = lab.served / artifact.component, f"{lab.mirror}/{SERVED}/{artifact.component}"
        store.serve(source, folder)
        pins[artifact.component] = {**pins.get(artifact.component, {}), **artifact.pin(folder, url)}
        write(lab.file_of_site("pins"), pins)
        if artifact.component == "pgvector":
            repositories.append(pgvector.repository(url, folder, lab.suite))
            write(lab.file_of_site("repositories"), repositories)


def make_secrets(lab: Lab) -> None:
    """Make the secrets that are missing, and leave those that are there."""
    file = lab.file_of_site("secrets")
    existing = json.loads(file.read_text()) if file.exists() else {}
    groups: dict[str, list[str]] = {"all": [host.name for host in lab.hosts]}
    zone_of_group = product.module_utils("site").ZONE_OF_GROUP
    for host in lab.hosts:
        for group in {*host.groups, *(zone_of_group[group] for group in host.groups if group in zone_of_group)}:
            groups.setdefault(group, []).append(host.name)
    secrets = product.module_utils("site_secrets").complete(existing, groups)
    if secrets != existing:
        write(file, secrets, mode=0o600)


def from_mirror(lab: Lab) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Pins of packages as the machine's mirror has them, and the repositories that it has besides the release."""
    if lab.suite not in debian.SYSTEM:
        return {}, []
    pins, suites = of_debian(lab.suite, golang.ARCHITECTURE, lab.cache)
    return pins, debian.repositories(suites, lab.suite, lab.mirror)


def of_debian(suite: str, architecture: str, cache: Path) -> tuple[dict[str, Any], list[str]]:
    """Pins with the versions of packages that Debian has today, and the suites that the machine's mirror has."""
    bundle = debian.bundle()
    names = [name for pin in bundle.values() for name in debian.package_names(pin)]
    offer = debian.offer(of_this_machine(), suite, architecture, names, store.root(cache) / "versions")
    return debian.pins(bundle, offer["versions"], suite), offer["suites"]


def write(file: Path, content: object, mode: int = 0o644) -> None:
    """Replace a file in one step: a playbook may be reading it."""
    part = file.with_name(f".{file.name}")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as opened:
        json.dump(content, opened, indent=1)
    part.replace(file)
