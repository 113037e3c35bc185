# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Redis or Valkey server should be, what it is, and the difference. No Ansible, no I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

# Never shown, neither in a diff nor in a message.
SECRET_SETTINGS = frozenset({"masterauth", "requirepass", "tls-key-file-pass"})
HIDDEN = "(not shown)"
ADMIN = "admin"
ADMIN_RULES = "~* &* +@all"


class ServerError(Exception):
    """The server cannot be brought to the wished state; the text is for the user."""


# Users


class User(NamedTuple):
    """`hashes`: of its passwords, the one of today first."""

    name: str
    hashes: Tuple[str, ...]
    rules: str

    def line(self) -> str:
        return f"user {self.name} on {' '.join('#' + digest for digest in self.hashes)} {self.rules}\n"

    def command(self) -> List[str]:
        """Replaces the user in one step; connections that are logged in stay so."""
        digests = ["#" + digest for digest in self.hashes]
        return ["ACL", "SETUSER", self.name, "reset", "on", *digests, *self.rules.split()]


def digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def parse_users(text: str) -> Dict[str, User]:
    """The users of an ACL file that this module wrote."""
    users = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3 or words[0] != "user" or words[2] != "on":
            continue
        hashes = tuple(word[1:] for word in words[3:] if word.startswith("#"))
        rules = " ".join(word for word in words[3:] if not word.startswith("#"))
        users[words[1]] = User(words[1], hashes, rules)
    return users


def wished_users(
    wishes: Sequence[Mapping[str, str]], admin: str, known: Mapping[str, User], retire: bool
) -> Dict[str, User]:
    """The users with the passwords that count.

    A password that was replaced stays valid beside the new one until it is retired: its clients learn the new later.
    """
    users = {ADMIN: User(ADMIN, (digest(admin),), ADMIN_RULES)}
    for wish in wishes:
        name, today = wish["name"], digest(wish["password"])
        before = [old for old in (known[name].hashes if name in known else ()) if old != today]
        users[name] = User(name, (today, *([] if retire else before[:1])), " ".join(wish["rules"].split()))
    return users


def users_text(users: Mapping[str, User]) -> str:
    return "user default off\n" + "".join(user.line() for user in users.values())


def user_commands(users: Mapping[str, User], known: Mapping[str, User]) -> List[List[str]]:
    commands = [user.command() for user in users.values() if known.get(user.name) != user]
    gone = [name for name in known if name not in users]
    return [*commands, *([["ACL", "DELUSER", *gone]] if gone else [])]


def shown_users(users: Mapping[str, User]) -> str:
    """For a diff: whose rights and how many passwords, never a hash."""
    return "".join(f"{user.name}: {user.rules} ({len(user.hashes)} password(s))\n" for user in users.values())


# Settings


def setting_text(value: Any) -> str:
    """A value as CONFIG GET gives it back."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(setting_text(word) for word in value)
    return str(value)


def settings_file(settings: Mapping[str, Any]) -> str:
    """The lines of a configuration file. A list is a value of several words, `save` replaces what was before."""
    lines = []
    for name, value in settings.items():
        words = [setting_text(word) for word in value] if isinstance(value, (list, tuple)) else [setting_text(value)]
        if name == "save":
            lines.append('save ""')
        lines.append(" ".join([name, *(_quoted(word) for word in words)]))
    return "".join(f"{line}\n" for line in lines)


def _quoted(word: str) -> str:
    if word and all(char.isalnum() or char in "._~-/:*" for char in word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True)
class Difference:
    name: str
    found: str
    wanted: str

    def sides(self) -> Tuple[str, str]:
        if self.name in SECRET_SETTINGS:
            return f"{self.name} {HIDDEN}\n", f"{self.name} {HIDDEN}, another one\n"
        return f"{self.name} {self.found}\n", f"{self.name} {self.wanted}\n"


def differences(settings: Mapping[str, Any], running: Mapping[str, str]) -> List[Difference]:
    """Settings that the running server has otherwise. One that it does not know is left to its own start to refuse."""
    wanted = {name: setting_text(value) for name, value in settings.items()}
    return [
        Difference(name, running[name], value)
        for name, value in wanted.items()
        if name in running and running[name] != value
    ]


# Who is the master


class Peer(NamedTuple):
    """What another server of the site answered.

    `state`: up, refused (nothing listens there), silent, or closed (no login). `empty`: it holds no keys.
    """

    name: str
    address: str
    state: str
    role: str = ""
    follows: str = ""
    empty: bool = False


def parse_info(text: str) -> Dict[str, str]:
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def seed(name: str, address: str, first: Tuple[str, str], peers: Sequence[Peer], forced: str = "") -> str:
    """The address that a new server without data follows; empty if it is the master.

    A master that exists always wins. Only where nothing exists the first server becomes it, or the one that the user
    names.
    """
    closed = [peer.name for peer in peers if peer.state == "closed"]
    if closed:
        raise ServerError(
            f"{' and '.join(closed)} refused the login of this host, so it cannot be known which server is the master."
            " Bring that host up to date first: it may still have the secrets of before"
        )
    followers = [peer for peer in peers if peer.role == "slave" and peer.follows == address]
    followed = [peer.name for peer in followers if not peer.empty]
    masters = [peer for peer in peers if peer.role == "master"]
    if masters:
        if len(masters) > 1:
            raise ServerError(f"{' and '.join(peer.name for peer in masters)} both say that they are the master")
        return masters[0].address
    if followed and forced != name:
        raise ServerError(
            f"{' and '.join(followed)} still follows this host, which has no data any more, and would lose its own."
            " Let Sentinel replace the master first: as the user sentinel, SENTINEL FAILOVER dify on the witness"
        )
    if followers and not forced:
        # It waits for this one: a first installation that was interrupted.
        return ""
    known = sorted({peer.follows for peer in peers if peer.role == "slave"})
    if known and not forced:
        return known[0]
    if forced:
        return "" if forced == name else next(peer.address for peer in peers if peer.name == forced)
    if first[0] != name:
        return first[1]
    silent = [peer.name for peer in peers if peer.state == "silent"]
    if silent:
        raise ServerError(
            f"{' and '.join(silent)} does not answer and may hold the data. Bring it up, or say"
            f" redis_first_master={name} if there is nothing to lose"
        )
    return ""


# Sentinel


def sentinel_trouble(
    master: Mapping[str, str], replicas: Sequence[Mapping[str, str]], servers: int, voters: int
) -> str:
    """Why a Sentinel is not content yet; empty if it is."""
    if "down" in master.get("flags", ""):
        return f"the master {master.get('ip')} is down"
    following = [
        replica
        for replica in replicas
        if replica.get("master-link-status") == "ok" and "down" not in replica.get("flags", "")
    ]
    if len(following) < servers - 1:
        return f"{len(following)} of {servers - 1} replicas follow the master {master.get('ip')}"
    others = int(master.get("num-other-sentinels", 0))
    if others < voters - 1:
        return f"it knows {others} of {voters - 1} other Sentinels"
    return ""
