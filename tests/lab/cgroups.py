"""Everything a lab starts lives in cgroups of its own: they say what runs, and they end it.

Each member of a lab (a node, the package cache, an image build) has one cgroup. Where PID 1 is not systemd the lab
makes it, in every hierarchy, or all nodes of one caller would share their payload's service cgroups. Where PID 1 is
systemd, the member is a transient scope with a delegated cgroup, as systemd asks for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .errors import LabError
from .system import run, wait_until

# Joins the cgroups, then becomes the program: nothing of it ever runs outside.
JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'

# What eight processes weigh that are in no cgroup.
LAB_SHARES = str(8 * 1024)


def parse_hierarchies(mountinfo: str) -> dict[str, Path]:
    """Mounted cgroup hierarchies by controller; that of version 2 is called `unified`."""
    found: dict[str, Path] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            name = "unified" if kind == "cgroup2" else options.split(",")[-1].strip()
            found.setdefault(name, Path(before.split()[4]))
    return found


def hierarchies() -> dict[str, Path]:
    found = parse_hierarchies(Path("/proc/self/mountinfo").read_text())
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

    def command(self, member: str, argv: list[str]) -> list[str]:
        """The command that runs a program as a member, in the foreground; a fresh cgroup is ready for it."""
        raise NotImplementedError

    def remove(self, member: str) -> None:
        raise NotImplementedError

    def remove_site(self) -> None:
        raise NotImplementedError

    def start(
        self, member: str, argv: list[str], environment: Mapping[str, str], log: Path, keep: Sequence[int] = ()
    ) -> None:
        """Start a program as a member, detached from the caller; it inherits the file descriptors to keep."""
        with log.open("ab") as output:
            subprocess.Popen(
                self.command(member, argv),
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=keep,
                cwd="/",
            )

    def run(self, member: str, argv: list[str], log: Path) -> int:
        """Run a program as a member to its end; nothing of it stays."""
        with log.open("ab") as output:
            done = subprocess.run(
                self.command(member, argv), stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
        self.kill(member)
        self.remove(member)
        return done.returncode

    def unified(self, member: str) -> Path:
        return next(folder for folder in self.folders(member) if self.hierarchies["unified"] in folder.parents)

    def running(self, member: str) -> bool:
        return "populated 1" in _read(self.unified(member) / "cgroup.events")

    def frozen(self, member: str) -> bool:
        return _read(self.unified(member) / "cgroup.freeze").strip() == "1"

    def freeze(self, member: str, frozen: bool) -> None:
        (self.unified(member) / "cgroup.freeze").write_text(str(int(frozen)))
        state = f"frozen {int(frozen)}"
        wait_until(lambda: state in _read(self.unified(member) / "cgroup.events"), 5, f"{member}: {state}")

    def processes(self, member: str) -> list[int]:
        return [int(pid) for file in self.unified(member).rglob("cgroup.procs") for pid in _read(file).split()]

    def seconds_up(self, member: str) -> float:
        """Age of the oldest process."""
        ticks = [_read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()[19:20] for pid in self.processes(member)]
        starts = [int(tick[0]) / os.sysconf("SC_CLK_TCK") for tick in ticks if tick]
        return time.clock_gettime(time.CLOCK_BOOTTIME) - min(starts) if starts else 0.0

    def memory(self, member: str) -> int:
        """Bytes of memory the processes hold, without page cache and disk."""
        for folder in self.folders(member):
            for line in _read(folder / "memory.stat").splitlines():
                name, _, value = line.partition(" ")
                if name in ("anon", "total_rss"):
                    return int(value)
        return 0

    def kill(self, member: str) -> None:
        """End all processes of a member at once, as if the power were cut."""
        if self.running(member):
            (self.unified(member) / "cgroup.kill").write_text("1")
            wait_until(lambda: not self.running(member), 20, f"{member}: end of its processes", pause=0.01)

    def terminate(self, member: str) -> None:
        """Ask the processes of a member to end, then make them."""
        for pid in self.processes(member):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        with suppress(LabError):
            wait_until(lambda: not self.running(member), 3, member)
        self.kill(member)


class PlainMembers(Members):
    """Cgroups made by the lab, for a host whose PID 1 is not systemd."""

    def folders(self, member: str) -> list[Path]:
        return [point / "onprem-lab" / self.site / member for point in self.hierarchies.values()]

    def names(self) -> list[str]:
        sites = [point / "onprem-lab" / self.site for point in self.hierarchies.values()]
        return sorted({entry.name for site in sites if site.is_dir() for entry in site.iterdir() if entry.is_dir()})

    def command(self, member: str, argv: list[str]) -> list[str]:
        self.remove(member)
        for folder in self.folders(member):
            folder.mkdir(parents=True, exist_ok=True)
        self._inherit_cpuset(member)
        self._weigh()
        files = [str(folder / "cgroup.procs") for folder in self.folders(member)]
        return ["sh", "-c", JOIN, "lab", *files, "--", *argv]

    def _inherit_cpuset(self, member: str) -> None:
        # A version 1 cpuset starts empty and takes no process until it has processors and memory.
        if "cpuset" not in self.hierarchies:
            return
        folder = self.hierarchies["cpuset"]
        for part in ("onprem-lab", self.site, member):
            parent, folder = folder, folder / part
            for name in ("cpuset.cpus", "cpuset.mems"):
                (folder / name).write_text(_read(parent / name))

    def _weigh(self) -> None:
        # Or all machines of all labs would get as much of the processors as one process beside them.
        for point in self.hierarchies.values():
            shares = point / "onprem-lab/cpu.shares"
            if shares.is_file():
                shares.write_text(LAB_SHARES)

    def remove(self, member: str) -> None:
        for folder in self.folders(member):
            _remove_tree(folder)

    def remove_site(self) -> None:
        for point in self.hierarchies.values():
            _remove_tree(point / "onprem-lab" / self.site)
            # Other labs may be in here, then it stays.
            with suppress(OSError):
                (point / "onprem-lab").rmdir()


class SystemdMembers(Members):
    """Transient scopes with a delegated cgroup, for a host whose PID 1 is systemd."""

    def __init__(self, site: str) -> None:
        super().__init__(site)
        # A hyphen would put the slice into another one; no site has an underscore in its name.
        self.slice = f"onpremlab_{site.replace('-', '_')}.slice"

    def unit(self, member: str) -> str:
        return f"onprem-lab:{self.site}:{member}.scope"

    def folders(self, member: str) -> list[Path]:
        return [self.hierarchies["unified"] / self.slice / self.unit(member)]

    def names(self) -> list[str]:
        lines = run("systemctl", "list-units", "--all", "--plain", "--no-legend", self.unit("*")).splitlines()
        return [line.split()[0].split(":")[2].removesuffix(".scope") for line in lines]

    def command(self, member: str, argv: list[str]) -> list[str]:
        self.remove(member)
        unit = [f"--unit={self.unit(member)}", f"--slice={self.slice}", "--property=Delegate=yes"]
        return ["systemd-run", "--scope", "--quiet", "--collect", *unit, *argv]

    def remove(self, member: str) -> None:
        # A scope goes by itself when its last process has gone; the next one of that name must not come too early.
        wait_until(lambda: not self.unified(member).exists(), 10, f"{member}: end of its scope")

    def remove_site(self) -> None:
        run("systemctl", "stop", self.slice)


def members_of(site: str) -> Members:
    return SystemdMembers(site) if host_runs_systemd() else PlainMembers(site)


def _remove_tree(folder: Path) -> None:
    if folder.is_dir():
        for child in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
            child.rmdir()
        folder.rmdir()


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
