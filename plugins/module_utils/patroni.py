# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of Patroni: what its settings should become, and which members have to be restarted. No Ansible, no I/O."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

# What people or other programs do to a running cluster is theirs: maintenance, slots, the site's role among others.
KEPT = ("pause", "slots", "ignore_slots", "standby_cluster", "failsafe")
# A standby never has less of these than its leader had when it wrote what the standby reads.
_LIMITS = (
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
)


class Member(NamedTuple):
    """A member as its REST interface describes it."""

    name: str
    state: str = ""
    role: str = ""
    streaming: bool = False
    pending_restart: bool = False
    waits_for_leader: bool = False  # its restart would do nothing before that of the leader
    seen_at: int = 0  # when it last spoke with etcd

    @property
    def leads(self) -> bool:
        return self.role in ("primary", "master", "standby_leader")

    @property
    def ready(self) -> bool:
        return self.state == "running" and (self.leads or self.streaming)

    def __str__(self) -> str:
        words = [
            self.role,
            self.state,
            "" if self.leads or self.state != "running" or self.streaming else "not streaming",
        ]
        return f"{self.name}: {', '.join(word for word in words if word) or 'does not answer'}"


def parse_member(name: str, status: Mapping[str, Any]) -> Member:
    role = str(status.get("role", ""))
    # Patroni before 3.0.3 does not tell; there the role must do.
    streaming = status.get("replication_state", "streaming") == "streaming"
    return Member(
        name=name,
        state=str(status.get("state", "")),
        role=role,
        streaming=role == "replica" and streaming,
        pending_restart=bool(status.get("pending_restart")),
        waits_for_leader=role == "replica" and _lowered(status.get("pending_restart_reason") or {}),
        seen_at=int(status.get("dcs_last_seen") or 0),
    )


def patch(found: Mapping[str, Any], wanted: Mapping[str, Any], kept: Sequence[str] = KEPT) -> Dict[str, Any]:
    """The smallest patch that makes the settings as wished; None removes a key."""
    changes: Dict[str, Any] = {}
    for key, value in wanted.items():
        if isinstance(value, Mapping) and isinstance(found.get(key), Mapping):
            inner = patch(found[key], value, ())
            if inner:
                changes[key] = inner
        elif key not in found or not same(found[key], value):
            changes[key] = value
    for key in found:
        if key not in wanted and key not in kept:
            changes[key] = None
    return changes


def same(found: Any, wanted: Any) -> bool:
    """Patroni compares texts, too: 100 and "100" are the same setting."""
    if isinstance(found, (Mapping, list)) or isinstance(wanted, (Mapping, list)):
        return bool(found == wanted)
    return str(found) == str(wanted)


def patched(found: Mapping[str, Any], change: Mapping[str, Any]) -> Dict[str, Any]:
    """The settings after a patch, as Patroni applies it."""
    result = dict(found)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = patched(result[key], value)
        else:
            result[key] = value
    return result


def timing_problem(settings: Mapping[str, Any]) -> str:
    """Why Patroni would lose its lock for no reason; empty if it would not."""
    ttl, loop_wait, retry = (int(settings[key]) for key in ("ttl", "loop_wait", "retry_timeout"))
    if ttl >= loop_wait + 2 * retry:
        return ""
    return f"ttl is {ttl}, wanted at least loop_wait + 2 * retry_timeout = {loop_wait + 2 * retry}"


def restarts(members: Sequence[Member], leader_too: bool) -> List[Member]:
    """Who is restarted, in the order in which no standby has less room than its leader."""
    leader_waits = any(member.leads and member.pending_restart for member in members)
    pending = [
        member for member in members if member.pending_restart and not (member.waits_for_leader and leader_waits)
    ]
    return sorted(
        (member for member in pending if leader_too or not member.leads), key=lambda member: (member.leads, member.name)
    )


def restarts_after_leader(members: Sequence[Member]) -> List[Member]:
    """Which standbys can take in lower limits, now that the leader has."""
    return [member for member in members if member.pending_restart and not member.leads]


def _lowered(reasons: Mapping[str, Mapping[str, Any]]) -> bool:
    try:
        return bool(reasons) and all(
            name in _LIMITS and int(reason["new_value"]) < int(reason["old_value"]) for name, reason in reasons.items()
        )
    except (KeyError, TypeError, ValueError):
        return False


def diff(found: Mapping[str, Any], change: Mapping[str, Any]) -> Dict[str, str]:
    return {
        "before_header": "settings of the cluster",
        "before": _shown(found),
        "after_header": "settings of the cluster",
        "after": _shown(patched(found, change)),
    }


def _shown(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, indent=2, sort_keys=True) + "\n"
