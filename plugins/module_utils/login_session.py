# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SSH login through which a module runs: who came, from where, to which address, and when.

sudo takes SSH_CONNECTION out of the environment, so it is read from the ancestors of the module in /proc.
"""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path
from typing import Dict, NamedTuple, Optional


class Process(NamedTuple):
    """What /proc tells about one process."""

    parent: int
    command: str
    uid: int
    started: float  # seconds after boot
    ssh_connection: str


class Session(NamedTuple):
    """One login over SSH, as the server sees it."""

    user: str
    client: str
    server: str
    port: int
    started: float  # seconds after boot


def parse_stat(text: str, ticks: int) -> Dict[str, object]:
    """Return the parent, the name and the start of a process from its /proc/PID/stat; a name may hold anything."""
    head, tail = text.rsplit(")", 1)
    fields = tail.split()
    return {"parent": int(fields[1]), "command": head.split("(", 1)[1], "started": int(fields[19]) / ticks}


def ssh_connection(environ: bytes) -> str:
    """Return SSH_CONNECTION from a /proc/PID/environ, or an empty string."""
    for entry in environ.split(b"\0"):
        if entry.startswith(b"SSH_CONNECTION="):
            return entry.split(b"=", 1)[1].decode("ascii", "replace")
    return ""


def read_process(pid: int, proc: str = "/proc") -> Optional[Process]:
    """Return one process, None if it is gone or hidden."""
    directory = Path(proc) / str(pid)
    try:
        stat = parse_stat((directory / "stat").read_text(encoding="utf-8", errors="replace"), os.sysconf("SC_CLK_TCK"))
        uid = directory.stat().st_uid
        connection = ssh_connection((directory / "environ").read_bytes())
    except OSError:
        return None
    return Process(stat["parent"], stat["command"], uid, stat["started"], connection)  # type: ignore[arg-type]


def find_session(pid: Optional[int] = None, proc: str = "/proc") -> Optional[Session]:
    """Return the login that the process `pid` (default: this one) belongs to, None if it did not come over SSH."""
    current = os.getpid() if pid is None else pid
    inside: Optional[Process] = None
    while current > 1:
        process = read_process(current, proc)
        if process is None:
            break
        if process.command.startswith("sshd") and inside is not None:
            return _session(inside, process.started)
        if process.ssh_connection:
            inside = process
        current = process.parent
    return _session(inside, inside.started) if inside is not None else None


def _session(process: Process, started: float) -> Optional[Session]:
    fields = process.ssh_connection.split()
    if len(fields) != 4 or not fields[3].isdigit():
        return None
    try:
        user = pwd.getpwuid(process.uid).pw_name
    except KeyError:
        return None
    return Session(user, fields[0], fields[2], int(fields[3]), started)


class Stamp:
    """Remembers when a change was applied, so that only a login made after it can confirm it.

    Seconds after boot: a clock that is being set at the same time must not matter.
    """

    def __init__(self, name: str, base: str = "/run/onprem-dify") -> None:
        self._path = Path(base) / f"{name}.applied"

    def set(self) -> None:
        """Remember this moment."""
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._path.write_text(f"{time.clock_gettime(time.CLOCK_BOOTTIME)}\n", encoding="ascii")

    def is_before(self, session: Session) -> bool:
        """Whether the login was made after the moment that was remembered."""
        try:
            return float(self._path.read_text(encoding="ascii")) <= session.started
        except (OSError, ValueError):
            return False
