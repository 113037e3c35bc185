# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site is, worked out once from its inventory. No Ansible, no I/O."""

from __future__ import annotations

import ipaddress
from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.onprem.dify.plugins.module_utils.mirror_clients import mirrors

ZONE_GROUPS: Dict[str, List[str]] = {
    "dmz": ["gateway"],
    "app": ["control_plane", "workers"],
    "data": ["database", "cache", "objects", "files", "witness"],
    "ops": ["mirror", "monitoring", "backup"],
}
ZONES: List[str] = list(ZONE_GROUPS)
GROUPS: List[str] = [group for groups in ZONE_GROUPS.values() for group in groups]
ZONE_OF_GROUP: Dict[str, str] = {group: zone for zone, groups in ZONE_GROUPS.items() for group in groups}
CLUSTER_GROUPS = frozenset(ZONE_GROUPS["app"])

# The group on whose hosts the address of an endpoint lives.
ENDPOINT_GROUPS: Dict[str, str] = {
    "gateway": "gateway",
    "kube-api": "control_plane",
    "postgres": "database",
    "redis": "cache",
    "s3": "objects",
}


def site_from_inventory(
    hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]], settings: Mapping[str, Any]
) -> Dict[str, Any]:
    """Return the site as plain data: settings, hosts with addresses, groups and zones, flows with both ends resolved.

    ``hostvars`` maps a host to its variables, ``groups`` a group to its hosts, both as Ansible gives them;
    ``settings`` holds the ``site_*`` variables without their prefix and the whole table of flows.
    """
    site = {key: value for key, value in settings.items() if key != "flows"}
    site["hosts"] = {name: _host(name, hostvars[name], groups) for name in sorted(groups.get("all", []))}
    site["mirror"] = mirrors(site["hosts"], hostvars, bool(settings.get("mirror")))
    site["addresses"] = addresses_by_end(site)
    overlay = settings.get("pod_overlay")
    used = [flow for flow in settings["flows"] if overlay is None or flow.get("overlay", overlay) == overlay]
    flows = [_resolve(flow, site["addresses"]) for flow in used]
    site["flows"] = [flow for flow in flows if flow["sources"] and flow["destinations"]]
    return site


def addresses_by_end(site: Mapping[str, Any]) -> Dict[str, List[str]]:
    """Return the addresses and networks of everything that a flow can name as an end."""
    ends: Dict[str, List[str]] = {key: list(value) for key, value in site["services"].items()}
    ends["admin"] = list(site["admin_networks"])
    ends["users"] = list(site["user_networks"])
    for group in GROUPS:
        members = [host["address"] for host in site["hosts"].values() if group in host["groups"]]
        homes = [name for name, home in ENDPOINT_GROUPS.items() if home == group]
        virtual = [site["endpoints"][name] for name in homes if name in site["endpoints"]]
        ends[group] = _ordered(members + (virtual if members else []))
    for zone, zone_groups in ZONE_GROUPS.items():
        ends[zone] = _ordered([address for group in zone_groups for address in ends[group]])
    everyone = [host["address"] for host in site["hosts"].values()]
    ends["all"] = _ordered(everyone + [address for zone in ZONES for address in ends[zone]])
    return ends


def ends_of_host(site: Mapping[str, Any], name: str) -> List[str]:
    """Return every name by which a flow can mean this host: its groups, its zones and ``all``."""
    host = site["hosts"][name]
    return [*host["groups"], *host["zones"], "all"]


def _host(name: str, variables: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> Dict[str, Any]:
    member_of = [group for group in GROUPS if name in groups.get(group, [])]
    of_groups = {ZONE_OF_GROUP[group] for group in member_of}
    zones = [zone for zone in ZONES if zone in of_groups or name in groups.get(zone, [])]
    return {
        "address": str(variables.get("site_address") or variables.get("ansible_host") or name),
        "groups": member_of,
        "zones": zones,
        "cluster": bool(CLUSTER_GROUPS & set(member_of)),
    }


def _resolve(flow: Mapping[str, Any], ends: Mapping[str, Sequence[str]]) -> Dict[str, Any]:
    return {
        "from": flow["from"],
        "to": flow["to"],
        "port": str(flow.get("port", "")),
        "protocol": flow.get("protocol", "tcp"),
        "why": flow.get("why", ""),
        "sources": list(ends.get(flow["from"], [])),
        "destinations": list(ends.get(flow["to"], [])),
    }


def _ordered(addresses: Sequence[str]) -> List[str]:
    """Return the addresses once each, in numerical order; what is not an address goes last (preflight names it)."""

    def key(address: str) -> Any:
        try:
            return (0, int(ipaddress.ip_address(address)), address)
        except ValueError:
            return (1, 0, address)

    return sorted(set(addresses), key=key)
