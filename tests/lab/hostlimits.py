"""What all nodes share of the host, and how many nodes that is enough for. The lab changes no setting of the host."""

from __future__ import annotations

from pathlib import Path

from .errors import LabError

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
# Measured on a hardened node: systemd 3, dbus, logind and firewalld 1 each.
INOTIFY_OF_A_NODE = 6


def check(nodes: int, setting: Path = INOTIFY) -> None:
    """Refuse a lab that would run out of inotify instances in the middle, which firewalld reports as a broken D-Bus."""
    allowed = int(setting.read_text())
    if nodes * INOTIFY_OF_A_NODE > allowed:
        raise LabError(
            f"{nodes} nodes need fs.inotify.max_user_instances={nodes * INOTIFY_OF_A_NODE}, this machine allows "
            f"{allowed}: set it with sysctl, or start fewer nodes"
        )
