# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of mounts: what fstab or a unit says for the next boot, what the kernel shows, and the steps between."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

# Flags of a mount point; everything else belongs to the file system and needs a whole remount.
FLAGS = frozenset(
    {"nodev", "nosuid", "noexec", "ro", "rw", "noatime", "nodiratime", "relatime", "strictatime", "nosymfollow"}
)
OPPOSITES = {"nodev": "dev", "nosuid": "suid", "noexec": "exec", "ro": "rw"}
OPPOSITES.update({opposite: option for option, opposite in list(OPPOSITES.items())})
# The kernel shows hidepid as a word since 5.8 and as a number before.
HIDEPID = {"0": "off", "1": "noaccess", "2": "invisible", "4": "ptraceable"}
DEFAULTS = {"hidepid": "off", "gid": "0"}


class Wish(NamedTuple):
    """A mount and the options that it must have; the rest is for a line that has to be added."""

    path: str
    options: List[str]
    source: str = ""
    fstype: str = ""
    extra: Sequence[str] = ()


class Mount(NamedTuple):
    """A mount as the kernel shows it."""

    path: str
    flags: List[str]
    fstype: str
    source: str
    options: List[str]


def parse_mountinfo(text: str) -> Dict[str, Mount]:
    """Return the mounts of /proc/self/mountinfo by path; of several on one path the last one is on top."""
    mounts = {}
    for line in text.splitlines():
        left, _separator, right = line.partition(" - ")
        fields, rest = left.split(), right.split()
        if len(fields) >= 6 and len(rest) >= 3:
            path = _unescape(fields[4])
            mounts[path] = Mount(path, fields[5].split(","), rest[0], _unescape(rest[1]), rest[2].split(","))
    return mounts


def inside(mounts: Dict[str, Mount], gid_map: str) -> Dict[str, Mount]:
    """Return the mounts with the groups as this user namespace numbers them: the kernel shows those of the machine."""
    ranges = [[int(word) for word in line.split()] for line in gid_map.splitlines()]

    def group(option: str) -> str:
        name, _equals, value = option.partition("=")
        if name == "gid" and value.isdecimal():
            for here, there, size in ranges:
                if there <= int(value) < there + size:
                    return f"gid={int(value) - there + here}"
        return option

    return {path: mount._replace(options=[group(option) for option in mount.options]) for path, mount in mounts.items()}


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def _escape(text: str) -> str:
    return re.sub(r"[\s\\]", lambda match: f"\\{ord(match.group()):03o}", text)


def normal(option: str) -> str:
    """Return an option as it is compared."""
    name, equals, value = option.partition("=")
    return f"hidepid={HIDEPID.get(value, value)}" if equals and name == "hidepid" else option


def merge(found: Sequence[str], wanted: Sequence[str]) -> List[str]:
    """Return options with the wanted ones in force, the others as they were and in their place."""
    names = {option.partition("=")[0] for option in wanted if "=" in option}
    contrary = {OPPOSITES[option] for option in wanted if option in OPPOSITES}
    same = {normal(option) for option in wanted}
    kept = [
        option
        for option in found
        if option and option not in contrary and (option.partition("=")[0] not in names or normal(option) in same)
    ]
    return kept + [option for option in wanted if normal(option) not in {normal(item) for item in kept}]


def lacking(wanted: Sequence[str], mount: Optional[Mount]) -> List[str]:
    """Return the wanted options that are not in force."""
    if mount is None:
        return list(wanted)
    shown = {normal(option) for option in [*mount.flags, *mount.options]}
    names = {option.partition("=")[0] for option in shown}
    unshown = {f"{name}={value}" for name, value in DEFAULTS.items() if name not in names}
    return [option for option in wanted if normal(option) not in shown | unshown]


class FstabLine(NamedTuple):
    number: int
    fields: List[str]


def find_line(text: str, path: str) -> Optional[FstabLine]:
    """Return the line of fstab that mounts this path."""
    for number, line in enumerate(text.splitlines()):
        fields = line.split()
        if (
            len(fields) >= 3
            and not line.lstrip().startswith("#")
            and _unescape(fields[1]).rstrip("/") == path.rstrip("/")
        ):
            return FstabLine(number, fields)
    return None


