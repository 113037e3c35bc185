# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of the catalogue of controls. No Ansible, no I/O."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

from ansible_collections.onprem.dify.plugins.module_utils.site import GROUPS, ZONES

CLAUSES: Dict[str, str] = {
    "cis_debian12": r"\d+(\.\d+){1,5}",
    "cis_rhel9": r"\d+(\.\d+){1,5}",
    "cis_kubernetes": r"\d+(\.\d+){1,2}",
    # Clause 8.1 holds the general requirements of level 3; a letter names the item of a clause.
    "mlps3": r"8\.1\.\d{1,2}\.\d{1,2}( [a-i]\))?",
}
REQUIRED = ("id", "title", "role", "variable", "check")
OPTIONAL = (*CLAUSES, "when", "reason")

TAGS = frozenset(
    {
        "systemd",
        "container",
        "debian",
        "ubuntu",
        "redhat",
        "openeuler",
        "selinux",
        "apparmor",
        "cluster",
        *GROUPS,
        *ZONES,
    }
)


class Parameters(NamedTuple):
    """What a check must say, what it may say, and of which ones it needs at least one."""

    required: Sequence[str] = ()
    optional: Sequence[str] = ()
    one_of: Sequence[str] = ()


ACCOUNT_RULES: Dict[str, Sequence[str]] = {
    "no_empty_password": (),
    "shadowed_passwords": (),
    "only_root_uid_0": (),
    "unique_ids": (),
    "system_nologin": ("exempt",),
    "ageing": ("max_days", "min_days", "warn_days"),
    "homes": ("mode_max",),
}

CHECKS: Dict[str, Parameters] = {
    "sshd": Parameters(("option",), one_of=("value", "contains", "excludes", "only", "min", "max")),
    "sysctl": Parameters(("key",), one_of=("value", "min", "max")),
    "file": Parameters(("path",), one_of=("mode_max", "owner", "group", "state")),
    "line": Parameters(("path", "pattern"), ("state",)),
    "mount": Parameters(("path",), one_of=("options",)),
    "unit": Parameters(("name",), one_of=("enabled", "active", "masked")),
    "package": Parameters(("name", "state")),
    "module": Parameters(("name",)),
    "login": Parameters(("variable", "value"), ("user", "shell", "readonly")),
    "audit_rule": Parameters(("pattern",)),
    "account": Parameters(("rule",), sorted({name for names in ACCOUNT_RULES.values() for name in names})),
    "selinux": Parameters(("mode",), ("policy",)),
    "apparmor": Parameters((), ("complain_max",)),
    "time_source": Parameters((), ("allowed", "offset_max")),
    "pinned": Parameters(("origin", "pins")),
    "command": Parameters(("argv", "pattern"), ("state", "rc")),
}
PATTERNS = frozenset({"line", "audit_rule", "command"})
# What may be a list, by the name of the parameter; the other parameters are single values.
LISTS = frozenset(
    {
        "allowed",
        "argv",
        "exempt",
        "contains",
        "excludes",
        "group",
        "name",
        "only",
        "options",
        "owner",
        "path",
        "pattern",
        "pins",
        "rc",
    }
)
SINGLE = frozenset({("mount", "path"), ("command", "pattern")})
MAY_BE_EMPTY = frozenset({"value", "allowed"})


