# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages a host has, which it should have in which version, and the one transaction in between."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Callable, Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Sequence, Set, Tuple, Union

Run = Callable[[List[str]], Tuple[int, str, str]]

# Another run, or one whose controller was killed, may still be at work.
LOCK_SECONDS = 300
_PAUSE = 2
_LOCKED = re.compile(r"lock was locked by|Could not get lock|Unable to lock")
# The plug-in of dnf that holds packages, as a capability: its package has another name in each distribution.
_VERSIONLOCK = "dnf-command(versionlock)"
# A repository of the site answers at once or not at all. apt that retries by itself can wait for ever for a server that
# went away in the middle.
_QUICKLY = (
    *("--quiet", "--option=Acquire::Retries=0"),
    *("--option=Acquire::http::Timeout=20", "--option=Acquire::https::Timeout=20"),
)


class PackageError(Exception):
    """The packages cannot be brought to the wished state; the text is for the user."""


class Wish(NamedTuple):
    """`versions`: packages to have at one version and to hold there. `drift`: what happens to another version."""

    present: Sequence[str] = ()
    absent: Sequence[str] = ()
    expendable: Sequence[str] = ()
    versions: Mapping[str, str] = {}
    drift: str = "refuse"  # or accept, correct

    def names(self) -> List[str]:
        return sorted({*self.present, *self.versions})


class State(NamedTuple):
    """`provided`: what installed packages stand in for. `unfinished`: a transaction was cut off, as by a power cut.

    `torn`: packages that were cut off while their files were unpacked, with the version that dpkg takes them for.
    """

    installed: FrozenSet[str]
    provided: FrozenSet[str] = frozenset()
    unfinished: bool = False
    versions: Mapping[str, str] = {}
    held: FrozenSet[str] = frozenset()
    torn: Mapping[str, str] = {}


class Plan(NamedTuple):
    """`correct`: installed in a version that must go. `hold`: to be kept from now on as they are by then."""

    install: List[str]
    remove: List[str]
    correct: Sequence[str] = ()
    hold: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.install or self.remove or self.correct or self.hold)

    def diff(self, state: State, wish: Wish) -> Dict[str, str]:
        coming = [*self.install, *self.correct]
        stay = [name for name in self.hold if name not in coming]
        before = list(self.remove) + [f"{name} {state.versions[name]}" for name in [*self.correct, *stay]]
        after = [f"{name} {wish.versions[name]} (held)" if name in wish.versions else name for name in coming]
        after += [f"{name} {state.versions[name]} (held)" for name in stay]
        return {
            "before_header": "packages",
            "before": "".join(f"{line}\n" for line in before),
            "after_header": "packages",
            "after": "".join(f"{line}\n" for line in after),
        }


def plan(state: State, wish: Wish) -> Plan:
    both = sorted(set(wish.names()) & set(wish.absent))
    if both:
        raise PackageError(f"wanted and unwanted at the same time: {', '.join(both)}")
    other = [name for name in sorted(wish.versions) if _differs(state, name, wish.versions[name])]
    if other and wish.drift == "refuse":
        raise PackageError(_together((name, _drift(state.versions[name], wish.versions[name])) for name in other))
    # What another package provides has neither the name nor the version that is to be held.
    missing = (set(wish.present) - state.installed - state.provided) | (set(wish.versions) - state.installed)
    return Plan(
        install=sorted(missing),
        remove=sorted(set(wish.absent) & state.installed),
        correct=other if wish.drift == "correct" else [],
        hold=sorted(set(wish.versions) - state.held),
    )


def _differs(state: State, name: str, wanted: str) -> bool:
    return name in state.installed and not matches(wanted, state.versions[name])


def _drift(found: str, wanted: str) -> str:
    return (
        f"found {found}, wanted {wanted}. The host drifted from its pin. To bring it to {wanted}, run once with"
        f" site_drift=correct. To stay with what is there, pin {upstream(found)} in site_pins."
    )


def _together(problems: Iterable[Tuple[str, str]]) -> str:
    """One line for each problem, with all packages that have it: those of one source have the same version."""
    names: Dict[str, List[str]] = {}
    for name, problem in problems:
        names.setdefault(problem, []).append(name)
    return "\n".join(f"{', '.join(having)}: {problem}" for problem, having in names.items())


