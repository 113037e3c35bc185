# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files passwd and shadow as values. No Ansible, no I/O."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional


class User(NamedTuple):
    """One line of /etc/passwd."""

    name: str
    password: str
    uid: int
    gid: int
    home: str
    shell: str


class Shadow(NamedTuple):
    """One line of /etc/shadow; a field that is empty is None. Days are counted from 1970."""

    name: str
    password: str
    changed: Optional[int] = None
    minimum: Optional[int] = None
    maximum: Optional[int] = None
    warning: Optional[int] = None
    inactive: Optional[int] = None
    expires: Optional[int] = None

    @property
    def state(self) -> str:
        """Whether a password can be typed: set, locked, none or empty."""
        if not self.password:
            return "empty"
        if self.password.startswith("!"):
            return "locked"
        return "none" if self.password.startswith("*") else "set"

    def refusal(self, today: int) -> str:
        """Return why PAM refuses the account today, an empty string if it does not.

        pam_unix looks at the dates even where no password can be typed and the user comes with a key.
        """
        if self.expires is not None and today >= self.expires >= 0:
            return "expired"
        if self.changed == 0:
            return "the password must be changed at the next login"
        ages = self.changed is not None and self.maximum is not None and 0 <= self.maximum < 99999
        if ages and today > self.changed + self.maximum:  # type: ignore[operator]
            return "the password has expired"
        return ""


def parse_passwd(text: str) -> List[User]:
    """Read /etc/passwd; lines of NIS and broken lines are left out."""
    users = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == 7 and fields[0] and fields[0][0] not in "+-#" and fields[2].isdigit() and fields[3].isdigit():
            users.append(User(fields[0], fields[1], int(fields[2]), int(fields[3]), fields[5], fields[6]))
    return users


def parse_shadow(text: str) -> Dict[str, Shadow]:
    """Read /etc/shadow."""
    found = {}
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) >= 8 and fields[0]:
            found[fields[0]] = Shadow(fields[0], fields[1], *(_number(field) for field in fields[2:8]))
    return found


def _number(text: str) -> Optional[int]:
    try:
        return int(text)
    except ValueError:
        return None