def fstab_with(text: str, wish: Wish) -> str:
    """Return the text of fstab with this wish in it."""
    found = find_line(text, wish.path)
    if found is None:
        options = merge(wish.extra, wish.options)
        line = " ".join([_escape(wish.source), _escape(wish.path), wish.fstype, ",".join(options), "0", "0"])
        return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n"
    before = found.fields[3].split(",") if len(found.fields) > 3 else ["defaults"]
    options = merge(before, wish.options)
    if options == before:
        return text
    lines = text.splitlines()
    lines[found.number] = " ".join([*found.fields[:3], ",".join(options), *(found.fields[4:6] or ["0", "0"])])
    return "\n".join(lines) + "\n"


def unit_name(path: str) -> str:
    """Return the name of the mount unit of a path."""
    words = [word for word in path.split("/") if word]
    return (
        "-".join(re.sub(r"[^A-Za-z0-9:_.]", lambda match: f"\\x{ord(match.group()):02x}", word) for word in words)
        + ".mount"
    )


def unit_options(text: str) -> List[str]:
    """Return the options of a mount unit."""
    options: List[str] = []
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name.strip() == "Options":
            options = [option for option in value.strip().replace("%%", "%").split(",") if option]
    return options


def drop_in(found: Sequence[str], wanted: Sequence[str]) -> str:
    """Return a drop-in that gives a unit of the administrator the wanted options as well."""
    return "# Ansible managed\n[Mount]\nOptions=" + ",".join(merge(found, wanted)).replace("%", "%%") + "\n"


class MaskedError(Exception):
    """The administrator has masked the unit of a mount."""


def persistent(wishes: Sequence[Wish], root: Path = Path("/")) -> Dict[str, str]:
    """Return the texts of the files that count at boot: fstab, and drop-ins for units that hide fstab."""
    fstab = _text(root / "etc/fstab")
    files = {}
    for wish in wishes:
        name = unit_name(wish.path)
        unit = root / "etc/systemd/system" / name
        if find_line(fstab, wish.path) is None and (unit.is_symlink() or unit.exists()):
            target = unit.resolve()
            if target == Path("/dev/null") or (target.is_file() and not target.stat().st_size):
                raise MaskedError(name)
            folder = f"/etc/systemd/system/{name}.d"
            files[f"{folder}/60-onprem-dify.conf"] = drop_in(unit_options(_text(unit)), wish.options)
        else:
            fstab = fstab_with(fstab, wish)
    return {"/etc/fstab": fstab, **files}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def commands(wish: Wish, mount: Optional[Mount]) -> List[List[str]]:
    """Return the commands that bring the wanted options into force now.

    What is no mount yet is bound on itself: its files stay where programs have them open, and the next boot mounts what
    fstab says. Source and path are both named, because mount(8) adds the options of fstab to a remount that names one.
    """
    if mount is None:
        bind = ["mount", "--bind", wish.path, wish.path]
        return [bind, _remount(["bind", *wish.options], wish.path, wish.path)]
    flags = merge(mount.flags, [option for option in wish.options if option in FLAGS])
    if set(lacking(wish.options, mount)) <= FLAGS:
        return [_remount(["bind", *flags], mount.source, wish.path)]
    return [_remount(merge(flags, wish.options), mount.source, wish.path)]


def _remount(options: Sequence[str], source: str, path: str) -> List[str]:
    return ["mount", "-o", ",".join(["remount", *options]), source, path]


def live_text(mounts: Dict[str, Mount], wishes: Sequence[Wish]) -> str:
    """Return the mounts of the wishes as a diff shows them."""
    lines = []
    for wish in wishes:
        mount = mounts.get(wish.path)
        shown = (
            ",".join(mount.flags + [option for option in mount.options if _speaks_of(option, wish)])
            if mount
            else "not a mount"
        )
        lines.append(f"{wish.path} {shown}\n")
    return "".join(lines)


def _speaks_of(option: str, wish: Wish) -> bool:
    name, equals, _value = option.partition("=")
    return bool(equals) and name in {wanted.partition("=")[0] for wanted in wish.options}


def after(mounts: Dict[str, Mount], wishes: Sequence[Wish]) -> Dict[str, Mount]:
    """Return the mounts as they will be."""
    result = dict(mounts)
    for wish in wishes:
        found = mounts.get(wish.path) or Mount(wish.path, [], wish.fstype, wish.source, [])
        missing = lacking(wish.options, mounts.get(wish.path))
        result[wish.path] = found._replace(
            flags=merge(found.flags, [option for option in missing if option in FLAGS]),
            options=merge(found.options, [option for option in missing if option not in FLAGS]),
        )
    return result
