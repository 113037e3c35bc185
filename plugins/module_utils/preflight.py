# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight: every check of an inventory and of its hosts, and the report. No Ansible, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils import (
    preflight_addresses,
    preflight_dify,
    preflight_flows,
    preflight_groups,
    preflight_hosts,
    preflight_kubernetes,
    preflight_storage,
    preflight_storage_classes,
    preflight_variables,
    preflight_waivers,
    site_secrets,
)
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import Finding, Inventory
from ansible_collections.onprem.dify.plugins.module_utils.preflight_waivers import Waived

INVENTORY_SUBJECTS = (
    preflight_groups,
    preflight_addresses,
    preflight_flows,
    preflight_kubernetes,
    preflight_storage,
    preflight_storage_classes,
    preflight_variables,
    preflight_dify,
    site_secrets,
)
INVENTORY_CHECKS: Dict[str, str] = {
    check: meaning for subject in INVENTORY_SUBJECTS for check, meaning in subject.CHECKS.items()
}
HOST_CHECKS: Dict[str, str] = preflight_hosts.CHECKS
CHECKS: Dict[str, str] = {**INVENTORY_CHECKS, **HOST_CHECKS, **preflight_waivers.CHECKS}


@dataclass(frozen=True)
class Report:
    """What a part of preflight found: what stands in the way, and what the site has waived."""

    subject: str
    findings: List[Finding]
    waived: List[Waived]

    @property
    def passed(self) -> bool:
        return not self.findings

    @property
    def waivers(self) -> List[str]:
        """A line for each waiver that was needed: the check, where, and why the site accepts it."""
        where: Dict[Tuple[str, str], List[str]] = {}
        for waived in self.waived:
            where.setdefault((waived.finding.check, waived.reason), []).append(waived.finding.where)
        return [
            f"waived: {check} ({', '.join(sorted(set(names)))}) because: {reason}"
            for (check, reason), names in sorted(where.items())
        ]

    @property
    def headline(self) -> str:
        number = len(self.findings)
        found = "no findings" if not number else "1 finding" if number == 1 else f"{number} findings"
        waived = f", {len(self.waived)} waived" if self.waived else ""
        return f"Preflight of {self.subject}: {found}{waived}"


def check_inventory(inventory: Inventory) -> Report:
    """Check the inventory alone; no host is needed."""
    if not inventory.hosts:
        return Report("the inventory", [preflight_groups.NO_HOSTS], [])
    found = [finding for subject in INVENTORY_SUBJECTS for finding in subject.findings(inventory)]
    found += preflight_waivers.findings(inventory, list(CHECKS))
    return _report("the inventory", inventory, found)


def check_hosts(inventory: Inventory, found: Sequence[Finding]) -> Report:
    """Apply the waivers to what was found on the hosts."""
    return _report("the hosts", inventory, found)


def _report(subject: str, inventory: Inventory, found: Sequence[Finding]) -> Report:
    return Report(subject, *preflight_waivers.waive(found, preflight_waivers.valid_waivers(inventory)))
