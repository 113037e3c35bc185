# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of an inventory: services of the site and flows."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping

from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import (
    NOT_SET,
    SITE,
    Finding,
    Inventory,
    as_address,
    as_network,
    nearest,
    show,
)
from ansible_collections.onprem.dify.plugins.module_utils.site import GROUPS, ZONES

CHECKS = {
    "service-unknown": "Every service of the site is an end of some flow",
    "service-address": "Services of the site are given by IPv4 address",
    "time-sources": "The hosts have a time source of the site",
    "repositories": "The hosts have a package repository of the site",
    "flow-end": "Both ends of a flow of the site are known",
    "flow-port": "A flow has a valid port or range of ports",
    "flow-reason": "A flow of the site says what it is for",
}

PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
CLIENTS = ("all", "admin", "users")


def findings(inventory: Inventory) -> Iterator[Finding]:
    yield from _services(inventory)
    yield from _sources(inventory)
    yield from _extra_flows(inventory)


def ports(value: Any) -> range:
    """The ports that a flow names; none if they are malformed."""
    match = PORT.fullmatch(str(value))
    if not match:
        return range(0)
    first, last = int(match[1]), int(match[2] or match[1])
    return range(first, last + 1) if 0 < first <= last < 65536 else range(0)


def _services(inventory: Inventory) -> Iterator[Finding]:
    used = _service_names(inventory)
    for name, addresses in inventory.setting("site_services").items():
        variable = f"site_services.{name}"
        if name not in used:
            close = nearest(str(name), used)
            yield Finding(
                "service-unknown", SITE, variable, "the end of no flow", close or "a flow to it in site_extra_flows"
            )
        for address in addresses if isinstance(addresses, (list, tuple)) else [addresses]:
            if as_address(address) is None and as_network(address) is None:
                yield Finding(
                    "service-address",
                    SITE,
                    variable,
                    show(address),
                    "a list of IPv4 addresses (firewalls know no names)",
                )


def _service_names(inventory: Inventory) -> list[str]:
    flows = [*inventory.flows, *_flows(inventory)]
    ends = {str(flow.get(end)) for flow in flows for end in ("from", "to")}
    return sorted(ends - {*GROUPS, *ZONES, *CLIENTS})


def _sources(inventory: Inventory) -> Iterator[Finding]:
    services = inventory.setting("site_services")
    if not services.get("time"):
        yield Finding("time-sources", SITE, "site_services.time", NOT_SET, "the addresses of the site's time servers")
    if not services.get("repositories") and not inventory.members("mirror"):
        yield Finding(
            "repositories",
            SITE,
            "site_services.repositories",
            NOT_SET,
            "its package repositories, or a host in group mirror",
        )


def _flows(inventory: Inventory) -> list[Mapping[str, Any]]:
    return [flow for flow in inventory.setting("site_extra_flows") if isinstance(flow, Mapping)]


def _extra_flows(inventory: Inventory) -> Iterator[Finding]:
    ends = [*GROUPS, *ZONES, *CLIENTS, *map(str, inventory.setting("site_services"))]
    for number, flow in enumerate(_flows(inventory)):
        variable = f"site_extra_flows[{number}]"
        for end in ("from", "to"):
            name = str(flow.get(end, ""))
            if name and name not in ends:
                wanted = nearest(name, ends) or "a group, a zone, all, admin, users or a key of site_services"
                yield Finding("flow-end", SITE, f"{variable}.{end}", f"{show(name)}, an unknown end", wanted)
        if flow.get("protocol") != "vrrp" and not ports(flow.get("port")):
            yield Finding(
                "flow-port",
                SITE,
                f"{variable}.port",
                show(flow.get("port")),
                "a port such as 8443 or a range such as 9000-9010",
            )
        if not str(flow.get("why") or "").strip():
            yield Finding(
                "flow-reason",
                SITE,
                f"{variable}.why",
                "empty",
                "what the connection is for, in the words of an auditor",
            )
