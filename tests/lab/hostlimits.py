"""The one setting that a lab needs higher than Linux has it: all nodes share the inotify instances of root."""

from __future__ import annotations

from pathlib import Path

from .topology import Lab

SETTING = Path("/proc/sys/fs/inotify/max_user_instances")
NEEDED = 1024


def _before(lab: Lab) -> Path:
    return lab.cache / "run" / ".inotify-instances"


def raise_inotify(lab: Lab) -> None:
    found = int(SETTING.read_text())
    if found >= NEEDED:
        return
    if not _before(lab).exists():
        _before(lab).write_text(f"{found}\n")
    SETTING.write_text(str(NEEDED))
    print(f"fs.inotify.max_user_instances is {NEEDED} (was {found}) while a lab runs", flush=True)


def restore_inotify(lab: Lab) -> None:
    """Put the host's value back when the last lab has gone."""
    before = _before(lab)
    if before.exists() and not any(entry.is_dir() for entry in before.parent.iterdir()):
        SETTING.write_text(before.read_text())
        before.unlink()
