"""What all nodes share of the host, and how many nodes that is enough for. The lab changes no setting of the host."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .errors import LabError
from .topology import Host

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
# Measured on a hardened node: systemd 3, dbus, logind and firewalld 1 each.
INOTIFY_OF_A_NODE = 6
# With kubelet, containerd and what runs in pods: 28 and 13.
INOTIFY_OF_A_CONTROL_PLANE, INOTIFY_OF_A_WORKER = 30, 15


def inotify_of(host: Host) -> int:
    if not host.runs_pods:
        return INOTIFY_OF_A_NODE
    return INOTIFY_OF_A_CONTROL_PLANE if "control_plane" in host.groups else INOTIFY_OF_A_WORKER


def in_use(processes: Path = Path("/proc")) -> int:
    """Inotify instances of the whole machine: other labs count against the same limit."""
    return sum(map(_inotify_of_process, processes.glob("[0-9]*")))


def _inotify_of_process(process: Path) -> int:
    """Any process may end while it is looked at, and any of its files be closed."""
    found = 0
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                found += str(descriptor.readlink()).startswith("anon_inode:inotify")
    return found


def check(hosts: Iterable[Host], used: int = 0, setting: Path = INOTIFY) -> None:
    """Refuse a lab that would run out of inotify instances in the middle.

    Kubelet then dies again and again, and firewalld reports a broken D-Bus.
    """
    starting = list(hosts)
    allowed, needed = int(setting.read_text()), sum(map(inotify_of, starting))
    if starting and used + needed > allowed:
        raise LabError(
            f"{len(starting)} nodes need {needed} inotify instances; this machine allows {allowed} "
            f"(fs.inotify.max_user_instances), and {used} are in use: raise it with sysctl, start fewer nodes, or take "
            "another lab down"
        )
