"""The site of the scenario, and its hosts as root sees them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))

from lab import bundles, mirrors, scratch

INVENTORY = Path(__file__).resolve().parents[1] / "inventory"


@pytest.fixture(scope="session")
def site() -> mirrors.Site:
    return mirrors.Site(INVENTORY)


@pytest.fixture(scope="session")
def lock() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((bundles.home() / "scenario/lock.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="session")
def addresses() -> list[str]:
    tree = scratch.load(INVENTORY / "hosts.yml")
    return [host["ansible_host"] for host in tree["ops"]["children"]["mirror"]["hosts"].values()]


@pytest.fixture(scope="session")
def upstream() -> list[tuple[str, int]]:
    """What the bundle was built from, besides Debian and the index of Python."""
    built = json.loads((bundles.home() / "scenario.json").read_text(encoding="utf-8"))
    return [(host, int(port)) for host, _, port in (address.partition(":") for address in set(built["upstream"]))]
