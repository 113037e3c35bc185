"""The cache of artifacts: each is a folder, built once, kept under a hash of what it is made of."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cgroups import Members
from ..errors import LabError
from ..image import one_builder
from ..progress import Progress
from ..system import remove_tree, unmount_below
from ..topology import Lab

MEMBER = "_artifacts"
VARIABLE = "LAB_ARTIFACTS"


@dataclass(frozen=True)
class Workshop:
    """Where an artifact is built: programs run as a member of the lab, so that `down` ends them."""

    lab: Lab
    members: Members
    artifact: Artifact
    folder: Path

    def run(self, *argv: str | Path, environment: Mapping[str, str] | None = None) -> None:
        settings = [f"{name}={value}" for name, value in (environment or {}).items()]
        command = ["env", *settings, "nice", *map(str, argv)]
        if self.members.run(self.member, command, self.log) != 0:
            raise LabError(f"{self.artifact.component} could not be built: see {self.log}")

    @property
    def member(self) -> str:
        return f"{MEMBER}_{self.artifact.component}"

    @property
    def log(self) -> Path:
        return self.lab.state / f"artifact-{self.artifact.component}.log"

    @property
    def scrap(self) -> Path:
        """A folder beside the artifact that goes away with the build."""
        return self.folder.with_name(f"{self.folder.name}_scrap")


@dataclass(frozen=True)
class Artifact:
    """A component of the bundle that this machine builds for the hosts of a lab."""

    component: str
    version: str
    groups: tuple[str, ...]
    ingredients: str
    build: Callable[[Workshop], None]
    # What `site_pins` says of it, from the folder with its files and the address at which that is served.
    pin: Callable[[Path, str], Mapping[str, Any]]
    archive: str = ""

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.version}\n{self.ingredients}".encode()).hexdigest()[:16]

    def wanted(self, lab: Lab) -> bool:
        return any(group in host.groups for host in lab.hosts for group in self.groups)


def root(cache: Path) -> Path:
    return cache / "artifacts"


def cached(lab: Lab, artifact: Artifact) -> Path:
    return root(lab.cache) / artifact.component / artifact.key


def given(artifact: Artifact) -> Path | None:
    """The artifact in the folder of ready ones: as a folder of its name, or as the archive."""
    folder = os.environ.get(VARIABLE)
    names = [artifact.component, artifact.archive] if artifact.archive else [artifact.component]
    paths = [Path(folder, name) for name in names] if folder else []
    return next((path for path in paths if path.exists()), None)


def to_build(lab: Lab, artifact: Artifact) -> bool:
    return given(artifact) is None and not cached(lab, artifact).is_dir()


def ensure(lab: Lab, members: Members, artifact: Artifact, progress: Progress) -> Path:
    """Return the folder or archive of an artifact, building it if need be."""
    ready = given(artifact)
    if ready:
        return ready
    target = cached(lab, artifact)
    name = f"{artifact.component} {artifact.version}"
    with progress.working(f"building {name}, once"), one_builder(target.parent):
        if target.is_dir():
            return target
        started = time.monotonic()
        workshop = Workshop(lab, members, artifact, building(lab.name, target.parent))
        members.kill(workshop.member)
        forget(unfinished(lab.name, target.parent))
        workshop.folder.mkdir(mode=0o755)
        workshop.scrap.mkdir()
        workshop.log.unlink(missing_ok=True)
        progress.say(f"{name} is built, once (log: {workshop.log})")
        artifact.build(workshop)
        remove_tree(workshop.scrap)
        workshop.folder.rename(target)
    progress.say(f"{name} built in {time.monotonic() - started:.0f} s")
    return target


def building(site: str, folder: Path) -> Path:
    # No site has an underscore in its name.
    return folder / f".building_{site}"


def unfinished(site: str, folder: Path) -> list[Path]:
    """What a killed build of this lab left of an artifact."""
    whole = building(site, folder)
    return [part for part in (whole, whole.with_name(f"{whole.name}_scrap")) if part.exists()]


def all_unfinished(lab: Lab) -> list[Path]:
    """What killed builds of this lab left."""
    return [part for folder in root(lab.cache).glob("*") for part in unfinished(lab.name, folder)]


def forget(parts: Iterable[Path]) -> None:
    for part in parts:
        unmount_below(part)
        remove_tree(part)


def serve(source: Path, target: Path) -> None:
    """Lay an artifact out in the folder that a lab serves, without a second copy on the disk."""
    remove_tree(target)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link)
    else:
        target.mkdir(parents=True)
        _link(str(source), str(target / source.name))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