def upstream(version: str) -> str:
    """The version that the makers of the program gave it: without epoch, revision and marks of repacking."""
    bare = re.sub(r"^\d+:", "", version)
    if "-" in bare:
        bare = bare.rpartition("-")[0]
    return re.sub(r"[+~.](dfsg|ds|repack)[\d.]*$", "", bare)


def matches(wanted: str, version: str) -> bool:
    """Whether a version of a package is the wanted one, which is an upstream version or a whole one."""
    return wanted in (version, re.sub(r"^\d+:", "", version), upstream(version))


def choose(wish: Wish, names: Sequence[str], offered: Mapping[str, Sequence[str]]) -> Dict[str, str]:
    """The whole version of each package, out of those that the repositories offer, newest first."""
    chosen, problems = {}, []
    for name in names:
        wanted = wish.versions[name]
        fitting = [version for version in offered.get(name, []) if matches(wanted, version)]
        if fitting:
            chosen[name] = fitting[0]
        elif wish.drift != "accept" or not offered.get(name):
            found = ", ".join(offered.get(name, [])) or "no version of it"
            problem = f"found {found} in the repositories, wanted {wanted}. Bring {wanted} into the repositories of the"
            problems.append((name, f"{problem} site, or pin a version that they offer in site_pins."))
    if problems:
        raise PackageError(_together(problems))
    return chosen


class Apt:
    def __init__(self, run: Run, journal: str = "/var/lib/dpkg/updates") -> None:
        self._run = run
        self._journal = Path(journal)

    def state(self, holds: bool) -> State:
        fields = "${db:Status-Status}\t${Package}\t${Provides}\t${Version}\t${db:Status-Want}\n"
        return parse_dpkg(_must(self._run, ["dpkg-query", "--show", f"--showformat={fields}"]), self._interrupted())

    def _interrupted(self) -> bool:
        return self._journal.is_dir() and any(entry.name.isdigit() for entry in self._journal.iterdir())

    def finish(self) -> None:
        """Complete what an interrupted transaction left half done."""
        # It fails while a dependency is torn or missing. All the same it clears the journal, on which apt insists.
        configure = ["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"]
        _must(self._run, configure, accepted=(0, 1))
        state = self.state(holds=True)
        if state.unfinished:
            # Another version than the torn one might be no longer the pinned one.
            offered = self.offered(sorted(state.torn))
            fitting = {name: version for name, version in state.torn.items() if version in offered.get(name, [])}
            words = [_at(name, "=", fitting) for name in sorted(state.torn)]
            options = ["--reinstall", "--allow-change-held-packages"] if words else []
            self._transact(["--fix-broken", *options], words, set(state.torn), set(), state.held)

    def refresh(self) -> None:
        # Without the mode, apt takes an unreachable repository for a warning.
        _must(self._run, ["apt-get", *_QUICKLY, "--option=APT::Update::Error-Mode=any", "update"])

    def needs(self) -> List[str]:
        """What holding packages takes."""
        return []

    def offered(self, names: Sequence[str]) -> Dict[str, List[str]]:
        return parse_madison(_must(self._run, ["apt-cache", "madison", *names])) if names else {}

    def change(self, wanted: Plan, chosen: Mapping[str, str], expendable: Sequence[str], held: FrozenSet[str]) -> None:
        words = [_at(name, "=", chosen) for name in [*wanted.install, *wanted.correct]]
        words += [f"{name}-" for name in wanted.remove]
        own = {*wanted.install, *wanted.correct, *wanted.remove}
        options = ["--allow-downgrades"] if wanted.correct else []
        options += ["--allow-change-held-packages"] if own & held else []
        self._transact(options, words, own, {*wanted.remove, *expendable}, held)

    def _transact(
        self, options: List[str], words: List[str], own: Set[str], gone: Set[str], held: FrozenSet[str]
    ) -> None:
        command = ["apt-get", *_QUICKLY, "--yes", "--no-install-recommends"]
        command += [f"--option=DPkg::Lock::Timeout={LOCK_SECONDS}"]
        command += ["--option=Dpkg::Options::=--force-confdef", "--option=Dpkg::Options::=--force-confold", *options]
        rehearsal = _must(self._run, [*command, "--simulate", "install", *words])
        surplus = sorted(set(parse_removals(rehearsal)) - gone)
        if surplus:
            raise PackageError(f"apt would also remove {', '.join(surplus)} for: {' '.join(words)}")
        # The option that opens a hold opens all of them; the rehearsal shows whether those of others would be broken.
        broken = sorted((set(parse_installations(rehearsal)) & held) - own)
        if broken:
            raise PackageError(f"apt would also change {', '.join(broken)}, which is on hold, for: {' '.join(words)}")
        _must(self._run, [*command, "install", *words])

    def hold(self, state: State, names: Sequence[str]) -> None:
        _must(self._run, ["apt-mark", "hold", *names])


