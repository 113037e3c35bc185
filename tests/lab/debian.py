"""What the machine's mirror has for a suite: which of its parts, and which versions of the packages that are pinned."""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import lzma
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from . import product
from .errors import LabError
from .sources import Mirror
from .topology import ROOT

SYSTEM = {"bookworm": "Debian_12", "trixie": "Debian_13"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@functools.cache
def bundle() -> Mapping[str, Mapping[str, Any]]:
    """The pins that come with the collection, by component."""
    try:
        import yaml
    except ImportError as error:
        raise LabError("PyYAML is missing: put .venv/bin on PATH, or run `make setup`") from error
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "bundle").glob("*.yml"))}


def package_names(pin: Mapping[str, Any]) -> list[str]:
    names: list[str] = (pin.get("package_names") or {}).get("Debian") or []
    return names


def pins(components: Mapping[str, Mapping[str, Any]], versions: Mapping[str, str], suite: str) -> dict[str, Any]:
    """For each component that the suite has: the version of its packages."""
    upstream = product.module_utils("package_set").upstream
    found = {}
    for name, pin in components.items():
        offered = [versions[package] for package in package_names(pin) if package in versions]
        if offered:
            found[name] = {"packages": {SYSTEM[suite]: upstream(offered[0])}}
    return found


def repositories(suites: Iterable[str], suite: str, address: str) -> list[dict[str, Any]]:
    """Entries of `packages_repositories` for what the mirror has besides the release itself."""
    paths = {f"{suite}-updates": "debian", f"{suite}-security": "debian-security"}
    return [
        {
            "name": f"debian-{part.removeprefix(f'{suite}-')}",
            "uris": [f"{address}/{paths[part]}"],
            "suites": [part],
            "components": ["main"],
            "signed_by": KEYRING,
        }
        for part in suites
        if part in paths
    ]


def offer(mirror: Mirror, suite: str, architecture: str, wanted: Iterable[str], folder: Path) -> dict[str, Any]:
    """The `suites` of the mirror, and `versions` by package: the newest of all suites. Asked once a day."""
    packages = sorted(set(wanted))
    what = json.dumps([mirror.archive, mirror.security, suite, architecture, packages])
    file = folder / f"{suite}-{hashlib.sha256(what.encode()).hexdigest()[:16]}.json"
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    day = datetime.date.today().isoformat()
    if known.get("day") == day:
        return known
    try:
        found = {"day": day, **_ask(mirror, suite, architecture, packages)}
    except OSError as error:
        if known:
            return known
        raise LabError(f"{mirror.archive}: the Debian mirror does not answer ({error})") from error
    folder.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(found))
    part.replace(file)
    return found


def _ask(mirror: Mirror, suite: str, architecture: str, packages: list[str]) -> dict[str, Any]:
    suites, versions = [], dict[str, str]()
    for entry in mirror.entries(suite):
        _, uri, part, component = entry.split()
        try:
            with urllib.request.urlopen(
                f"{uri}/dists/{part}/{component}/binary-{architecture}/Packages.xz", timeout=60
            ) as answer:
                index = lzma.decompress(answer.read()).decode()
        except urllib.error.HTTPError:  # a dated mirror may not have it
            continue
        suites.append(part)
        for name, version in parse(index, set(packages)).items():
            if name not in versions or _newer(version, versions[name]):
                versions[name] = version
    if suite not in suites:
        raise LabError(f"{suite}: the machine's Debian mirror does not serve it")
    return {"suites": suites, "versions": versions}


def parse(index: str, wanted: set[str]) -> dict[str, str]:
    stanzas = re.findall(r"(?m)^Package: (\S+)\n(?:.+\n)*?Version: (\S+)", index)
    return {name: version for name, version in stanzas if name in wanted}


def _newer(version: str, other: str) -> bool:
    return subprocess.run(["dpkg", "--compare-versions", version, "gt", other], check=False).returncode == 0
