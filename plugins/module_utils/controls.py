# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controls of the catalogue, checked on one host."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.controls_checks import describe, outcome_of
from ansible_collections.onprem.dify.plugins.module_utils.controls_host import Sources
from ansible_collections.onprem.dify.plugins.module_utils.controls_schema import CLAUSES, applicability

PASS, FAIL, WAIVED, NOT_APPLICABLE = RESULTS = ("pass", "fail", "waived", "not-applicable")
COPIED = ("id", "title", "role", "variable", *CLAUSES, "waiver")


def evaluate(
    entries: Sequence[Mapping[str, Any]], tags: Sequence[str], sources: Sources, now: Callable[[], str]
) -> List[Dict[str, Any]]:
    """Check every control and return what an auditor wants to know of it."""
    return [_evaluate(entry, tags, sources, now) for entry in entries]


def applicable_checks(entries: Sequence[Mapping[str, Any]], tags: Sequence[str]) -> List[Mapping[str, Any]]:
    """Return the checks that will be made on a host with these tags."""
    return [entry["check"] for entry in entries if not applicability(tags, entry.get("when") or [])]


def _evaluate(
    entry: Mapping[str, Any], tags: Sequence[str], sources: Sources, now: Callable[[], str]
) -> Dict[str, Any]:
    record = {name: entry[name] for name in COPIED if entry.get(name)}
    obstacle = applicability(tags, entry.get("when") or [])
    if obstacle:
        return {
            **record,
            "expected": describe(entry["check"]),
            "found": "",
            "result": NOT_APPLICABLE,
            "reason": obstacle,
            "time": now(),
        }
    outcome = outcome_of(entry["check"], sources)
    result, reason = verdict(outcome.good, entry.get("waiver"))
    return {
        **record,
        "expected": outcome.expected,
        "found": outcome.found,
        "result": result,
        "reason": reason,
        "time": now(),
    }


def verdict(good: bool, waiver: Optional[Mapping[str, Any]]) -> Tuple[str, str]:
    """Return result and reason of a control; a waiver counts until its last day and only where the control fails."""
    if good:
        return PASS, ("the waiver is not needed" if waiver else "")
    if not waiver:
        return FAIL, ""
    if waiver["expired"]:
        return FAIL, f"the waiver expired on {waiver['expires']}: {waiver['reason']}"
    return WAIVED, f"{waiver['reason']} (until {waiver['expires']})"


def count(records: Sequence[Mapping[str, Any]]) -> Dict[str, int]:
    """Return how many controls have each result."""
    found = Counter(record["result"] for record in records)
    return {result: found[result] for result in RESULTS}
