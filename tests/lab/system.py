"""Running programs and asking the kernel what is there."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import LabError


def run(*argv: str | Path, text: str | None = None) -> str:
    """Run a program and return what it printed; a failure becomes one line."""
    command = [str(word) for word in argv]
    try:
        answer = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} is missing: run `tests/lab/lab requirements --install`") from error
    if answer.returncode != 0:
        reason = (answer.stderr or answer.stdout).strip().splitlines() or [f"exit code {answer.returncode}"]
        raise LabError(f"{' '.join(command[:6])}: {reason[-1]}")
    return answer.stdout


def run_json(*argv: str) -> Any:
    return json.loads(run(*argv) or "[]")


def mounts_below(folder: Path) -> list[Path]:
    return parse_mounts(Path("/proc/self/mountinfo").read_text(), folder)


def parse_mounts(mountinfo: str, folder: Path) -> list[Path]:
    """Mount points at or below a folder, the last mounted first: the order in which they can be unmounted."""
    points = [Path(line.split()[4].encode().decode("unicode_escape")) for line in mountinfo.splitlines()]
    return [point for point in reversed(points) if point == folder or folder in point.parents]


def unmount_below(folder: Path) -> None:
    for point in mounts_below(folder):
        run("umount", "--lazy", point)


def remove_tree(folder: Path) -> None:
    """Remove a folder or file, never crossing into something that is still mounted."""
    if mounts_below(folder):
        raise LabError(f"{folder}: still mounted, not removed")
    if folder.is_dir():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)


def wait_until(condition: Callable[[], bool], seconds: float, what: str, pause: float = 0.05) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)


def free_port() -> int:
    """A port on loopback for a program that cannot choose one itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_root() -> None:
    if os.geteuid() != 0:
        raise LabError("the lab makes mounts, bridges and cgroups: run it as root")
