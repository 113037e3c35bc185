# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as they are wished and as they are found, and the difference between the two."""

from __future__ import annotations

import grp
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

Diff = Dict[str, str]

HIDDEN = "(content not shown)\n"


class FileError(Exception):
    """A wish that cannot be fulfilled on this host; the text is for the user."""


class Attributes(NamedTuple):
    owner: str
    group: str
    mode: int

    def __str__(self) -> str:
        return f"{self.owner}:{self.group} {self.mode:04o}"


@dataclass(frozen=True)
class Wish:
    """`content` None: only the attributes are managed, and only if the path exists."""

    path: Path
    attributes: Attributes
    content: Optional[bytes] = None
    present: bool = True
    directory: bool = False
    validate: str = ""
    secret: bool = False
    others: str = "keep"  # of a directory: what happens to files that are not wished; keep, remove, empty
    once: bool = False  # of a directory: the attributes are those of its making, and whoever uses it may change them


@dataclass(frozen=True)
class Found:
    kind: str  # absent, file, link, directory, other
    attributes: Optional[Attributes] = None
    content: bytes = b""
    target: str = ""
    modified: int = 0  # microseconds since the epoch


@dataclass(frozen=True)
class Change:
    """`action` is write, attributes, create (a directory) or remove."""

    action: str
    wish: Wish
    found: Found

    @property
    def path(self) -> Path:
        return self.wish.path

    def diff(self) -> List[Diff]:
        path = str(self.path)
        if self.action == "create":
            return [_diff(f"{path} (absent)", "", path, f"directory {self.wish.attributes}\n")]
        if self.action == "remove":
            return [_diff(path, self._before(), f"{path} (absent)", "")]
        parts = []
        if self.action == "write":
            origin = {"absent": f"{path} (absent)", "link": f"{path} (link to {self.found.target})"}
            after = HIDDEN if self.wish.secret else _text(self.wish.content or b"")
            parts.append(_diff(origin.get(self.found.kind, path), self._before(), path, after))
        if self.found.attributes != self.wish.attributes and self.found.kind in ("file", "directory"):
            header = f"{path} (attributes)"
            parts.append(_diff(header, f"{self.found.attributes}\n", header, f"{self.wish.attributes}\n"))
        return parts

    def _before(self) -> str:
        if self.found.kind == "absent":
            return ""
        return HIDDEN if self.wish.secret else _text(self.found.content)


def plan(wish: Wish, found: Found) -> Optional[Change]:
    """What must happen to the path, or None if it is as it should be."""
    if wish.directory:
        return _plan_directory(wish, found)
    if found.kind in ("directory", "other"):
        kind = {"other": "special file"}.get(found.kind, found.kind)
        raise FileError(f"{wish.path} is a {kind}, a regular file is wanted")
    if not wish.present:
        return None if found.kind == "absent" else Change("remove", wish, found)
    if wish.content is None:
        differs = found.kind == "file" and found.attributes != wish.attributes
        return Change("attributes", wish, found) if differs else None
    if found.kind != "file" or found.content != wish.content:
        return Change("write", wish, found)
    return None if found.attributes == wish.attributes else Change("attributes", wish, found)


def _plan_directory(wish: Wish, found: Found) -> Optional[Change]:
    if found.kind == "absent":
        return Change("create", wish, found)
    if found.kind != "directory":
        raise FileError(f"{wish.path} is not a directory")
    return None if wish.once or found.attributes == wish.attributes else Change("attributes", wish, found)


def read(wish: Wish) -> Found:
    """Look at the path. A symbolic link is seen as such unless only its target can be meant."""
    try:
        info = wish.path.stat() if wish.directory else wish.path.lstat()
    except FileNotFoundError:
        return Found("absent")
    except NotADirectoryError as error:
        raise FileError(f"{wish.path}: a part of the path is not a directory") from error
    attributes = Attributes(_owner(info.st_uid), _group(info.st_gid), stat.S_IMODE(info.st_mode))
    modified = info.st_mtime_ns // 1000
    if stat.S_ISREG(info.st_mode):
        content = wish.path.read_bytes() if wish.content is not None or not wish.present else b""
        return Found("file", attributes, content, modified=modified)
    if stat.S_ISLNK(info.st_mode):
        content = wish.path.read_bytes() if wish.path.is_file() else b""
        return Found("link", attributes, content, str(wish.path.readlink()), modified)
    return Found("directory" if stat.S_ISDIR(info.st_mode) else "other", attributes, modified=modified)


def parse_mode(path: str, text: str) -> int:
    if len(text) != 4 or not set(text) <= set("01234567"):
        raise FileError(f'{path}: mode {text!r} is not four octal digits in quotes, as "0644"')
    return int(text, 8)


def owner_name(name: str) -> str:
    """The same user always under the same name, whether the wish says root or 0."""
    return _owner(int(name)) if name.isdecimal() else name


def group_name(name: str) -> str:
    return _group(int(name)) if name.isdecimal() else name


def user_id(name: str) -> int:
    return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid


def group_id(name: str) -> int:
    return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


def _diff(before_header: str, before: str, after_header: str, after: str) -> Diff:
    return {"before_header": before_header, "before": before, "after_header": after_header, "after": after}