class Dnf:
    def __init__(self, run: Run) -> None:
        self._run = run

    def state(self, holds: bool) -> State:
        fields = "%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n[+%{PROVIDES}\n]"
        state = parse_rpm(_must(self._run, ["rpm", "--query", "--all", f"--queryformat={fields}"]))
        if not holds or _VERSIONLOCK not in state.provided:
            return state
        return state._replace(
            held=parse_versionlock(_must(self._run, ["dnf", "--quiet", "versionlock", "list"]), state)
        )

    def finish(self) -> None:
        """rpm goes on by itself."""

    def refresh(self) -> None:
        _must(self._run, ["dnf", "--quiet", "--assumeyes", "makecache", "--refresh"])

    def needs(self) -> List[str]:
        """What holding packages takes."""
        return [_VERSIONLOCK]

    def offered(self, names: Sequence[str]) -> Dict[str, List[str]]:
        fields = "%{name}\t%{epoch}:%{version}-%{release}\n"
        query = ["dnf", "--quiet", "--disableplugin=versionlock", "repoquery", "--showduplicates"]
        return parse_repoquery(_must(self._run, [*query, f"--queryformat={fields}", *names])) if names else {}

    def change(self, wanted: Plan, chosen: Mapping[str, str], expendable: Sequence[str], held: FrozenSet[str]) -> None:
        opened = sorted({*wanted.correct, *wanted.remove} & held)
        if opened:
            _must(self._run, ["dnf", "--quiet", "versionlock", "delete", *opened])
        # rpm refuses to remove what another package needs, and says which one.
        gone = [name for name in wanted.remove if name not in expendable]
        coming = [_at(name, "-", chosen) for name in [*wanted.install, *wanted.correct]]
        if coming:
            _must(self._run, ["dnf", "--quiet", "--assumeyes", "--setopt=install_weak_deps=False", "install", *coming])
        if gone:
            _must(self._run, ["rpm", "--erase", *gone])

    def hold(self, state: State, names: Sequence[str]) -> None:
        # A lock on a name alone would hold whatever the repositories have at that moment.
        _must(self._run, ["dnf", "--quiet", "versionlock", "delete", *names], accepted=(0, 1))
        _must(
            self._run, ["dnf", "--quiet", "versionlock", "add", *(f"{name}-{state.versions[name]}" for name in names)]
        )


Manager = Union[Apt, Dnf]


def bring(manager: Manager, wish: Wish, refresh: bool, check_mode: bool) -> Tuple[bool, Plan, Dict[str, str]]:
    """Whether the host changed, what was done, and the difference."""
    if wish.versions:
        wish = wish._replace(present=[*wish.present, *manager.needs()])
    holds = bool(wish.versions)
    state = manager.state(holds)
    unfinished = state.unfinished
    if unfinished and not check_mode:
        manager.finish()
        state = manager.state(holds)
    wanted = plan(state, wish)
    if not check_mode:
        if refresh or wanted.install or wanted.correct:
            manager.refresh()
        if wanted:
            _fulfil(manager, wish, state, wanted)
    return bool(wanted) or unfinished, wanted, wanted.diff(state, wish)


