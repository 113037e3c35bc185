# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoints of a site: which ones a host serves, behind which address. No Ansible, no I/O."""

from __future__ import annotations

import ipaddress
import itertools
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import seaweedfs
from ansible_collections.onprem.dify.plugins.module_utils.site import ENDPOINT_GROUPS, ZONE_OF_GROUP

# The highest priority is that of VRRP's "address owner", who need not wait for anybody.
ALONE = 255
FIRST = 200
STEP = 10


class EndpointError(Exception):
    """The endpoints of the site cannot be served as wished; the text is for the user."""


class Service(NamedTuple):
    """`ports`: what clients connect to, by the name of the listener. `port`: of the service on its hosts.

    `alive`: the socket at which a service that takes the connections itself answers while it is well. The others stand
    behind HAProxy, which answers for them.
    """

    ports: Dict[str, int]
    port: int
    alive: str = ""


SERVICES: Dict[str, Service] = {
    # Its nginx listens on all addresses of the host. It has to see from where its users come.
    "gateway": Service({"gateway": 443}, 443, "/run/onprem-dify-gateway.sock"),
    # The API itself listens on all addresses of its host, so the endpoint needs another port.
    "kube-api": Service({"kube-api": 8443}, 6443),
    "postgres": Service({"postgres": 5432, "postgres-readonly": 5433}, 5432),
    "redis": Service({"redis": 6379}, 6379),
    "s3": Service({"s3": 8333}, 8333),
}


def host_endpoints(site: Mapping[str, Any], host: str) -> List[Dict[str, Any]]:
    """The endpoints that `host` serves, with everything that HAProxy and keepalived need to know."""
    groups = site["hosts"][host]["groups"]
    served = [name for name in SERVICES if name in site["endpoints"] and ENDPOINT_GROUPS[name] in groups]
    _refuse_shared_router_ids(site)
    return [_endpoint(site, host, name) for name in served]


def members(site: Mapping[str, Any], *groups: str) -> List[Dict[str, str]]:
    """Name and address of the hosts of the groups, once each, in the order of their names."""
    wanted = set(groups)
    return [
        {"name": name, "address": host["address"]}
        for name, host in sorted(site["hosts"].items())
        if wanted & set(host["groups"])
    ]


def sentinels(site: Mapping[str, Any]) -> List[Dict[str, str]]:
    """The hosts that vote on the master of Redis. A single server needs no vote."""
    return members(site, "cache", "witness") if len(members(site, "cache")) > 1 else []


def store_masters(site: Mapping[str, Any]) -> List[Dict[str, str]]:
    """The hosts that vote on who leads the object store."""
    try:
        leaders = seaweedfs.masters(
            *([host["name"] for host in members(site, group)] for group in ("objects", "witness"))
        )
    except seaweedfs.StoreError as error:
        raise EndpointError(str(error)) from error
    return [{"name": name, "address": site["hosts"][name]["address"]} for name in leaders]


def router_id(address: str) -> int:
    """The last byte of an IPv4 address: unique in a network of the usual size, and easy to recognise in a trace."""
    last = int(ipaddress.IPv4Address(address)) % 256
    if last == 0:
        raise EndpointError(f"the address {address} of an endpoint ends in 0, which VRRP cannot number: choose another")
    return last


def interface(facts: Mapping[str, Any], address: str) -> str:
    """The network interface of the host that carries the address, from the facts of its network."""
    names = facts.get("interfaces")
    if not names:
        raise EndpointError("the facts of the network are missing: the play has to gather the subset network")
    for name in names:
        fact = facts.get(str(name).replace("-", "_").replace(":", "_")) or {}
        found = [fact.get("ipv4") or {}, *(fact.get("ipv4_secondaries") or [])]
        if address in [entry.get("address") for entry in found]:
            return str(fact.get("device", name))
    raise EndpointError(f"no network interface has the address {address}: set site_address to the one that it has")


def _endpoint(site: Mapping[str, Any], host: str, name: str) -> Dict[str, Any]:
    service = SERVICES[name]
    hosts = members(site, ENDPOINT_GROUPS[name])
    names = [entry["name"] for entry in hosts]
    voters = VOTERS[name](site)
    return {
        "name": name,
        "address": site["endpoints"][name],
        "router_id": router_id(site["endpoints"][name]),
        "priority": FIRST - STEP * names.index(host) if len(hosts) > 1 else ALONE,
        "source": site["hosts"][host]["address"],
        "peers": [entry["address"] for entry in hosts if entry["name"] != host],
        "ports": dict(service.ports),
        "port": service.port,
        "alive": service.alive,
        "hosts": hosts,
        "voters": voters,
        "majority": len(voters) // 2 + 1 if voters else 0,
        "fenced": _fenced(name, hosts, voters),
        "metrics": dict(seaweedfs.METRICS) if name == "s3" else {},
    }


# Who decides which side of a cut goes on. The etcds of Kubernetes and of PostgreSQL answer that question themselves.
VOTERS: Dict[str, Callable[[Mapping[str, Any]], List[Dict[str, str]]]] = {
    "gateway": lambda _site: [],
    "kube-api": lambda _site: [],
    "postgres": lambda _site: [],
    "redis": sentinels,
    "s3": store_masters,
}


def _fenced(name: str, hosts: Sequence[Mapping[str, str]], voters: Sequence[Mapping[str, str]]) -> bool:
    """Whether a host that is cut off from the others can tell, and then lets go of the address."""
    if name in ("kube-api", "postgres"):
        # Its own etcd says whether it is on the side of the majority.
        return len(hosts) > 1
    # Two voters cannot tell a cut from a crash: neither of them would be right to let go.
    return len(voters) > 2


def _refuse_shared_router_ids(site: Mapping[str, Any]) -> None:
    """Two endpoints of one network, or of one host, must not have the same VRRP number."""
    given = [(name, site["endpoints"][name]) for name in sorted(site["endpoints"]) if name in SERVICES]
    for (one, first), (other, second) in itertools.combinations(given, 2):
        number = router_id(first)
        if number == router_id(second) and _meet(site, ENDPOINT_GROUPS[one], ENDPOINT_GROUPS[other]):
            raise EndpointError(
                f"site_endpoints: {one} ({first}) and {other} ({second}) end in the same number, "
                f"{number}, by which VRRP tells them apart: choose another address for one of them"
            )


def _meet(site: Mapping[str, Any], one: str, other: str) -> bool:
    shared = any({one, other} <= set(host["groups"]) for host in site["hosts"].values())
    return shared or ZONE_OF_GROUP[one] == ZONE_OF_GROUP[other]
