# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of an inventory: addresses, networks and endpoints."""

from __future__ import annotations

import ipaddress
import itertools
from typing import Any, Iterator, Mapping, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import (
    NOT_SET,
    SITE,
    Finding,
    Inventory,
    as_address,
    as_network,
    one_of,
    show,
)
from ansible_collections.onprem.dify.plugins.module_utils.site import (
    CLUSTER_GROUPS,
    ENDPOINT_GROUPS,
    ZONE_OF_GROUP,
    ZONES,
)

CHECKS = {
    "address": "Every host has an IPv4 address",
    "address-duplicate": "No two hosts share an address",
    "address-zone": "The address of a host is inside the network of its zone",
    "zone-network": "Every zone that has hosts has a network",
    "network-overlap": "The networks of zones, pods and services do not overlap",
    "pod-network": "The pod and service networks are valid and have a /24 for each cluster host",
    "admin-networks": "The networks of the operators are given and are not the whole world",
    "user-networks": "The networks of the users are valid",
    "endpoint-unknown": "Every endpoint is one that the collection knows",
    "endpoint-group": "The group behind an endpoint has hosts",
    "endpoint-address": "The address of an endpoint is an IPv4 address",
    "endpoint-zone": "The address of an endpoint is inside the network of its zone",
    "endpoint-duplicate": "The address of an endpoint belongs to nothing else",
}

NETWORK = "a network such as 10.20.0.0/24 with a zero host part"
NODES_OF_A_POD_NETWORK = 24


def findings(inventory: Inventory) -> Iterator[Finding]:
    yield from _hosts(inventory)
    yield from _zone_networks(inventory)
    yield from _cluster_networks(inventory)
    yield from _client_networks(inventory)
    yield from _overlaps(inventory)
    yield from _endpoints(inventory)


def address_variable(variables: Mapping[str, Any]) -> Tuple[str, Any]:
    """The variable that gives the address of a host, and its value."""
    if variables.get("site_address"):
        return "site_address", variables["site_address"]
    return "ansible_host", variables.get("ansible_host")


def _hosts(inventory: Inventory) -> Iterator[Finding]:
    owners: dict[ipaddress.IPv4Address, str] = {}
    networks = inventory.setting("site_zone_networks")
    for host, variables in inventory.hosts.items():
        variable, value = address_variable(variables)
        address = as_address(host if value is None else value)
        if address is None:
            found = NOT_SET if value is None else show(value)
            yield Finding("address", host, variable, found, "an IPv4 address (site_address if Ansible uses another)")
            continue
        if address in owners:
            yield Finding(
                "address-duplicate",
                host,
                variable,
                f"{address}, the address of {owners[address]}",
                "an address of its own",
            )
        owners.setdefault(address, host)
        zones = [zone for zone in inventory.zones_of(host) if as_network(networks.get(zone))]
        if zones and not any(address in ipaddress.IPv4Network(networks[zone]) for zone in zones):
            wanted = " or ".join(f"an address in {networks[zone]}, the network of zone {zone}" for zone in zones)
            yield Finding("address-zone", host, variable, str(address), wanted)


def _zone_networks(inventory: Inventory) -> Iterator[Finding]:
    networks = inventory.setting("site_zone_networks")
    for zone, value in networks.items():
        if zone not in ZONES:
            yield Finding(
                "zone-network", SITE, f"site_zone_networks.{zone}", "an unknown zone", one_of(str(zone), ZONES)
            )
        elif as_network(value) is None:
            yield Finding("zone-network", SITE, f"site_zone_networks.{zone}", show(value), NETWORK)
    for zone in ZONES:
        if zone not in networks and any(zone in inventory.zones_of(host) for host in inventory.hosts):
            yield Finding(
                "zone-network", SITE, f"site_zone_networks.{zone}", NOT_SET, "the network of the hosts of the zone"
            )


