"""Breaking a lab on purpose, in ways a data centre knows, and making it whole again."""

from __future__ import annotations

import os

from . import network, node
from .cgroups import Members
from .errors import LabError
from .system import run
from .topology import NODE, Host, Lab


def freeze(host: Host, members: Members, frozen: bool) -> None:
    """Stop or continue all processes of a host, as when a hypervisor pauses it."""
    _require_running(host, members)
    members.freeze(host.name, frozen)


def cut(lab: Lab, left: str, right: str) -> None:
    """Separate two sets of hosts, each given as names with commas."""
    sides = [[lab.host(name).name for name in side.split(",") if name] for side in (left, right)]
    both = set(sides[0]) & set(sides[1])
    if both:
        raise LabError(f"{', '.join(sorted(both))}: on both sides of the cut")
    if not all(sides):
        raise LabError("a cut has two sides, each with at least one host")
    if not network.bridge_exists(lab):
        raise LabError(f"lab {lab.name} is not up")
    network.cut(lab, *sides)


def fill(lab: Lab, host: Host, full: bool) -> None:
    """Leave no byte free on the node's disk, by shrinking it to what it holds; or give it its size back."""
    if host.kind != NODE:
        raise LabError(f"{host.name}: only the disk of a node can be filled")
    disk = node.disk(lab, host)
    if not os.path.ismount(disk):
        raise LabError(f"{host.name}: not up")
    space = os.statvfs(disk)
    size = str((space.f_blocks - space.f_bfree) * space.f_frsize) if full else host.disk
    run("mount", "-o", f"remount,size={size}", disk)


def _require_running(host: Host, members: Members) -> None:
    if not members.running(host.name):
        raise LabError(f"{host.name}: not running")
