# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the collection that say what a release of Dify is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

ROOT = Path(__file__).resolve().parents[2]


def bundle(loader: Any) -> dict[str, dict[str, Any]]:
    """The pins as delivered."""
    return _folder(loader, "bundle")


def releases(loader: Any) -> dict[str, dict[str, Any]]:
    return _folder(loader, "releases")


def _folder(loader: Any, name: str) -> dict[str, dict[str, Any]]:
    return {path.stem: _load(loader, path) for path in sorted((ROOT / name).glob("*.yml"))}


def _load(loader: Any, path: Path) -> dict[str, Any]:
    content: dict[str, Any] = plain(loader.load_from_file(str(path)))
    return content
