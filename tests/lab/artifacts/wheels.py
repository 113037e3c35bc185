"""Patroni for the Python of the nodes: a folder of wheels, and the list that locks them by hash."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..topology import ROOT
from .store import Artifact, Workshop, sha256

LIST = Path(__file__).with_name("patroni.txt")
LOCK = "requirements.txt"
PYTHON = {"bookworm": "3.11", "trixie": "3.13"}
# Newest first: what the C library of the oldest suite can load.
PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")


def wanted() -> dict[str, str]:
    """Version by project, as the list pins them."""
    return dict(re.findall(r"(?m)^([A-Za-z0-9._-]+)(?:\[[a-z0-9,]+\])?==(\S+)", LIST.read_text()))


def build(workshop: Workshop, python: str) -> None:
    pip = [_python(), "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "--no-input"]
    pure = [f"{name}=={wanted()[name]}" for name in source_only()]
    workshop.run(*pip, "wheel", "--no-deps", f"--wheel-dir={workshop.folder}", *pure)
    machine = platform.machine()
    target = [f"--python-version={python}", "--implementation=cp", f"--abi=cp{python.replace('.', '')}"]
    target += [f"--platform={name}_{machine}" for name in PLATFORMS]
    options = ["--no-deps", "--only-binary=:all:", f"--find-links={workshop.folder}", f"--dest={workshop.folder}"]
    workshop.run(*pip, "download", *options, *target, f"--requirement={LIST}")
    (workshop.folder / LOCK).write_text(lock(workshop.folder))


def source_only() -> list[str]:
    """Projects that publish no wheel, marked in the list; they hold only Python."""
    return re.findall(r"(?m)^([A-Za-z0-9._-]+)==\S+\s+# no wheel$", LIST.read_text())


def lock(folder: Path) -> str:
    """A line for each wheel, as `pip install --require-hashes` reads it."""
    lines = []
    for wheel in sorted(folder.glob("*.whl"), key=lambda path: path.name.lower()):
        project, version = wheel.name.split("-")[:2]
        lines.append(f"{project.replace('_', '-')}=={version} --hash=sha256:{sha256(wheel)}\n")
    return "".join(lines)


def _python() -> str:
    own = ROOT / ".venv/bin/python"
    return str(own) if own.exists() else sys.executable


def pin(folder: Path, url: str) -> Mapping[str, Any]:
    return {"version": wanted()["patroni"], "requirements": lock(folder), "wheels": f"{url}/"}


def patroni(suite: str) -> Artifact:
    python = PYTHON[suite]
    return Artifact(
        component="patroni",
        version=wanted()["patroni"],
        groups=("database",),
        ingredients=f"{LIST.read_text()}{python}{platform.machine()}",
        build=lambda workshop: build(workshop, python),
        pin=pin,
    )
