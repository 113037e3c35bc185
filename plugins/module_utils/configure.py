# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring files and the units that read them to the wished state, in an order that survives being killed anywhere.

Each file is written beside its place and renamed. What a killed run leaves is therefore either the old file or the new
one, and in the second case the file is newer than the unit that should have read it: the next run sees that and goes
on. The modification time is the evidence, not the change time, which backup programs and relabelling touch as well.

A file that is to go is first renamed, and unlinked only after the units have followed, for the same reason.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils import files, units

SUFFIX = ".onprem-dify"

# Below these, or as these, a file changes what systemd itself has loaded.
_SYSTEMD_OWN = ("/systemd/system/", "/systemd/user/", "/systemd/system.conf.d/")
_SYSTEMD_OWN_FILES = ("/etc/fstab", "/etc/systemd/system.conf")


class ConfigureError(Exception):
    """The host cannot be brought to the wished state; the text is for the user."""


class Outcome(NamedTuple):
    diff: List[Dict[str, str]]
    files: List[str]
    units: List[Dict[str, str]]

    @property
    def changed(self) -> bool:
        return bool(self.files or self.units)


def parse_files(directories: Sequence[Dict[str, Any]], entries: Sequence[Dict[str, Any]]) -> List[files.Wish]:
    wishes = []
    for entry in [*({**directory, "directory": True} for directory in directories), *entries]:
        path = Path(os.path.normpath(entry["path"]))
        if not path.is_absolute():
            raise files.FileError(f"{entry['path']} is not an absolute path")
        content = entry.get("content")
        present = entry.get("state", "present") == "present"
        # Attributes are those of the target; a content belongs to the path itself unless said otherwise.
        if entry.get("follow") or (present and content is None):
            path = path.resolve()
        if entry.get("validate") and "%s" not in entry["validate"]:
            raise files.FileError(f"{path}: validate has no %s, where the name of the new file goes")
        wishes.append(
            files.Wish(
                path=path,
                attributes=files.Attributes(
                    files.owner_name(entry["owner"]),
                    files.group_name(entry["group"]),
                    files.parse_mode(entry["path"], entry["mode"]),
                ),
                content=None if content is None else content.encode("utf-8", "surrogateescape"),
                present=present,
                directory=entry.get("directory", False),
                validate=entry.get("validate") or "",
                secret=entry.get("no_diff", False),
                others=entry.get("others", "keep"),
                once=entry.get("once", False),
            )
        )
    seen = set()
    for wish in wishes:
        if wish.path in seen:
            raise files.FileError(f"{wish.path} is listed twice")
        seen.add(wish.path)
    return wishes


def parse_units(entries: Sequence[Dict[str, Any]]) -> List[units.Wish]:
    return [
        units.Wish(
            name=entry["name"] if "." in entry["name"] else f"{entry['name']}.service",
            enabled=entry["enabled"],
            state=entry["state"] or "",
            on_change=entry["on_change"],
            command=tuple(entry["command"]),
        )
        for entry in entries
    ]


