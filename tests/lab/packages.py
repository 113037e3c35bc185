"""The package cache that stands in for the site's mirror: apt-cacher-ng on the bridge address, a child of the lab."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from .cgroups import Members
from .network import CACHE_PORT
from .sources import Mirror, of_this_machine
from .system import wait_until
from .topology import Lab

MEMBER = "_packages"
PROGRAM = "/usr/sbin/apt-cacher-ng"


def configuration(lab: Lab, mirror: Mirror, cache: Path) -> str:
    """Serve the machine's mirror under stable paths, and nothing else: a node must find no way out here."""
    lines = [
        f"CacheDir: {cache}",
        f"LogDir: {lab.state}/packages-log",
        f"Port: {CACHE_PORT}",
        f"BindAddress: {lab.bridge_address}",
        "ForeGround: 1",
        "ReportPage:",
        "ForceManaged: 1",
        "ExThreshold: 30",
        "VerboseLog: 0",
        f"Remap-debian: /debian ; {mirror.archive}",
    ]
    if mirror.security:
        lines.append(f"Remap-security: /debian-security ; {mirror.security}")
    return "\n".join(lines) + "\n"


def up(lab: Lab, members: Members) -> None:
    if members.running(MEMBER):
        return
    folder = lab.state / "packages-conf"
    for needed in (folder, lab.state / "packages-log"):
        needed.mkdir(parents=True, exist_ok=True)
    (folder / "acng.conf").write_text(configuration(lab, of_this_machine(), _cache(lab)))
    lock = str(_cache(lab)) 
    members.start(MEMBER, ["flock", "--nonblock", lock, PROGRAM, "-c", str(folder)], {}, lab.state / "packages.log")
    wait_until(lambda: _answers(lab), 10, "package cache")


def down(members: Members) -> None:
    members.kill(MEMBER)
    members.remove(MEMBER)


def _cache(lab: Lab) -> Path:
    """The shared cache, or a throw-away one while another lab uses it (apt-cacher-ng cannot share)."""
    shared = lab.cache / "packages"
    shared.mkdir(parents=True, exist_ok=True)
    handle = os.open(shared, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return shared
    except BlockingIOError:
        own = lab.state / "packages-cache"
        own.mkdir(parents=True, exist_ok=True)
        return own
    finally:
        os.close(handle)


def _answers(lab: Lab) -> bool:
    try:
        socket.create_connection((lab.bridge_address, CACHE_PORT), timeout=1).close()
    except OSError:
        return False
    return True
