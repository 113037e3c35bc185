# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change in the local accounts of a host. No Ansible, no I/O."""

from __future__ import annotations

from collections import Counter
from typing import Dict, FrozenSet, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.local_users import Shadow, User

# Shells that do one harmless thing and end.
NO_SHELLS = ("nologin", "false", "sync", "shutdown", "halt")
NOBODY = frozenset({65534, 4294967294})


class Policy(NamedTuple):
    """How accounts have to be."""

    maximum: int
    minimum: int
    warning: int
    inactive: int
    ageing_exempt: FrozenSet[str]
    shell_exempt: FrozenSet[str]
    lock_root: bool
    home_mode: int
    nologin: str
    first_uid: int


class Home(NamedTuple):
    """A home directory as it is found."""

    uid: int
    mode: int


class Change(NamedTuple):
    """One thing to change; `command` does it, and an empty one means that the module sets the mode of the home."""

    user: str
    what: str
    before: str
    after: str
    command: Tuple[str, ...] = ()


def first_uid(login_defs: str) -> int:
    """Return the first uid of a person, from /etc/login.defs."""
    for line in login_defs.splitlines():
        fields = line.split()
        if len(fields) >= 2 and fields[0] == "UID_MIN" and fields[1].isdigit():
            return int(fields[1])
    return 1000


def faults(users: Sequence[User]) -> List[str]:
    """Return what nobody but the administrator can decide about."""
    roots = [user.name for user in users if user.uid == 0 and user.name != "root"]
    found = [f"account {name}: found uid 0, wanted root as the only account with it" for name in roots]
    names = Counter(user.name for user in users)
    found += [
        f"account {name}: found {count} lines in /etc/passwd, wanted one" for name, count in names.items() if count > 1
    ]
    found += [
        f"account {user.name}: found a password in /etc/passwd, wanted it in /etc/shadow (pwconv moves it)"
        for user in users
        if user.password != "x" and not user.password.startswith(("*", "!"))
    ]
    return found


def doubtful(users: Sequence[User]) -> List[str]:
    """Return uids that several accounts share."""
    shared: Dict[int, List[str]] = {}
    for user in users:
        shared.setdefault(user.uid, []).append(user.name)
    return [
        f"{', '.join(names)} share the uid {uid}" for uid, names in sorted(shared.items()) if uid and len(names) > 1
    ]


def is_person(user: User, policy: Policy) -> bool:
    """Whether an account is not of the system."""
    return user.uid >= policy.first_uid and user.uid not in NOBODY


def plan(
    users: Iterable[User],
    shadow: Mapping[str, Shadow],
    homes: Mapping[str, Home],
    policy: Policy,
    connecting: str,
    today: int,
) -> List[Change]:
    """Return all changes. `connecting` is the user that must be able to come back."""
    changes: List[Change] = []
    for user in users:
        entry = shadow.get(user.name)
        if entry is not None:
            changes += _password(user, entry, policy)
            if ages(user, entry, policy, connecting):
                changes += _ageing(entry, policy, today)
        changes += _shell(user, policy, connecting)
        changes += _home(user, homes.get(user.home), policy)
    return changes


def ages(user: User, entry: Shadow, policy: Policy, connecting: str) -> bool:
    """Whether the password of an account grows old.

    An expired password also stops those who come with a key, and cron jobs. So the user that Ansible comes as does not
    age, nor does root, whose password is the last way in at the console.
    """
    exempt = policy.ageing_exempt | {"root", connecting}
    return entry.state == "set" and user.name not in exempt and is_person(user, policy)


def _password(user: User, entry: Shadow, policy: Policy) -> List[Change]:
    system = not is_person(user, policy) and user.uid != 0
    if entry.state == "empty":
        return [Change(user.name, "password", "empty", "locked", ("usermod", "-L", user.name))]
    if entry.state == "set" and (system or (user.name == "root" and policy.lock_root)):
        return [Change(user.name, "password", "set", "locked", ("usermod", "-L", user.name))]
    return []


def _ageing(entry: Shadow, policy: Policy, today: int) -> List[Change]:
    fields: List[Tuple[str, str, Optional[int], int]] = [
        ("longest age of the password", "-M", entry.maximum, policy.maximum),
        ("shortest age of the password", "-m", entry.minimum, policy.minimum),
        ("days of warning", "-W", entry.warning, policy.warning),
    ]
    # Who has been away for longer than all of this would find the account closed, not only the password old. The grace
    # begins when they have set a new one.
    closed = entry.changed is not None and today > entry.changed + policy.maximum + policy.inactive
    if not closed:
        fields.append(("days until an old password closes the account", "-I", entry.inactive, policy.inactive))
    return [
        Change(
            entry.name,
            what,
            "unset" if found is None else str(found),
            str(wanted),
            ("chage", flag, str(wanted), entry.name),
        )
        for what, flag, found, wanted in fields
        if found != wanted
    ]


def _shell(user: User, policy: Policy, connecting: str) -> List[Change]:
    if user.uid == 0 or user.name == connecting or user.name in policy.shell_exempt:
        return []
    system = not is_person(user, policy)
    if not system or user.shell.rsplit("/", 1)[-1] in NO_SHELLS:
        return []
    return [
        Change(user.name, "shell", user.shell or "none", policy.nologin, ("usermod", "-s", policy.nologin, user.name))
    ]


def _home(user: User, home: Optional[Home], policy: Policy) -> List[Change]:
    # A home that belongs to somebody else is a directory of the system, or for the administrator to look at.
    if home is None or not is_person(user, policy) or home.uid != user.uid:
        return []
    wanted = home.mode & policy.home_mode
    if wanted == home.mode:
        return []
    return [Change(user.name, f"mode of {user.home}", f"{home.mode:04o}", f"{wanted:04o}")]
