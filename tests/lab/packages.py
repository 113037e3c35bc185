"""The package cache that stands in for the site's mirror: apt-cacher-ng on the bridge address, a child of the lab."""

from __future__ import annotations

import fcntl
import os
import socket
import urllib.request
from contextlib import suppress
from pathlib import Path

from .cgroups import Members
from .errors import LabError
from .network import CACHE_PORT
from .sources import Mirror, of_this_machine
from .system import wait_until
from .topology import SERVED, Lab

MEMBER = "_packages"
PROGRAM = "/usr/sbin/apt-cacher-ng"


def configuration(lab: Lab, mirror: Mirror, cache: Path, log: Path) -> str:
    """Serve the machine's mirror under stable paths, and nothing else: a node must find no way out here."""
    lines = [
        f"CacheDir: {cache}",
        f"LogDir: {log}",
        f"Port: {CACHE_PORT}",
        f"BindAddress: {lab.bridge_address}",
        "ForeGround: 1",
        "ReportPage:",
        "ForceManaged: 1",
        "ExThreshold: 30",
        # Nodes that ask at once for an index that has to be fetched anew block each other: `up` fetches it before.
        "FreshIndexMaxAge: 14400",
        "VerboseLog: 0",
        f"Remap-debian: /debian ; {mirror.archive}",
        f"LocalDirs: {SERVED} {lab.served}",
    ]
    if mirror.security:
        lines.append(f"Remap-security: /debian-security ; {mirror.security}")
    return "\n".join(lines) + "\n"


def up(lab: Lab, members: Members) -> None:
    if members.running(MEMBER):
        return
    cache, handle = _claim_cache(lab)
    folder = lab.state / "packages"
    (folder / "log").mkdir(parents=True, exist_ok=True)
    (folder / "acng.conf").write_text(configuration(lab, of_this_machine(), cache, folder / "log"))
    try:
        members.start(MEMBER, [PROGRAM, "-c", str(folder)], {}, lab.state / "packages.log", keep=[handle])
    finally:
        os.close(handle)
    wait_until(lambda: answers(lab), 10, f"package cache (see {lab.state}/packages.log)")
    _fetch_indexes(lab)


def down(members: Members) -> None:
    members.terminate(MEMBER)


def answers(lab: Lab) -> bool:
    try:
        socket.create_connection((lab.bridge_address, CACHE_PORT), timeout=1).close()
    except OSError:
        return False
    return True


def _fetch_indexes(lab: Lab) -> None:
    """Ask for the index of each suite before many nodes do so at once; what the mirror lacks, they will miss."""
    suites = {lab.suite: "debian", f"{lab.suite}-updates": "debian", f"{lab.suite}-security": "debian-security"}
    for suite, archive in suites.items():
        with (
            suppress(OSError),
            urllib.request.urlopen(f"{lab.mirror}/{archive}/dists/{suite}/InRelease", timeout=60) as answer,
        ):
            answer.read()


def _claim_cache(lab: Lab) -> tuple[Path, int]:
    """The shared cache, or a throw-away one while another lab has it: apt-cacher-ng does not share.

    The lock is on the open folder; it lives as long as the process that inherits it.
    """
    own = lab.state / "packages" / "cache"
    for folder in (lab.cache / "packages", own):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
        else:
            return folder, handle
    raise LabError(f"{own}: in use by another package cache")
