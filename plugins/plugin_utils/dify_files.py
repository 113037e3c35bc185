# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the collection that say what a release of Dify is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.dify_release import PIN
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

ROOT = Path(__file__).resolve().parents[2]


def bundle(loader: Any) -> dict[str, dict[str, Any]]:
    """The pins as delivered."""
    return _folder(loader, "bundle")


def releases(loader: Any) -> dict[str, dict[str, Any]]:
    return _folder(loader, "releases")


def release_of(loader: Any, site_pins: Any) -> dict[str, Any]:
    """The release that a site pins, as its file says it; empty if there is none."""
    own = site_pins.get(PIN) if isinstance(site_pins, Mapping) else None
    version = own.get("version") if isinstance(own, Mapping) else None
    file = ROOT / "releases" / f"{version or bundle(loader)[PIN]['version']}.yml"
    return _load(loader, file) if file.is_file() else {}


def _folder(loader: Any, name: str) -> dict[str, dict[str, Any]]:
    return {path.stem: _load(loader, path) for path in sorted((ROOT / name).glob("*.yml"))}


def _load(loader: Any, path: Path) -> dict[str, Any]:
    content: dict[str, Any] = plain(loader.load_from_file(str(path)))
    return content
