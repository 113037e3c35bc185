# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host that a module runs on: its small text files, and whether it has a kernel of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Dict

# How a service manager, Docker or Podman say that this is a container.
CONTAINER_SIGNS = ("run/systemd/container", ".dockerenv", "run/.containerenv")


def in_container(root: Path = Path("/")) -> bool:
    """Tell whether the kernel belongs to somebody else."""
    return any((root / sign).exists() for sign in CONTAINER_SIGNS)


def text_of(path: Path) -> str:
    """Return the text of a file, nothing if it is not there."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def replace(module: Any, path: Path, text: str, mode: int = 0o644) -> None:
    """Put a text in the place of a file in one step, with the label that the file has or should have."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="onprem-dify-") as folder:
        candidate = Path(folder, path.name)
        candidate.write_text(text, encoding="utf-8", errors="surrogateescape")
        candidate.chmod(mode)
        module.atomic_move(str(candidate), str(path))
    path.chmod(mode)


def file_diff(path: Path, before: str, after: str) -> Dict[str, str]:
    """Return a diff of a file as Ansible shows it."""
    return {"before_header": str(path), "after_header": str(path), "before": before, "after": after}