class Configure:
    """`module` is the AnsibleModule: it knows check_mode and does what touches the host besides files."""

    def __init__(self, module: Any, wishes: Sequence[files.Wish], unit_wishes: Sequence[units.Wish]) -> None:
        self._module = module
        self._wishes = [*wishes, *_others(wishes)]
        self._unit_wishes = unit_wishes
        self._candidates: Dict[Path, Path] = {}
        self._scratch_directory: Optional[Path] = None

    def run(self) -> Outcome:
        plans = [files.plan(wish, files.read(wish)) for wish in self._wishes]
        changes = [change for change in plans if change is not None]
        try:
            self._prepare(changes)
            if not self._module.check_mode:
                for change in changes:
                    self._apply(change)
        finally:
            for candidate in self._candidates.values():
                candidate.unlink(missing_ok=True)
            if self._scratch_directory:
                self._scratch_directory.rmdir()
        diff = [part for change in changes for part in change.diff()]
        steps = self._bring_units_along(changes, diff)
        if not self._module.check_mode:
            for wish in self._wishes:
                _beside(wish.path).unlink(missing_ok=True)
        return Outcome(
            diff=diff,
            files=[str(change.path) for change in changes],
            units=[{"name": step.name, "action": step.action} for step in steps],
        )

    # Files

    def _prepare(self, changes: Sequence[files.Change]) -> None:
        """Everything that can be refused is refused here, before anything is changed."""
        if not self._module.check_mode:
            _refuse([problem for change in changes for problem in self._obstacles(change)])
        refusals = []
        for change in changes:
            if change.action != "write":
                continue
            program = self._validator(change.wish)
            if self._module.check_mode and program is None:
                continue
            self._write_candidate(change.wish)
            if change.wish.validate:
                refusals.append(self._validate(change.wish, program))
        _refuse(refusals)

    def _obstacles(self, change: files.Change) -> List[str]:
        wish = change.wish
        if change.action == "remove":
            return []
        problems = []
        try:
            files.user_id(wish.attributes.owner)
        except KeyError:
            problems.append(f"{wish.path}: there is no user {wish.attributes.owner} on this host")
        try:
            files.group_id(wish.attributes.group)
        except KeyError:
            problems.append(f"{wish.path}: there is no group {wish.attributes.group} on this host")
        parent = wish.path.parent
        if not parent.is_dir() and parent not in {other.path for other in self._wishes if other.directory}:
            problems.append(f"{wish.path}: the directory {parent} does not exist and is not among the directories")
        return problems

    def _validator(self, wish: files.Wish) -> Optional[str]:
        if not wish.validate:
            return None
        found = self._module.get_bin_path(
            shlex.split(wish.validate)[0], required=False, opt_dirs=["/usr/local/sbin", "/usr/sbin", "/sbin"]
        )
        return str(found) if found else None

    def _write_candidate(self, wish: files.Wish) -> None:
        # Beside its place: a confined validator may read there and not in a temporary directory.
        beside = _beside(wish.path)
        candidate = beside if beside.parent.is_dir() else self._scratch() / f"{len(self._candidates)}-{wish.path.name}"
        candidate.unlink(missing_ok=True)
        self._candidates[wish.path] = candidate
        try:
            descriptor = os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(wish.content or b"")
                file.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise ConfigureError(f"{wish.path} cannot be written: {error.strerror}") from error
        if not self._module.check_mode:
            _set_attributes(candidate, wish.attributes)

    def _scratch(self) -> Path:
        """For files whose directory is still to be made."""
        if self._scratch_directory is None:
            self._scratch_directory = Path(tempfile.mkdtemp(prefix="onprem-dify-"))
        return self._scratch_directory

    def _validate(self, wish: files.Wish, program: Optional[str]) -> str:
        words = shlex.split(wish.validate)
        if program is None:
            return f"{wish.path} cannot be validated: {words[0]} is not installed"
        candidate = str(self._candidates[wish.path])
        command = [program, *(word.replace("%s", candidate) for word in words[1:])]
        code, out, err = self._module.run_command(command)
        if code == 0:
            return ""
        said = "\n".join(part for part in (out.strip(), err.strip()) if part).replace(candidate, str(wish.path))
        return f"{wish.path} was refused by {words[0]}: {said or f'exit code {code}'}"

    def _apply(self, change: files.Change) -> None:
        path, attributes = change.path, change.wish.attributes
        if change.action == "remove":
            parked = _beside(path)
            path.replace(parked)
            _touch(parked)
            return
        if change.action == "create":
            path.mkdir(mode=0o700)
            self._module.set_default_selinux_context(str(path), False)
        elif change.action == "write":
            candidate = self._candidates[path]
            _touch(candidate)
            self._module.atomic_move(str(candidate), str(path), keep_dest_attrs=False)
        _set_attributes(path, attributes)
        if change.action == "attributes" and change.wish.content is not None:
            _touch(path)

    # Units

    def _bring_units_along(self, changes: Sequence[files.Change], diff: List[files.Diff]) -> List[units.Step]:
        shown = self._show()
        steps = []
        if any(unit.needs_daemon_reload for unit in shown) or any(_concerns_systemd(change.path) for change in changes):
            steps.append(units.Step("systemd", "daemon-reload"))
            if not self._module.check_mode:
                self._systemctl("daemon-reload")
                shown = self._show()
        if not self._module.check_mode:
            missing = units.missing(shown)
            if missing:
                raise ConfigureError(f"not installed on this host: {', '.join(missing)}")
        changed = any(change.wish.content is not None or change.action == "remove" for change in changes)
        newest, future = self._newest()
        todo = units.plan(shown, newest, changed)
        steps += todo
        if not steps:
            return []
        if not self._module.check_mode:
            self._follow(todo, newest, future)
        diff.append(_unit_diff(shown, steps))
        return steps

    def _show(self) -> List[units.Unit]:
        if not self._unit_wishes:
            return []
        code, out, err = self._module.run_command(units.show_command(self._unit_wishes))
        if code != 0:
            raise ConfigureError(f"systemctl show: {err.strip() or out.strip()}")
        return units.parse_show(out, self._unit_wishes)

    def _evidence(self) -> List[Path]:
        """What a unit must be younger than: the files with content, and those that a killed run was about to remove."""
        paths = [wish.path for wish in self._wishes if wish.content is not None]
        paths += [_beside(wish.path) for wish in self._wishes]
        return [path for path in paths if path.is_symlink() or path.exists()]

    def _newest(self) -> Tuple[int, List[Path]]:
        """The newest modification, and the files whose time lies ahead: written before the clock was set back."""
        now = time.time_ns() // 1000
        times = {path: path.lstat().st_mtime_ns // 1000 for path in self._evidence()}
        return max(times.values(), default=0), [path for path, modified in times.items() if modified > now]

    def _follow(self, steps: Sequence[units.Step], newest: int, future: Sequence[Path]) -> None:
        # No restart makes a unit younger than a file from the future: without this it would be restarted by each run.
        for path in future:
            _touch(path)
        if future:
            newest = self._newest()[0]
        for action in units.TOGETHER:
            names = [step.name for step in steps if step.action == action]
            if names:
                self._systemctl(action, *names)
        by_name = {wish.name: wish for wish in self._unit_wishes}
        for step in steps:
            if step.action in units.TOGETHER:
                continue
            command = by_name[step.name].command
            if command and step.action != "start":
                self._must(list(command), step.name)
            else:
                self._systemctl("reload-or-restart" if step.action == "reload" else step.action, step.name)
        acted = {step.name for step in steps if step.action not in units.TOGETHER}
        if acted:
            _refuse([units.problem(unit, newest) for unit in self._show() if unit.wish.name in acted])

    def _systemctl(self, action: str, *names: str) -> None:
        self._must(["systemctl", action, *(["--", *names] if names else [])], names[0] if len(names) == 1 else "")

    def _must(self, command: List[str], unit: str) -> None:
        code, out, err = self._module.run_command(command)
        if code == 0:
            return
        message = f"{shlex.join(command)}: {err.strip() or out.strip() or f'exit code {code}'}"
        if unit:
            journal = self._module.run_command(
                ["journalctl", "--no-pager", "--quiet", "--lines=10", "--output=cat", f"--unit={unit}"]
            )[1]
            message += f"\nits last words:\n{journal.strip()}" if journal.strip() else ""
        raise ConfigureError(message)


def _others(wishes: Sequence[files.Wish]) -> List[files.Wish]:
    """What stands in directories that are to hold the wished files only."""
    known = {wish.path for wish in wishes}
    found: Dict[Path, files.Wish] = {}
    for directory in wishes:
        if directory.others == "keep" or not directory.path.is_dir():
            continue
        for entry in sorted(directory.path.iterdir()):
            path = _in_place(entry)
            if path in known or path in found or (entry.is_dir() and not entry.is_symlink()):
                continue
            if directory.others == "remove" or path != entry:
                found[path] = files.Wish(path, directory.attributes, present=False)
            else:
                state = files.read(files.Wish(path, directory.attributes))
                kept = state.attributes if state.kind == "file" else directory.attributes._replace(mode=0o644)
                found[path] = files.Wish(path, kept or directory.attributes, content=b"")
    return list(found.values())


def _beside(path: Path) -> Path:
    """Hidden, and with an ending that no program takes for one of its own files."""
    return path.with_name(f".{path.name}{SUFFIX}")


def _in_place(path: Path) -> Path:
    """The path that a leftover of a killed run stood beside; other paths as they are."""
    parked = path.name.startswith(".") and path.name.endswith(SUFFIX)
    return path.with_name(path.name[1 : -len(SUFFIX)]) if parked else path


def _concerns_systemd(path: Path) -> bool:
    return str(path) in _SYSTEMD_OWN_FILES or any(part in str(path) for part in _SYSTEMD_OWN)


def _touch(path: Path) -> None:
    os.utime(path, follow_symlinks=False)


def _set_attributes(path: Path, attributes: files.Attributes) -> None:
    shutil.chown(path, files.user_id(attributes.owner), files.group_id(attributes.group))
    path.chmod(attributes.mode)


def _unit_diff(shown: Sequence[units.Unit], steps: Sequence[units.Step]) -> files.Diff:
    before, after = "", ""
    for unit in shown:
        actions = [step.action for step in steps if step.name == unit.wish.name]
        if actions:
            before += f"{unit.wish.name}: {unit}\n"
            after += f"{unit.wish.name}: {', '.join(actions)}\n"
    after += "".join(f"{step.name}: {step.action}\n" for step in steps if step.action == "daemon-reload")
    return {"before_header": "units", "before": before, "after_header": "units", "after": after}


def _refuse(problems: Sequence[str]) -> None:
    found = [problem for problem in problems if problem]
    if found:
        raise ConfigureError("\n".join(found))
