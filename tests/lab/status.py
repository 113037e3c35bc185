"""The lab as a table."""

from __future__ import annotations

import os

from . import network, node
from .cgroups import Members
from .topology import NODE, Host, Lab

HEAD = ("HOST", "GROUPS", "ADDRESS", "STATE", "UP", "MEMORY", "DISK")


def table(lab: Lab, members: Members) -> str:
    lines = render([HEAD, *(row(lab, host, members) for host in lab.hosts)])
    lines += [f"cut: {', '.join(left)} -> {', '.join(right)}" for left, right in network.cuts(lab)]
    return "\n".join(lines)


def row(lab: Lab, host: Host, members: Members) -> tuple[str, ...]:
    state = state_of(lab, host, members)
    used = ("-", "-")
    if state in ("running", "frozen"):
        memory = members.memory(host.name)
        used = (duration(members.seconds_up(host.name)), f"{memory >> 20} MiB" if memory else "-")
    return (host.name, ",".join(host.groups), host.address, state, *used, disk_use(lab, host))


def state_of(lab: Lab, host: Host, members: Members) -> str:
    if members.running(host.name):
        return "frozen" if members.frozen(host.name) else "running"
    return "off" if node.folder(lab, host).exists() else "absent"


def disk_use(lab: Lab, host: Host) -> str:
    disk = node.disk(lab, host)
    if host.kind != NODE or not os.path.ismount(disk):
        return "-"
    space = os.statvfs(disk)
    used = (space.f_blocks - space.f_bfree) * space.f_frsize
    return "full" if space.f_bfree == 0 else f"{used >> 20} MiB"


def duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def render(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
