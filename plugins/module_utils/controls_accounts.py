# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that all accounts of a host have to keep."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Callable, Dict, List, Mapping

from ansible_collections.onprem.dify.plugins.module_utils.controls_host import Account, Sources

Check = Mapping[str, Any]

# nfsnobody and nobody lie above the accounts of people.
NOBODY = 60000
NO_LOGIN = re.compile(r"/(nologin|false|sync|shutdown|halt)$")


def account_rule(check: Check) -> str:
    """Return a rule as a sentence."""
    limits = [
        f"{name.replace('_', ' ')} {check[name]}"
        for name in ("max_days", "min_days", "warn_days", "mode_max")
        if name in check
    ]
    if check.get("exempt"):
        limits.append(f"except {', '.join(check['exempt'])}")
    return ", ".join([SENTENCES[check["rule"]], *limits])


def account_findings(check: Check, sources: Sources) -> List[str]:
    """Return which accounts break a rule, and how."""
    return RULES[check["rule"]](check, sources)


def _no_empty_password(check: Check, sources: Sources) -> List[str]:
    return [f"{account.name} has an empty password" for account in sources.accounts() if _empty(account)]


def _empty(account: Account) -> bool:
    return account.password == "" or (account.password == "x" and len(account.shadow) > 1 and account.shadow[1] == "")


def _shadowed_passwords(check: Check, sources: Sources) -> List[str]:
    return [
        f"{account.name} has its password in /etc/passwd" for account in sources.accounts() if account.password != "x"
    ]


def _only_root_uid_0(check: Check, sources: Sources) -> List[str]:
    return [
        f"{account.name} has uid 0" for account in sources.accounts() if account.uid == 0 and account.name != "root"
    ]


def _unique_ids(check: Check, sources: Sources) -> List[str]:
    groups = [line.split(":") for line in sources.required_text("/etc/group").splitlines() if line.count(":") >= 3]
    kinds = {
        "user name": [account.name for account in sources.accounts()],
        "uid": [str(account.uid) for account in sources.accounts()],
        "group name": [fields[0] for fields in groups],
        "gid": [fields[2] for fields in groups],
    }
    return [
        f"{kind} {value} {count} times"
        for kind, values in kinds.items()
        for value, count in Counter(values).items()
        if count > 1
    ]


def _people_start_at(sources: Sources) -> int:
    match = re.search(r"^UID_MIN\s+(\d+)", sources.text("/etc/login.defs") or "", re.MULTILINE)
    return int(match.group(1)) if match else 1000


def _is_person(account: Account, first: int) -> bool:
    return first <= account.uid < NOBODY


def _system_nologin(check: Check, sources: Sources) -> List[str]:
    first = _people_start_at(sources)
    services = [
        account
        for account in sources.accounts()
        if account.uid != 0 and account.name not in check.get("exempt", ()) and not _is_person(account, first)
    ]
    return [
        f"{account.name} has the shell {account.shell or '/bin/sh'}"
        for account in services
        if not NO_LOGIN.search(account.shell)
    ]


def _ageing(check: Check, sources: Sources) -> List[str]:
    # Fields of shadow(5): the days before a change is allowed, before it is due, and of warning.
    limits = (("min_days", 3, int.__ge__), ("max_days", 4, int.__le__), ("warn_days", 5, int.__ge__))
    findings = []
    for account in sources.accounts():
        for name, field, fits in limits:
            value = account.shadow[field] if len(account.shadow) > field else ""
            if (
                name in check
                and account.has_password()
                and not (value.isdigit() and fits(int(value), int(check[name])))
            ):
                findings.append(f"{account.name}: {name.replace('_', ' ')} {value or 'not set'}")
    return findings


def _homes(check: Check, sources: Sources) -> List[str]:
    first, limit = _people_start_at(sources), int(str(check.get("mode_max", "0750")), 8)
    findings = []
    for account in sources.accounts():
        if _is_person(account, first) and not NO_LOGIN.search(account.shell):
            if not sources.host.paths(account.home):
                findings.append(f"{account.name} has no home {account.home}")
                continue
            info = sources.host.stat(account.home)
            if info.owner != account.name or info.mode & ~limit:
                findings.append(f"{account.home} {info.mode:04o} {info.owner}")
    return findings


RULES: Dict[str, Callable[[Check, Sources], List[str]]] = {
    "no_empty_password": _no_empty_password,
    "shadowed_passwords": _shadowed_passwords,
    "only_root_uid_0": _only_root_uid_0,
    "unique_ids": _unique_ids,
    "system_nologin": _system_nologin,
    "ageing": _ageing,
    "homes": _homes,
}

SENTENCES: Dict[str, str] = {
    "no_empty_password": "no account has an empty password",
    "shadowed_passwords": "passwords stand in /etc/shadow only",
    "only_root_uid_0": "root alone has uid 0",
    "unique_ids": "names and numbers of users and groups are unique",
    "system_nologin": "accounts of services have no shell",
    "ageing": "passwords age",
    "homes": "homes belong to their users",
}
