# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers: findings that a site accepts, each with a reason."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import (
    SITE,
    Finding,
    Inventory,
    nearest,
    one_of,
    show,
)

CHECKS = {
    "waiver-form": "A waiver has the keys check, hosts, reason and expires only",
    "waiver-check": "A waiver names a check that exists",
    "waiver-hosts": "A waiver names hosts that exist",
    "waiver-reason": "A waiver says why",
    "waiver-expired": "A waiver has not expired",
}

VARIABLE = "preflight_waivers"
KEYS = ("check", "hosts", "reason", "expires")


@dataclass(frozen=True)
class Waiver:
    """Permission to go on in spite of the findings of one check, everywhere or on some hosts."""

    check: str
    hosts: Tuple[str, ...]
    reason: str

    def covers(self, finding: Finding) -> bool:
        return finding.check == self.check and (not self.hosts or set(finding.where.split(", ")) <= set(self.hosts))


@dataclass(frozen=True)
class Waived:
    """A finding that a waiver accepts."""

    finding: Finding
    reason: str


def findings(inventory: Inventory, checks: Sequence[str]) -> Iterator[Finding]:
    for number, entry in enumerate(inventory.setting(VARIABLE)):
        variable = f"{VARIABLE}[{number}]"
        if not isinstance(entry, Mapping):
            yield Finding("waiver-form", SITE, variable, show(entry), "a mapping with check and reason")
            continue
        for key in entry:
            if key not in KEYS:
                yield Finding("waiver-form", SITE, f"{variable}.{key}", "unknown", one_of(str(key), KEYS))
        check = str(entry.get("check") or "")
        if check not in checks:
            close = one_of(check, checks)
            yield Finding(
                "waiver-check",
                SITE,
                f"{variable}.check",
                show(check),
                close if check and "," not in close else "an id of a check",
            )
        if not str(entry.get("reason") or "").strip():
            yield Finding(
                "waiver-reason", SITE, f"{variable}.reason", "empty", f"why the site accepts {check or 'this'}"
            )
        if not isinstance(entry.get("hosts", []), (list, tuple)):
            yield Finding("waiver-form", SITE, f"{variable}.hosts", show(entry["hosts"]), "a list of names")
        else:
            names = [SITE, *inventory.hosts, *inventory.groups]
            for host in map(str, entry.get("hosts", [])):
                if host not in names:
                    close = nearest(host, names) or "a host or group of the inventory, or site"
                    yield Finding("waiver-hosts", SITE, f"{variable}.hosts", f"{show(host)}, an unknown name", close)
        if "expires" in entry:
            last_day = _date(entry["expires"])
            if last_day is None:
                yield Finding(
                    "waiver-form", SITE, f"{variable}.expires", show(entry["expires"]), "a date such as 2030-12-31"
                )
            elif last_day < inventory.today:
                yield Finding(
                    "waiver-expired",
                    SITE,
                    f"{variable}.expires",
                    str(last_day),
                    f"a later date, or no finding of {check}",
                )


def valid_waivers(inventory: Inventory) -> List[Waiver]:
    """The waivers that count: complete and not expired."""
    waivers = []
    for entry in inventory.setting(VARIABLE):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("hosts", []), (list, tuple)):
            continue
        last_day = _date(entry.get("expires", inventory.today))
        reason = " ".join(str(entry.get("reason") or "").split())
        if reason and last_day and last_day >= inventory.today:
            waivers.append(Waiver(str(entry.get("check")), tuple(map(str, entry.get("hosts", []))), reason))
    return waivers


def waive(found: Sequence[Finding], waivers: Sequence[Waiver]) -> Tuple[List[Finding], List[Waived]]:
    """Divide findings into those that stand and those that are waived."""
    standing: List[Finding] = []
    waived: List[Waived] = []
    for finding in sorted(found, key=lambda finding: finding.order):
        waiver = (
            None if finding.check in CHECKS else next((waiver for waiver in waivers if waiver.covers(finding)), None)
        )
        if waiver:
            waived.append(Waived(finding, waiver.reason))
        else:
            standing.append(finding)
    return standing, waived


def _date(value: Any) -> Optional[datetime.date]:
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        return None
