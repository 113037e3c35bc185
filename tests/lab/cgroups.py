"""Everything a lab starts lives in cgroups of its own: they say what runs, and they end it.

Each member of a lab (a node, the package cache, an image build) has one cgroup. Where PID 1 is not systemd the lab makes
it, in every hierarchy, or all nodes of one caller would share their payload's service cgroups. Where PID 1 is systemd,
the member is a transient unit with a delegated cgroup, as systemd asks for.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .errors import LabError
from .system import run, wait_until

# Joins the cgroups, then becomes the program: nothing of it ever runs outside.
JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'
MEMORY_FILES = {"memory": ("memory.limit_in_bytes", "total_rss"), "unified": ("memory.max", "anon")}
CGROUP_V1_DEVICES = ("c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",
                     "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm")


def hierarchies() -> dict[str, Path]:
    """Mounted cgroup hierarchies by controller; the version 2 one is called `unified`."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        point = Path(before.split()[4])
        if kind == "cgroup2":
            found.setdefault("unified", point)
        elif kind == "cgroup":
            found.setdefault(options.split(",")[-1].strip(), point)
    if "unified" not in found:
        raise LabError("no cgroup version 2 hierarchy is mounted: mount one at /sys/fs/cgroup/unified")
    return found


def host_runs_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


class Members:
    """The running parts of one lab, by name."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.hierarchies = hierarchies()

    def folders(self, member: str) -> list[Path]:
        raise NotImplementedError

    def names(self) -> list[str]:
        """Members that have a cgroup, running or not."""
        raise NotImplementedError

    def command(self, member: str, argv: list[str], environment: Mapping[str, str], log: Path) -> list[str]:
        raise NotImplementedError

    def remove(self, member: str) -> None:
        raise NotImplementedError

    def start(self, member: str, argv: list[str], environment: Mapping[str, str], log: Path) -> None:
        """Start a program as a member, detached from the caller."""
        with log.open("ab") as output:
            subprocess.Popen(
                self.command(member, argv, environment, log),
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
            )

    def unified(self, member: str) -> Path:
        return next(folder for folder in self.folders(member) if self.hierarchies["unified"] in folder.parents)

    def running(self, member: str) -> bool:
        return "populated 1" in _read(self.unified(member) / "cgroup.events")

    def frozen(self, member: str) -> bool:
        return _read(self.unified(member) / "cgroup.freeze").strip() == "1"

    def freeze(self, member: str, frozen: bool) -> None:
        (self.unified(member) / "cgroup.freeze").write_text("1" if frozen else "0")
        state = f"frozen {int(frozen)}"
        wait_until(lambda: state in _read(self.unified(member) / "cgroup.events"), 5, f"{member}: {state}")

    def processes(self, member: str) -> list[int]:
        """Process ids, the oldest first: the supervisor, then PID 1 of the node."""
        found = [int(pid) for file in self.unified(member).rglob("cgroup.procs") for pid in _read(file).split()]
        return sorted(found)

    def kill(self, member: str) -> None:
        """End all processes of a member at once, as if the power were cut."""
        if not self.running(member):
            return
        (self.unified(member) / "cgroup.kill").write_text("1")
        wait_until(lambda: not self.running(member), 20, f"{member}: end of its processes", pause=0.01)

    def memory(self, member: str) -> int:
        """Bytes of memory the processes hold, without page cache and disk."""
        for folder in self.folders(member):
            for line in _read(folder / "memory.stat").splitlines():
                name, _, value = line.partition(" ")
                if name in ("anon", "total_rss"):
                    return int(value)
        return 0


class PlainMembers(Members):
    """Cgroups made by the lab, for a host whose PID 1 is not systemd."""

    def folders(self, member: str) -> list[Path]:
        return [point / "onprem-lab" / self.site / member for point in self.hierarchies.values()]

    def names(self) -> list[str]:
        found = set()
        for point in self.hierarchies.values():
            site = point / "onprem-lab" / self.site
            if site.is_dir():
                found |= {entry.name for entry in site.iterdir() if entry.is_dir()}
        return sorted(found)

    def command(self, member: str, argv: list[str], environment: Mapping[str, str], log: Path) -> list[str]:
        self.remove(member)
        for folder in self.folders(member):
            folder.mkdir(parents=True, exist_ok=True)
        self._inherit_cpuset(member)
        files = [str(folder / "cgroup.procs") for folder in self.folders(member)]
        return ["sh", "-c", JOIN, "lab", *files, "--", *argv]

    def _inherit_cpuset(self, member: str) -> None:
        # A version 1 cpuset starts empty and takes no process until it has processors and memory.
        if "cpuset" not in self.hierarchies:
            return
        point = self.hierarchies["cpuset"]
        folder = point
        for part in ("onprem-lab", self.site, member):
            parent, folder = folder, folder / part
            for name in ("cpuset.cpus", "cpuset.mems"):
                (folder / name).write_text(_read(parent / name))

    def remove(self, member: str) -> None:
        for folder in self.folders(member):
            if folder.is_dir():
                for child in sorted(folder.rglob("*/"), reverse=True):
                    child.rmdir()
                folder.rmdir()

    def remove_site(self) -> None:
        for point in self.hierarchies.values():
            for folder in (point / "onprem-lab" / self.site, point / "onprem-lab"):
                if folder.is_dir() and not any(entry.is_dir() for entry in folder.iterdir()):
                    folder.rmdir()


class SystemdMembers(Members):
    """Transient units with a delegated cgroup, for a host whose PID 1 is systemd."""

    SLICE = "onpremlab.slice"

    def unit(self, member: str) -> str:
        return f"onprem-lab:{self.site}:{member}.service"

    def folders(self, member: str) -> list[Path]:
        return [self.hierarchies["unified"] / self.SLICE / self.unit(member)]

    def names(self) -> list[str]:
        pattern = self.unit("*")
        lines = run("systemctl", "list-units", "--all", "--plain", "--no-legend", pattern).splitlines()
        return [line.split()[0].split(":")[2].removesuffix(".service") for line in lines]

    def command(self, member: str, argv: list[str], environment: Mapping[str, str], log: Path) -> list[str]:
        self.remove(member)
        settings = [f"--setenv={name}={value}" for name, value in environment.items()]
        properties = ["Delegate=yes", "KillMode=mixed", f"StandardOutput=append:{log}", f"StandardError=append:{log}"]
        return [
            "systemd-run", "--quiet", "--collect", f"--unit={self.unit(member)}", f"--slice={self.SLICE}",
            *settings, *(f"--property={word}" for word in properties), *argv,
        ]

    def remove(self, member: str) -> None:
        subprocess.run(["systemctl", "stop", self.unit(member)], capture_output=True, check=False)

    def remove_site(self) -> None:
        """systemd removes an empty slice by itself."""


def members_of(site: str) -> PlainMembers | SystemdMembers:
    return SystemdMembers(site) if host_runs_systemd() else PlainMembers(site)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
