"""pgvector for the PostgreSQL of a Debian that has none: a package in a small signed repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..debian import SYSTEM
from ..image import served
from ..sources import Mirror, of_this_machine
from .store import Artifact, Workshop

SCRIPT = Path(__file__).with_name("build-pgvector.sh")
VERSION = "0.8.0"
# PostgreSQL by suite of the nodes, and the suite whose source package is built.
POSTGRESQL = {"bookworm": "15"}
SOURCE_SUITE = "trixie"
PACKAGES = ("apt-utils", "build-essential", "ca-certificates", "gnupg")
KEY = "key.asc"


def build(workshop: Workshop) -> None:
    suite = workshop.lab.suite
    postgresql = POSTGRESQL[suite]
    packages = ",".join((*PACKAGES, f"postgresql-server-dev-{postgresql}"))
    options = [
        "--mode=root",
        "--variant=minbase",
        # Nothing of the machine is kept but what the hooks copy out.
        "--format=null",
        f"--include={packages}",
        "--dpkgopt=force-unsafe-io",
        '--aptopt=Acquire::Check-Valid-Until "false"',
        f"--customize-hook=copy-in {SCRIPT} /root",
        f'--customize-hook=chroot "$1" sh /root/{SCRIPT.name} {suite} {postgresql} {VERSION}',
        f"--customize-hook=sync-out /out {workshop.folder}",
    ]
    entries = sources(of_this_machine(), suite)
    workshop.run("mmdebstrap", *options, suite, "-", *entries, environment={"TMPDIR": str(workshop.scrap)})


def sources(mirror: Mirror, suite: str) -> list[str]:
    entries = [line for line in mirror.entries(suite) if served(line)]
    return [*entries, f"deb-src {mirror.archive} {SOURCE_SUITE} main"]


def repository(url: str, folder: Path, suite: str) -> dict[str, Any]:
    """The entry of `packages_repositories`."""
    return {
        "name": "lab",
        "uris": [url],
        "suites": [suite],
        "components": ["main"],
        "signed_by": (folder / KEY).read_text(),
    }


def pgvector(suite: str) -> Artifact:
    return Artifact(
        component="pgvector",
        version=VERSION,
        groups=("database",),
        ingredients=f"{SCRIPT.read_text()}{suite}{POSTGRESQL[suite]}{SOURCE_SUITE}{PACKAGES}",
        build=build,
        pin=lambda folder, url: {"packages": {SYSTEM[suite]: VERSION}},
    )
