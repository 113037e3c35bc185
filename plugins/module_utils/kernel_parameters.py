# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel parameters: the file that sets them at boot, their live values, and what differs."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

# Switching forwarding makes the kernel reset other parameters of every interface, so these come first.
FIRST = ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding", "net.ipv6.conf.all.forwarding")
INTERFACES = re.compile(r"^(net\.ipv[46]\.(?:conf|neigh))\.\*\.(.+)$")


class Setting(NamedTuple):
    """One line of the file."""

    key: str
    value: str
    optional: bool = False


class Parameter(NamedTuple):
    """One parameter of the running kernel; found is None where the kernel has no such parameter."""

    key: str
    wanted: str
    found: Optional[str]
    read_only: bool
    optional: bool

    @property
    def differs(self) -> bool:
        return self.found is not None and plain(self.found) != self.wanted


def plain(value: Any) -> str:
    """Return a value as the kernel compares it: numbers for booleans, single spaces."""
    if isinstance(value, bool):
        return str(int(value))
    return " ".join(str(value).split())


def settings(parameters: Mapping[str, Any], optional: Sequence[str] = ()) -> List[Setting]:
    """Return the lines of the file in the order that the kernel needs; a value of None leaves a parameter out."""
    expanded: Dict[str, str] = {}
    for key, value in parameters.items():
        if value is None:
            continue
        for name in _with_all_interfaces(key):
            expanded[name] = plain(value)
    # A parameter that is given in full says more than the pattern that also covers it.
    expanded.update({key: plain(value) for key, value in parameters.items() if value is not None})
    order = sorted(expanded, key=lambda key: (FIRST.index(key) if key in FIRST else len(FIRST), key))
    return [
        Setting(key, expanded[key], any(fnmatch.fnmatchcase(key, pattern) for pattern in optional)) for key in order
    ]


def _with_all_interfaces(key: str) -> List[str]:
    """Return a pattern over interfaces with the two entries that a pattern of another file may have excluded."""
    match = INTERFACES.match(key)
    return [f"{match.group(1)}.{name}.{match.group(2)}" for name in ("all", "default", "*")] if match else [key]


def file_text(lines: Sequence[Setting]) -> str:
    """Return the text of the file; systemd-sysctl passes over a missing parameter that starts with a hyphen."""
    return "".join(
        ["# Ansible managed\n", *(f"{'-' if line.optional else ''}{line.key} = {line.value}\n" for line in lines)]
    )


def parse(text: str) -> Dict[str, str]:
    """Return what a file of sysctl.d sets."""
    found = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not line.lstrip().startswith(("#", ";")):
            found[_dotted(key.strip().lstrip("-").strip())] = plain(value)
    return found


def _dotted(key: str) -> str:
    """Return a key with dots between its parts: where a slash comes first, a dot belongs to a name."""
    match = re.search(r"[./]", key)
    return _swapped(key) if match and match.group() == "/" else key


def _swapped(key: str) -> str:
    return key.translate(str.maketrans("./", "/."))


def overridden(lines: Sequence[Setting], later: Sequence[Tuple[str, str]]) -> List[str]:
    """Return one sentence for each parameter that one of the later files, paths with texts, sets to something else."""
    wanted = {line.key: line.value for line in lines}
    last: Dict[str, Tuple[str, str]] = {}
    for path, text in later:
        for key, value in parse(text).items():
            if key in wanted:
                last[key] = (path, value)
    return [
        f"{path} sets {key} to {value} after every boot, wanted {wanted[key]}"
        for key, (path, value) in sorted(last.items())
        if value != wanted[key]
    ]


def read_after(path: str, folders: Sequence[str]) -> List[str]:
    """Return the files of sysctl.d that are read after this one; an earlier folder hides files of a later one."""
    names: Dict[str, str] = {}
    for folder in folders:
        for file in sorted(Path(folder).glob("*.conf")):
            names.setdefault(file.name, str(file))
    return [names[name] for name in sorted(names) if name > Path(path).name]


class ProcSys:
    """The parameters of the running kernel."""

    def __init__(self, root: str = "/proc/sys") -> None:
        self.root = Path(root)

    def path(self, key: str) -> Path:
        return self.root / _swapped(key)

    def read(self, key: str) -> Optional[str]:
        try:
            return plain(self.path(key).read_text())
        except FileNotFoundError:
            return None
        except PermissionError:
            # Some parameters can only be written.
            return ""

    def read_only(self, key: str) -> bool:
        """Tell whether the parameter belongs to somebody else: the kernel of a container's host."""
        try:
            return bool(os.statvfs(self.path(key)).f_flag & os.ST_RDONLY)
        except FileNotFoundError:
            return False

    def write(self, key: str, value: str) -> None:
        self.path(key).write_text(f"{value}\n")

    def keys(self, pattern: str) -> List[str]:
        """Return the parameters that a pattern covers now."""
        found = self.root.glob(str(self.path(pattern).relative_to(self.root)))
        return sorted(_swapped(str(file.relative_to(self.root))) for file in found)


def survey(lines: Sequence[Setting], kernel: ProcSys) -> List[Parameter]:
    """Return the live parameters that the lines speak of, in their order."""
    explicit = {line.key for line in lines}
    found = []
    for line in lines:
        keys = [key for key in kernel.keys(line.key) if key not in explicit] if "*" in line.key else [line.key]
        for key in keys:
            value = kernel.read(key)
            if value is None and "*" in line.key:
                continue  # the interface has gone meanwhile
            found.append(Parameter(key, line.value, value, kernel.read_only(key), line.optional))
    return found


class Faults(NamedTuple):
    """What cannot be as wished."""

    missing: List[str]
    read_only: List[str]

    @classmethod
    def of(cls, parameters: Sequence[Parameter]) -> Faults:
        return cls(
            [parameter.key for parameter in parameters if parameter.found is None],
            [parameter.key for parameter in parameters if parameter.differs and parameter.read_only],
        )


def to_write(parameters: Sequence[Parameter]) -> List[Parameter]:
    """Return the parameters that differ and can be written."""
    return [parameter for parameter in parameters if parameter.differs and not parameter.read_only]


def live_diff(parameters: Sequence[Parameter]) -> Dict[str, str]:
    """Return before and after of the parameters that will be written."""
    return {
        "before_header": "running kernel",
        "after_header": "running kernel",
        "before": "".join(f"{parameter.key} = {parameter.found}\n" for parameter in parameters),
        "after": "".join(f"{parameter.key} = {parameter.wanted}\n" for parameter in parameters),
    }


def module_loaded(name: str, root: str = "/", release: Optional[str] = None) -> bool:
    """Tell whether a kernel module is loaded or built in."""
    plain_name = name.replace("-", "_")
    top = Path(root)
    if (top / "sys/module" / plain_name).is_dir():
        return True
    builtin = top / "lib/modules" / (release or os.uname().release) / "modules.builtin"
    try:
        names = builtin.read_text().splitlines()
    except OSError:
        return False
    return any(Path(line).name.split(".")[0].replace("-", "_") == plain_name for line in names)