def _fulfil(manager: Manager, wish: Wish, state: State, wanted: Plan) -> None:
    if wanted.install or wanted.remove or wanted.correct:
        pinned = [name for name in [*wanted.install, *wanted.correct] if name in wish.versions]
        manager.change(wanted, choose(wish, pinned, manager.offered(pinned)), wish.expendable, state.held)
        state = manager.state(holds=bool(wish.versions))
    left = plan(state, wish)
    missed = [*left.install, *left.remove, *left.correct]
    if missed:
        raise PackageError(f"not as wished after the transaction: {', '.join(missed)}")
    if left.hold:
        manager.hold(state, left.hold)


def _at(name: str, separator: str, chosen: Mapping[str, str]) -> str:
    return f"{name}{separator}{chosen[name]}" if name in chosen else name


def parse_madison(text: str) -> Dict[str, List[str]]:
    """What `apt-cache madison` lists of packages to install, newest first."""
    offered: Dict[str, List[str]] = {}
    for line in text.splitlines():
        name, version, source = [field.strip() for field in [*line.split("|"), "", ""][:3]]
        if version and not source.endswith("Sources"):
            offered.setdefault(name, []).append(version)
    return offered


def parse_repoquery(text: str) -> Dict[str, List[str]]:
    """What `dnf repoquery` lists, newest first; it lists the oldest first."""
    offered: Dict[str, List[str]] = {}
    for line in text.splitlines():
        name, _tab, version = line.strip().partition("\t")
        if version:
            offered.setdefault(name, []).insert(0, version)
    return offered


def parse_versionlock(text: str, state: State) -> FrozenSet[str]:
    """The packages that are locked at the version in which they are installed."""
    locks: Set[str] = {line.strip() for line in text.splitlines()}
    return frozenset(
        name
        for name, version in state.versions.items()
        if any(f"{name}-{shown}.*" in locks for shown in (version, version.partition(":")[2]))
    )


def parse_dpkg(text: str, interrupted: bool = False) -> State:
    provided, held, versions, torn = set(), set(), {}, {}
    for line in text.splitlines():
        status, name, provides, version, want = [*line.split("\t"), "", "", "", ""][:5]
        if status in ("unpacked", "half-configured", "half-installed"):
            interrupted = True
            torn.update({name: version} if status == "half-installed" else {})
        elif status == "installed" or status.startswith("triggers-"):
            versions[name] = version
            provided.update(re.findall(r"[^\s,(]+", re.sub(r"\(.*?\)", "", provides)))
            held.update([name] if want == "hold" else [])
    return State(frozenset(versions), frozenset(provided), interrupted, versions, frozenset(held), torn)


def parse_rpm(text: str) -> State:
    lines = text.splitlines()
    versions = dict(line.partition("\t")[::2] for line in lines if not line.startswith("+"))
    return State(frozenset(versions), frozenset(line[1:] for line in lines if line.startswith("+")), versions=versions)


def parse_removals(rehearsal: str) -> List[str]:
    """Packages that `apt-get --simulate` would remove."""
    return re.findall(r"^(?:Remv|Purg) (\S+)", rehearsal, re.MULTILINE)


def parse_installations(rehearsal: str) -> List[str]:
    """Packages that `apt-get --simulate` would install, in another version than now or for the first time."""
    return re.findall(r"^Inst (\S+)", rehearsal, re.MULTILINE)


def _must(run: Run, command: List[str], accepted: Sequence[int] = (0,)) -> str:
    """The output of a command; waits for a lock, which not all of them do themselves."""
    deadline = time.monotonic() + LOCK_SECONDS
    code, out, err = run(command)
    while code not in accepted and _LOCKED.search(err) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        code, out, err = run(command)
    if code not in accepted:
        # These lines say what is wrong, the others how far it came.
        said = [line for line in err.splitlines() if re.match(r"(E|Err|[Ee]rror|dpkg: error):?", line)]
        raise PackageError(f"{command[0]}: {' '.join(said) or err.strip() or out.strip()}{_asked(out)}")
    return out


def _asked(out: str) -> str:
    """The places that apt asked in vain. Of several with the same content its message names one."""
    places = sorted(set(re.findall(r"^(?:Ign|Err):\d+ (https?://\S+)", out, re.MULTILINE)))
    return f" (asked in vain: {', '.join(places)})" if len(places) > 1 else ""
