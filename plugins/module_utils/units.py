# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd units as they are wished and as they are found, and the steps from one to the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence

_PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NeedDaemonReload",
    "Type",
    "Result",
    "ConditionResult",
    "ConditionTimestamp",
    "ActiveEnterTimestamp",
    "StateChangeTimestamp",
)

_EPOCH = datetime(1970, 1, 1)


class UnitError(Exception):
    """A wish that cannot be fulfilled on this host; the text is for the user."""


class Step(NamedTuple):
    """`action` is a verb of systemctl."""

    name: str
    action: str


@dataclass(frozen=True)
class Wish:
    name: str
    enabled: Optional[bool] = None
    state: str = ""  # started, stopped, masked; empty: as it is
    on_change: str = "none"  # restart, reload, none
    command: Sequence[str] = ()


class Unit:
    """A unit as `systemctl show` describes it, with what is wished of it."""

    def __init__(self, wish: Wish, properties: Dict[str, str]) -> None:
        self.wish = wish
        self._properties = properties

    def __getitem__(self, name: str) -> str:
        return self._properties.get(name, "")

    @property
    def exists(self) -> bool:
        return self["LoadState"] != "not-found"

    @property
    def masked(self) -> bool:
        return self["UnitFileState"].startswith("masked")

    @property
    def running(self) -> bool:
        # A service that dies and is started again and again is not running.
        return self["ActiveState"] in ("active", "reloading", "activating") and self["SubState"] != "auto-restart"

    @property
    def needs_daemon_reload(self) -> bool:
        return self["NeedDaemonReload"] == "yes"

    @property
    def declined(self) -> bool:
        """systemd was asked to start it, and a Condition...= of the unit said no."""
        return self["ConditionResult"] == "no" and bool(self["ConditionTimestamp"])

    @property
    def ran(self) -> bool:
        """A job that runs once and ends is done when it has ended well since boot."""
        return self["Type"] == "oneshot" and self["Result"] == "success" and self.changed_at > 0

    @property
    def changed_at(self) -> int:
        """When it last changed its state, which a reload does as well; microseconds since the epoch, 0 for never."""
        return parse_timestamp(self["StateChangeTimestamp"])

    @property
    def read_files_at(self) -> int:
        """The last moment at which it has taken in its configuration."""
        if self["Type"] == "oneshot" and not self.running:
            declined = parse_timestamp(self["ConditionTimestamp"]) if self.declined else 0
            return max(self.changed_at, declined)
        return self.changed_at if self.wish.on_change == "reload" else parse_timestamp(self["ActiveEnterTimestamp"])

    def stale(self, newest: int) -> bool:
        """Whether it works with older files than those on disk."""
        if self.wish.on_change == "none" or not (self.running or self["Type"] == "oneshot"):
            return False
        return newest > self.read_files_at

    @property
    def down(self) -> bool:
        """It is to run and does not."""
        return self.wish.state == "started" and not self.running and not self.ran

    def __str__(self) -> str:
        if not self.exists:
            return "not installed"
        return ", ".join(word for word in (self["UnitFileState"], self["ActiveState"]) if word)


def show_command(wishes: Sequence[Wish]) -> List[str]:
    names = [wish.name for wish in wishes]
    return ["systemctl", "show", "--timestamp=us+utc", f"--property={','.join(_PROPERTIES)}", "--", *names]


def parse_show(text: str, wishes: Sequence[Wish]) -> List[Unit]:
    """The units in the order of the wishes: systemctl answers in the order in which it was asked."""
    blocks = [block for block in text.split("\n\n") if block.strip()]
    if len(blocks) != len(wishes):
        raise UnitError(f"systemctl show described {len(blocks)} units, {len(wishes)} were asked for")
    return [Unit(wish, _properties(blocks[number])) for number, wish in enumerate(wishes)]


def _properties(block: str) -> Dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def parse_timestamp(text: str) -> int:
    """Microseconds since the epoch of `Mon 2026-11-23 17:58:53.123456 UTC`; 0 if there is none."""
    fields = text.split()
    if len(fields) != 4:
        return 0
    moment = datetime.fromisoformat(f"{fields[1]}T{fields[2]}") - _EPOCH
    return (moment.days * 86400 + moment.seconds) * 1_000_000 + moment.microseconds


# Static, indirect, generated and alias units have no switch of their own.
_ENABLED = ("enabled", "enabled-runtime", "linked", "linked-runtime")
_NOT_ENABLED = ("disabled", "enabled-runtime", "linked", "linked-runtime", "bad")
# These are one call for all units; the others are told apart by their errors.
TOGETHER = ("unmask", "disable", "mask", "stop", "enable")
# Later than anything a unit can have done.
_NOW = 1 << 62


def plan(units: Sequence[Unit], newest: int, changed: bool) -> List[Step]:
    """The steps in the order in which they are safe. `changed`: a file was, or would be, changed by this very run."""
    newest = _NOW if changed else newest
    steps = [Step(unit.wish.name, action) for unit in units for action in _actions(unit, newest)]
    together = [step for action in TOGETHER for step in steps if step.action == action]
    return together + [step for step in steps if step.action not in TOGETHER]


def _actions(unit: Unit, newest: int) -> Iterator[str]:
    wish = unit.wish
    off = wish.state in ("masked", "stopped")
    if wish.state == "started" or wish.enabled:
        if unit.masked:
            yield "unmask"
        if wish.enabled and (not unit.exists or unit.masked or unit["UnitFileState"] in _NOT_ENABLED):
            yield "enable"
    if wish.enabled is False and unit["UnitFileState"] in _ENABLED:
        yield "disable"
    if wish.state == "masked" and unit.exists and unit["UnitFileState"] != "masked":
        yield "mask"
    if off and unit["ActiveState"] in ("active", "reloading", "activating"):
        yield "stop"
    if unit.down:
        yield "start"
    elif not off and unit.stale(newest):
        yield wish.on_change


def missing(units: Sequence[Unit]) -> List[str]:
    """Units that are to run or to be enabled, and that the host does not have."""
    return [unit.wish.name for unit in units if not unit.exists and (unit.wish.state == "started" or unit.wish.enabled)]


def problem(unit: Unit, newest: int) -> str:
    """Why the unit is not as wished after all steps; empty if it is."""
    wish = unit.wish
    if unit.down:
        if unit.declined:
            return f"{wish.name} did not start: a condition of the unit is not met on this host"
        return f"{wish.name} is {unit['ActiveState']} ({unit['Result'] or unit['SubState']})"
    if unit.stale(newest):
        how = " ".join(wish.command) or f"a {wish.on_change}"
        return f"{wish.name} has not taken in its files: it is older than they are, even after {how}"
    return ""
