# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway serves: each tenant by its host name, each path of Dify with what it needs. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import dify_flows, dify_limits, dify_settings, endpoints
from ansible_collections.onprem.dify.plugins.module_utils.dify_tenants import Fault, all_complete

# Megabytes that may be sent to pages, which take no files.
PAGE_BODY = 1
# Characters in the common name of a certificate.
COMMON_NAME = 64
CHECK = "gateway-limit"
LIMITS = ("gateway_client_rate", "gateway_client_connections", "gateway_tenant_rate")


class GatewayError(Exception):
    """The gateway cannot serve the site; the text is for the user, a line for each fault."""


def plan(
    tenants: Sequence[Mapping[str, Any]],
    site: Mapping[str, Any],
    release: Mapping[str, Any],
    settings: Mapping[str, Mapping[str, Any]],
    limits: Mapping[str, Any],
) -> Dict[str, Any]:
    """`settings`: those of all tenants, by family of services. `limits`: the variables of LIMITS."""
    whole = all_complete(tenants, site)
    _refuse([fault.line() for fault in limit_faults(limits)])
    _refuse(list(dify_settings.refusals(release, settings, whole)))
    _refuse(list(_site_faults(site, whole)))
    served = [_tenant(tenant, site, release, settings) for tenant in whole]
    service = endpoints.SERVICES["gateway"]
    return {
        "port": service.port,
        # keepalived asks at this socket.
        "alive": service.alive,
        "tenants": served,
        # What runs as long as Dify lets it run outlives a reload.
        "drain_seconds": max(tenant["read_seconds"] for tenant in served),
    }


def limit_faults(limits: Mapping[str, Any]) -> Iterator[Fault]:
    """What is wrong with the limits of the gateway, by the names of their variables."""
    right = [name for name in LIMITS if str(limits[name]).isdigit() and int(limits[name]) > 0]
    for name in LIMITS:
        if name not in right:
            yield Fault(CHECK, name, str(limits[name]), "a whole number above 0")
    if len(right) == len(LIMITS) and int(limits["gateway_tenant_rate"]) < int(limits["gateway_client_rate"]):
        wanted = f"{limits['gateway_client_rate']} or more, or one client could use up what all have"
        yield Fault(CHECK, "gateway_tenant_rate", str(limits["gateway_tenant_rate"]), wanted)


def _site_faults(site: Mapping[str, Any], tenants: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not endpoints.members(site, "workers"):
        yield "group workers is empty, wanted: the hosts on which Dify runs"
        return
    gateways = endpoints.members(site, "gateway")
    for name in [gateway["name"] for gateway in gateways]:
        if name in site["mirror"].get("hosts", ()):
            yield f"host {name} is in the groups gateway and mirror, wanted: one of them, as both serve port 443"
    for tenant in tenants:
        port = tenant["node_port"]
        try:
            allowed = dify_flows.users_in(site, port)
        except dify_flows.FlowError as error:
            yield f"tenant {tenant['name']}: {error}"
            continue
        for gateway in gateways:
            if gateway["address"] not in allowed:
                found = f"site_flows do not let {gateway['name']} reach the workers on {port}/tcp"
                yield f"{found}, wanted: a flow from gateway"


def _tenant(
    tenant: Mapping[str, Any],
    site: Mapping[str, Any],
    release: Mapping[str, Any],
    settings: Mapping[str, Mapping[str, Any]],
) -> Dict[str, Any]:
    of_api = dify_settings.joined(release, settings, tenant["settings"])["api"]
    body = dify_limits.body_megabytes(of_api)
    return {
        "name": tenant["name"],
        "hostname": tenant["hostname"],
        # One of its own, so that none tells of the others.
        "certificate": {
            "name": f"gateway-{tenant['name']}",
            "common_name": tenant["hostname"] if len(tenant["hostname"]) <= COMMON_NAME else tenant["name"],
            "names": [tenant["hostname"]],
        },
        "workers": [f"{worker['address']}:{tenant['node_port']}" for worker in endpoints.members(site, "workers")],
        "body_megabytes": body,
        "read_seconds": dify_limits.read_seconds(of_api),
        "locations": [_location(release, route, body) for route in release["paths"]],
    }


def _location(release: Mapping[str, Any], route: Mapping[str, Any], body: int) -> Dict[str, Any]:
    # The rest of a keyed path is what lets somebody in.
    found = {"path": route["path"], "closed": bool(route.get("closed")), "keyed": bool(route.get("keyed"))}
    if found["closed"]:
        return found
    pages = release["services"][route["to"]]["settings"] == "web"
    return {
        **found,
        "body_megabytes": PAGE_BODY if pages else body,
        "pages": pages,
        # Those have a login of their own, which a sign-on in front lets pass.
        "open": bool(route.get("open")),
        "hook": bool(route.get("hook")),
    }


def _refuse(lines: List[str]) -> None:
    if lines:
        raise GatewayError("\n".join(lines))
