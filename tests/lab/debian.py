"""Versions of the packages that the machine's mirror has for a suite, as the pins of a site name them."""

from __future__ import annotations

import datetime
import hashlib
import json
import lzma
import re
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import product
from .errors import LabError
from .sources import Mirror
from .topology import ROOT

SYSTEM = {"bookworm": "Debian_12", "trixie": "Debian_13"}


def bundle() -> dict[str, dict[str, Any]]:
    """The pins that come with the collection, by component."""
    try:
        import yaml
    except ImportError as error:
        raise LabError("PyYAML is missing: put .venv/bin on PATH, or run `make setup`") from error
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "bundle").glob("*.yml"))}


def pins(components: Mapping[str, Mapping[str, Any]], versions: Mapping[str, str], suite: str) -> dict[str, Any]:
    """For each component that the suite has: the version of its packages."""
    upstream = product.module_utils("package_set").upstream
    found = {}
    for name, pin in components.items():
        offered = [versions[package] for package in package_names(pin) if package in versions]
        if offered:
            found[name] = {"packages": {SYSTEM[suite]: upstream(offered[0])}}
    return found


def package_names(pin: Mapping[str, Any]) -> list[str]:
    names: list[str] = (pin.get("package_names") or {}).get("Debian") or []
    return names


def versions(mirror: Mirror, suite: str, architecture: str, wanted: Iterable[str], folder: Path) -> dict[str, str]:
    """Version by package; the index of the mirror is read once a day."""
    packages = sorted(set(wanted))
    day = datetime.date.today().isoformat()
    key = hashlib.sha256(json.dumps([mirror.archive, suite, architecture, packages, day]).encode()).hexdigest()[:16]
    file = folder / f"{suite}-{key}.json"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{suite}-*.json"):
            old.unlink(missing_ok=True)
        url = f"{mirror.archive}/dists/{suite}/main/binary-{architecture}/Packages.xz"
        found = parse(_read(url), set(packages))
        part = file.with_suffix(".part")
        part.write_text(json.dumps(found))
        part.replace(file)
    content: dict[str, str] = json.loads(file.read_text())
    return content


def parse(index: str, wanted: set[str]) -> dict[str, str]:
    stanzas = re.findall(r"(?m)^Package: (\S+)\n(?:.+\n)*?Version: (\S+)", index)
    return {name: version for name, version in stanzas if name in wanted}


def _read(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return lzma.decompress(answer.read()).decode()
    except OSError as error:
        raise LabError(f"{url}: {error}") from error