def _cluster_networks(inventory: Inventory) -> Iterator[Finding]:
    for variable in ("site_pod_network", "site_service_network"):
        if as_network(inventory.setting(variable)) is None:
            yield Finding("pod-network", SITE, variable, show(inventory.setting(variable)), NETWORK)
    pods = as_network(inventory.setting("site_pod_network"))
    nodes = len({host for group in CLUSTER_GROUPS for host in inventory.members(group)})
    if pods and nodes * 2 ** (32 - NODES_OF_A_POD_NETWORK) > pods.num_addresses:
        yield Finding(
            "pod-network", SITE, "site_pod_network", str(pods), f"room for a /24 on each of {nodes} cluster hosts"
        )


def _client_networks(inventory: Inventory) -> Iterator[Finding]:
    admins = inventory.setting("site_admin_networks")
    if any(variables.get("site_admin_networks") == [] for variables in inventory.hosts.values()):
        yield Finding(
            "admin-networks", SITE, "site_admin_networks", "empty", "the networks from which operators log in"
        )
    for network in admins:
        parsed = as_network(network)
        if parsed is None:
            yield Finding("admin-networks", SITE, "site_admin_networks", show(network), NETWORK)
        elif parsed.prefixlen == 0:
            yield Finding(
                "admin-networks",
                SITE,
                "site_admin_networks",
                f"{network}, the whole world",
                "only the operators' networks",
            )
    for network in inventory.setting("site_user_networks"):
        if as_network(network) is None:
            yield Finding("user-networks", SITE, "site_user_networks", show(network), NETWORK)


def _overlaps(inventory: Inventory) -> Iterator[Finding]:
    zones = {f"site_zone_networks.{zone}": value for zone, value in inventory.setting("site_zone_networks").items()}
    cluster = {name: inventory.setting(name) for name in ("site_pod_network", "site_service_network")}
    admins = {f"site_admin_networks[{i}]": value for i, value in enumerate(inventory.setting("site_admin_networks"))}
    # Operators may sit inside a zone; nothing may sit inside the ranges that Kubernetes gives out.
    pairs = [
        *itertools.combinations({**zones, **cluster}.items(), 2),
        *itertools.product(admins.items(), cluster.items()),
    ]
    for (one, first), (other, second) in pairs:
        here, there = as_network(first), as_network(second)
        if here and there and here.prefixlen and here.overlaps(there):
            yield Finding("network-overlap", SITE, one, str(first), f"a network apart from {other}, {second}")


def _endpoints(inventory: Inventory) -> Iterator[Finding]:
    networks = inventory.setting("site_zone_networks")
    owners: dict[ipaddress.IPv4Address, str] = {}
    for host, variables in inventory.hosts.items():
        address = as_address(address_variable(variables)[1])
        if address:
            owners.setdefault(address, f"host {host}")
    for name, value in inventory.setting("site_endpoints").items():
        variable = f"site_endpoints.{name}"
        if name not in ENDPOINT_GROUPS:
            yield Finding(
                "endpoint-unknown", SITE, variable, "an unknown endpoint", one_of(str(name), list(ENDPOINT_GROUPS))
            )
            continue
        group = ENDPOINT_GROUPS[name]
        if not inventory.members(group):
            yield Finding(
                "endpoint-group",
                SITE,
                variable,
                f"given, but group {group} has no host",
                "a host in the group, or no endpoint",
            )
        address = as_address(value)
        if address is None:
            yield Finding("endpoint-address", SITE, variable, show(value), "an IPv4 address")
            continue
        if address in owners:
            yield Finding(
                "endpoint-duplicate",
                SITE,
                variable,
                f"{address}, the address of {owners[address]}",
                "an address of its own",
            )
        owners.setdefault(address, f"endpoint {name}")
        zone = ZONE_OF_GROUP[group]
        network = as_network(networks.get(zone))
        if network and address not in network:
            yield Finding(
                "endpoint-zone", SITE, variable, str(address), f"an address in {network}, the network of zone {zone}"
            )