def as_list(value: Any) -> List[Any]:
    """Return a value that may be one thing or a list of things as a list."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def entry_faults(entry: Any, subject: str) -> List[str]:
    """Return what is wrong with one entry of the catalogue file of a role, one sentence each."""
    if not isinstance(entry, dict):
        return [f"{subject}: an entry is not a mapping: {entry!r}"]
    name = f"{subject}: control {entry.get('id', '?')}"
    faults = [f"{name}: {field} is missing" for field in REQUIRED if field not in entry]
    faults += [f"{name}: unknown field {field}" for field in entry if field not in REQUIRED and field not in OPTIONAL]
    if faults:
        return faults
    if not re.fullmatch(rf"{re.escape(subject)}-[a-z0-9]+(-[a-z0-9]+)*", str(entry["id"])):
        faults.append(f"{name}: the id is not {subject}- and words in lower case joined by hyphens")
    if entry["role"] != subject:
        faults.append(f"{name}: role is {entry['role']}, wanted {subject}")
    if not entry["title"]:
        faults.append(f"{name}: title is empty")
    return faults + [
        f"{name}: {fault}" for fault in _clause_faults(entry) + _tag_faults(entry) + check_faults(entry["check"])
    ]


def _clause_faults(entry: Mapping[str, Any]) -> List[str]:
    faults = []
    for field, pattern in CLAUSES.items():
        faults += [
            f"{field} {clause!r} is not a clause number"
            for clause in clauses(entry, field)
            if not re.fullmatch(pattern, clause)
        ]
    if not any(clauses(entry, field) for field in CLAUSES) and not entry.get("reason"):
        faults.append("names no clause and gives no reason")
    return faults


def clauses(entry: Mapping[str, Any], field: str) -> List[str]:
    """Return the clauses of one standard that a control serves; a comma separates several."""
    return [clause.strip() for clause in str(entry.get(field) or "").split(",") if clause.strip()]


def _tag_faults(entry: Mapping[str, Any]) -> List[str]:
    tags = entry.get("when") or []
    if not isinstance(tags, list):
        return ["when is not a list of tags"]
    return [f"unknown tag {tag}" for tag in tags if _without_not(str(tag)) not in TAGS]


def _without_not(tag: str) -> str:
    return tag[len("not_") :] if tag.startswith("not_") else tag


def check_faults(check: Any) -> List[str]:
    """Return what is wrong with the check of a control, one sentence each."""
    if not isinstance(check, dict) or check.get("type") not in CHECKS:
        kind = check.get("type") if isinstance(check, dict) else check
        return [f"unknown check type {kind!r}, known are {', '.join(sorted(CHECKS))}"]
    kind = check["type"]
    known = CHECKS[kind]
    allowed = {"type", *known.required, *known.optional, *known.one_of}
    faults = [f"check {kind} lacks {name}" for name in known.required if name not in check]
    faults += [f"check {kind} does not know {name}" for name in check if name not in allowed]
    if known.one_of and not any(name in check for name in known.one_of):
        faults.append(f"check {kind} needs one of {', '.join(known.one_of)}")
    for name, value in check.items():
        if isinstance(value, (list, tuple, dict)) and (name not in LISTS or (kind, name) in SINGLE):
            faults.append(f"check {kind} takes a single {name}")
        if value in ([], "", None) and name not in MAY_BE_EMPTY:
            # An empty wish would always be fulfilled.
            faults.append(f"check {kind}: {name} is empty")
    if kind == "command":
        # YAML reads an unquoted +0 or yes as something else than it looks like.
        faults += [f"quote {word!r} in argv" for word in as_list(check.get("argv")) if not isinstance(word, str)]
    if kind == "account" and "rule" in check:
        faults += _account_faults(check)
    if kind in PATTERNS:
        faults += [fault for pattern in as_list(check.get("pattern")) for fault in _pattern_faults(str(pattern))]
    return faults


def _account_faults(check: Mapping[str, Any]) -> List[str]:
    rule = check["rule"]
    if rule not in ACCOUNT_RULES:
        return [f"unknown account rule {rule}, known are {', '.join(sorted(ACCOUNT_RULES))}"]
    return [
        f"account rule {rule} does not know {name}"
        for name in check
        if name not in ("type", "rule", *ACCOUNT_RULES[rule])
    ]


def _pattern_faults(pattern: str) -> List[str]:
    if "{{" in pattern:
        return []
    try:
        re.compile(pattern, re.MULTILINE)
    except re.error as error:
        return [f"pattern {pattern!r}: {error}"]
    return []


def applicability(tags: Sequence[str], wanted: Sequence[str]) -> str:
    """Return why a control does not apply to a host with these tags, or an empty string where it does."""
    for tag in wanted:
        negated = tag.startswith("not_")
        if (_without_not(tag) in tags) == negated:
            return f"not for {_without_not(tag)} hosts" if negated else f"only for {tag} hosts"
    return ""
