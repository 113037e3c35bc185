# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages a host has, which it should have, and the one transaction in between."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Callable, Dict, FrozenSet, List, NamedTuple, Sequence, Tuple, Union

Run = Callable[[List[str]], Tuple[int, str, str]]

# Another run, or one whose controller was killed, may still be at work.
LOCK_SECONDS = 300
_PAUSE = 2
_LOCKED = re.compile(r"lock was locked by|Could not get lock|Unable to lock")
# A repository of the site answers at once or not at all.
_QUICKLY = ("--quiet", "--option=Acquire::http::Timeout=20", "--option=Acquire::https::Timeout=20")


class PackageError(Exception):
    """The packages cannot be brought to the wished state; the text is for the user."""


class State(NamedTuple):
    """`provided`: what installed packages stand in for. `unfinished`: a transaction was cut off, as by a power cut."""

    installed: FrozenSet[str]
    provided: FrozenSet[str] = frozenset()
    unfinished: bool = False


class Plan(NamedTuple):
    install: List[str]
    remove: List[str]

    def diff(self) -> Dict[str, str]:
        return {
            "before_header": "packages",
            "before": "".join(f"{name}\n" for name in self.remove),
            "after_header": "packages",
            "after": "".join(f"{name}\n" for name in self.install),
        }


def plan(state: State, present: Sequence[str], absent: Sequence[str]) -> Plan:
    both = sorted(set(present) & set(absent))
    if both:
        raise PackageError(f"wanted and unwanted at the same time: {', '.join(both)}")
    return Plan(
        install=sorted(set(present) - state.installed - state.provided),
        remove=sorted(set(absent) & state.installed),
    )


class Apt:
    def __init__(self, run: Run, journal: str = "/var/lib/dpkg/updates") -> None:
        self._run = run
        self._journal = Path(journal)

    def state(self) -> State:
        fields = "${db:Status-Status}\t${Package}\t${Provides}\n"
        return parse_dpkg(_must(self._run, ["dpkg-query", "--show", f"--showformat={fields}"]), self._interrupted())

    def _interrupted(self) -> bool:
        return self._journal.is_dir() and any(entry.name.isdigit() for entry in self._journal.iterdir())

    def finish(self) -> None:
        """Complete what an interrupted transaction left half done."""
        _must(self._run, ["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"])

    def refresh(self) -> None:
        # Without the mode, apt takes an unreachable repository for a warning.
        _must(self._run, ["apt-get", *_QUICKLY, "--option=APT::Update::Error-Mode=any", "update"])

    def change(self, wanted: Plan, expendable: Sequence[str]) -> None:
        words = wanted.install + [f"{name}-" for name in wanted.remove]
        command = ["apt-get", *_QUICKLY, "--yes", "--no-install-recommends"]
        command += [f"--option=DPkg::Lock::Timeout={LOCK_SECONDS}"]
        command += ["--option=Dpkg::Options::=--force-confdef", "--option=Dpkg::Options::=--force-confold"]
        rehearsal = _must(self._run, [*command, "--simulate", "install", *words])
        surplus = sorted(set(parse_removals(rehearsal)) - set(wanted.remove) - set(expendable))
        if surplus:
            raise PackageError(f"apt would also remove {', '.join(surplus)} for: {' '.join(words)}")
        _must(self._run, [*command, "install", *words])


class Dnf:
    def __init__(self, run: Run) -> None:
        self._run = run

    def state(self) -> State:
        fields = "%{NAME}\n[+%{PROVIDES}\n]"
        return parse_rpm(_must(self._run, ["rpm", "--query", "--all", f"--queryformat={fields}"]))

    def finish(self) -> None:
        """rpm goes on by itself."""

    def refresh(self) -> None:
        _must(self._run, ["dnf", "--quiet", "--assumeyes", "makecache", "--refresh"])

    def change(self, wanted: Plan, expendable: Sequence[str]) -> None:
        # rpm refuses to remove what another package needs, and says which one.
        gone = [name for name in wanted.remove if name not in expendable]
        if wanted.install:
            _must(
                self._run,
                ["dnf", "--quiet", "--assumeyes", "--setopt=install_weak_deps=False", "install", *wanted.install],
            )
        if gone:
            _must(self._run, ["rpm", "--erase", *gone])


Manager = Union[Apt, Dnf]


def bring(
    manager: Manager,
    present: Sequence[str],
    absent: Sequence[str],
    expendable: Sequence[str],
    refresh: bool,
    check_mode: bool,
) -> Tuple[bool, Plan]:
    """Whether the host changed, and what was done."""
    state = manager.state()
    unfinished = state.unfinished
    if unfinished and not check_mode:
        manager.finish()
        state = manager.state()
    wanted = plan(state, present, absent)
    change = bool(wanted.install or wanted.remove)
    if not check_mode:
        if refresh or wanted.install:
            manager.refresh()
        if change:
            manager.change(wanted, expendable)
            left = plan(manager.state(), present, absent)
            if left.install or left.remove:
                raise PackageError(f"not as wished after the transaction: {', '.join(left.install + left.remove)}")
    return change or unfinished, wanted


def parse_dpkg(text: str, interrupted: bool = False) -> State:
    installed, provided = set(), set()
    for line in text.splitlines():
        status, name, provides = [*line.split("\t"), "", ""][:3]
        if status in ("unpacked", "half-configured", "half-installed"):
            interrupted = True
        elif status == "installed" or status.startswith("triggers-"):
            installed.add(name)
            provided.update(re.findall(r"[^\s,(]+", re.sub(r"\(.*?\)", "", provides)))
    return State(frozenset(installed), frozenset(provided), interrupted)


def parse_rpm(text: str) -> State:
    lines = text.splitlines()
    return State(
        frozenset(line for line in lines if not line.startswith("+")),
        frozenset(line[1:] for line in lines if line.startswith("+")),
    )


def parse_removals(rehearsal: str) -> List[str]:
    """Packages that `apt-get --simulate` would remove."""
    return re.findall(r"^(?:Remv|Purg) (\S+)", rehearsal, re.MULTILINE)


def _must(run: Run, command: List[str]) -> str:
    """The output of a command; waits for a lock, which not all of them do themselves."""
    deadline = time.monotonic() + LOCK_SECONDS
    code, out, err = run(command)
    while code != 0 and _LOCKED.search(err) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        code, out, err = run(command)
    if code != 0:
        # These lines say what is wrong, the others how far it came.
        said = [line for line in err.splitlines() if re.match(r"(E|Err|[Ee]rror|dpkg: error):?", line)]
        raise PackageError(f"{command[0]}: {' '.join(said) or err.strip() or out.strip()}")
    return out
