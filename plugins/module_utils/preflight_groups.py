# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of an inventory: groups, zones, host names and votes."""

from __future__ import annotations

import re
from typing import Iterator

from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import SITE, Finding, Inventory, one_of
from ansible_collections.onprem.dify.plugins.module_utils.site import GROUPS, ZONE_OF_GROUP, ZONES

CHECKS = {
    "no-hosts": "The inventory has hosts",
    "group-unknown": "Every group is a zone or a service that the collection knows",
    "group-zone": "Every service group is a child of its zone",
    "group-needs": "Groups that need each other are both there",
    "host-no-zone": "Every host is in a zone",
    "host-several-zones": "A host is in one zone only, unless it is the only host of the site",
    "host-name": "Every host has a valid lower-case name (RFC 1123)",
    "host-duplicate": "No two hosts have the same name but for capital letters or the domain",
    "votes-control-plane": "etcd of Kubernetes has an odd number of votes",
    "votes-database": "etcd of the databases has an odd number of votes",
    "votes-cache": "Redis Sentinel has an odd number of votes",
}

NO_HOSTS = Finding("no-hosts", SITE, "the inventory", "without hosts", "-i with the folder of the site's inventory")
LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
NEEDS = {"workers": "control_plane"}
ANSIBLES_OWN = ("all", "ungrouped")


def is_host_name(name: str) -> bool:
    """Whether a name is one or more lower-case RFC 1123 labels and not an address."""
    labels = name.split(".")
    return len(name) <= 253 and all(LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()


def findings(inventory: Inventory) -> Iterator[Finding]:
    yield from _groups(inventory)
    yield from _zones(inventory)
    yield from _names(inventory)
    yield from _votes(inventory)


def _groups(inventory: Inventory) -> Iterator[Finding]:
    for group in inventory.groups:
        if group not in (*GROUPS, *ZONES, *ANSIBLES_OWN):
            yield Finding("group-unknown", group, f"group {group}", "unknown", one_of(group, [*GROUPS, *ZONES]))
    for group, needed in NEEDS.items():
        if inventory.members(group) and not inventory.members(needed):
            yield Finding("group-needs", SITE, f"group {needed}", "empty", f"a host, as there are {group}")


def _zones(inventory: Inventory) -> Iterator[Finding]:
    for group, zone in ZONE_OF_GROUP.items():
        outside = [host for host in inventory.members(group) if host not in inventory.members(zone)]
        if outside:
            yield Finding(
                "group-zone",
                SITE,
                f"group {group}",
                f"not part of zone {zone}",
                f"{group} under the children of {zone}",
            )
    for host in inventory.hosts:
        zones = inventory.zones_of(host)
        if not zones:
            yield Finding(
                "host-no-zone", host, "its zone", "missing", "a group of one of the zones " + ", ".join(ZONES)
            )
        elif len(zones) > 1 and len(inventory.hosts) > 1:
            yield Finding("host-several-zones", host, "its zone", " and ".join(zones), "one zone for each host")


def _names(inventory: Inventory) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for host in inventory.hosts:
        short = host.lower().split(".")[0]
        if is_host_name(host.lower()) and short in seen:
            yield Finding("host-duplicate", host, "its name", f"that of {seen[short]} too", "a name of its own")
        elif not is_host_name(host):
            wanted = "a name of a-z, 0-9 and -, its address in ansible_host"
            yield Finding("host-name", host, "its name", host, wanted)
        seen.setdefault(short, host)


def _votes(inventory: Inventory) -> Iterator[Finding]:
    control_plane = len(inventory.members("control_plane"))
    if control_plane and control_plane % 2 == 0:
        yield Finding("votes-control-plane", SITE, "control_plane", f"{control_plane} hosts", "1, 3 or 5 hosts")

    witness = set(inventory.members("witness"))
    databases = set(inventory.members("database"))
    if databases and len(databases | witness) % 2 == 0:
        found = f"{len(databases)} hosts with {len(witness)} witness"
        yield Finding(
            "votes-database", SITE, "database", found, "an odd number together, such as 2 databases and 1 witness"
        )

    # Sentinel runs on the caches, and on the witness only where the caches alone are even.
    caches = set(inventory.members("cache"))
    if caches and len(caches) % 2 == 0 and len(caches | witness) % 2 == 0:
        found = f"{len(caches)} hosts with {len(witness)} witness"
        yield Finding("votes-cache", SITE, "cache", found, "1 or 3 hosts, or 2 and 1 witness")
