# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data that comes with the collection. It has no secrets and no templates, so that the fastest reader does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
READER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path) -> Any:
    return yaml.load(path.read_bytes(), Loader=READER)


def bundle() -> dict[str, dict[str, Any]]:
    """The pins as delivered, by component."""
    return _folder("bundle")


def releases() -> dict[str, dict[str, Any]]:
    """The releases of Dify, by version."""
    return _folder("releases")


def _folder(name: str) -> dict[str, dict[str, Any]]:
    return {path.stem: read(path) for path in sorted((ROOT / name).glob("*.yml"))}
