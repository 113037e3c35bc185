# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers: the controls that may fail at a site for a while. No Ansible, no I/O."""

from __future__ import annotations

import datetime
import fnmatch
import re
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.onprem.dify.plugins.module_utils.controls_schema import as_list


class Waiver(NamedTuple):
    """The decision of a site that a control may fail on some hosts for a while."""

    control: str
    hosts: List[str]
    reason: str
    expires: str

    def covers(self, control: str, host: str, groups: Mapping[str, Sequence[str]]) -> bool:
        """Tell whether the waiver speaks of this control on this host."""
        return self.control == control and any(host in _members(pattern, groups) for pattern in self.hosts)

    def expired(self, today: datetime.date) -> bool:
        """Tell whether the last day of the waiver is over."""
        return datetime.date.fromisoformat(self.expires) < today


def _members(pattern: str, groups: Mapping[str, Sequence[str]]) -> List[str]:
    if pattern in groups:
        return list(groups[pattern])
    return [host for host in groups.get("all", []) if fnmatch.fnmatchcase(host, pattern)]


def parse_waivers(waivers: Any, controls: Sequence[str], groups: Mapping[str, Sequence[str]]) -> List[Waiver]:
    """Return the waivers, or raise ValueError that names everything that is wrong with them."""
    faults: List[str] = []
    parsed = []
    for number, item in enumerate(as_list(waivers), start=1):
        waiver = _waiver(item)
        found = _waiver_faults(item, waiver, controls, groups)
        faults += [f"verify_waivers, entry {number} ({waiver.control or 'no control'}): {fault}" for fault in found]
        parsed.append(waiver)
    if faults:
        raise ValueError("\n".join(faults))
    return parsed


def _waiver(item: Any) -> Waiver:
    fields: Mapping[str, Any] = item if isinstance(item, Mapping) else {}
    hosts = [part.strip() for value in as_list(fields.get("hosts")) for part in re.split(r"[,:]", str(value))]
    text = {name: str(fields.get(name) or "").strip() for name in ("control", "reason", "expires")}
    return Waiver(text["control"], hosts or ["all"], text["reason"], text["expires"])


def _waiver_faults(
    item: Any, waiver: Waiver, controls: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> List[str]:
    faults = [
        f"unknown field {name}" for name in (item if isinstance(item, Mapping) else {}) if name not in Waiver._fields
    ]
    if waiver.control not in controls:
        faults.append("no control of the catalogue has this id")
    if not waiver.reason:
        faults.append("a reason is missing")
    if _date(waiver.expires) is None:
        faults.append(f"expires is {waiver.expires or 'missing'}, wanted a date such as 2030-12-31")
    return faults + [f"hosts {pattern} matches no host" for pattern in waiver.hosts if not _members(pattern, groups)]


def _date(text: str) -> Optional[datetime.date]:
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        return None
