# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The NetworkPolicies of one Dify, from the flows of its release and those of the site. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping
from urllib.parse import urlsplit

from ansible_collections.onprem.dify.plugins.module_utils import dify_flows
from ansible_collections.onprem.dify.plugins.module_utils.dify_build import PREFIX, Build
from ansible_collections.onprem.dify.plugins.module_utils.dify_release import OUTSIDE, ROUTER, ROUTER_PORT

Peer = Dict[str, Any]

PORTS = {"http": 80, "https": 443}
NAMESPACE = "kubernetes.io/metadata.name"


def policies(build: Build) -> List[Dict[str, Any]]:
    """Nothing goes in or out of both namespaces, but for what each service needs."""
    made = [_policy(build, "default", namespace, {}, [], []) for namespace in build.namespaces]
    for name, service in {**build.services, ROUTER: {"port": ROUTER_PORT}}.items():
        incoming = _incoming(build, name, service)
        outgoing = _outgoing(build, name)
        if service.get("dns", True) and outgoing:
            outgoing.append(_names())
        pods = {"matchLabels": {f"{PREFIX}/instance": build.tenant["name"], f"{PREFIX}/name": name}}
        made.append(_policy(build, name, build.namespace(service), pods, incoming, outgoing))
    return made


def _policy(
    build: Build, name: str, namespace: str, pods: Mapping[str, Any], incoming: List[Any], outgoing: List[Any]
) -> Dict[str, Any]:
    spec: Dict[str, Any] = {"podSelector": dict(pods), "policyTypes": ["Ingress", "Egress"]}
    if incoming:
        spec["ingress"] = incoming
    if outgoing:
        spec["egress"] = outgoing
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": build.meta(name, namespace),
        "spec": spec,
    }


def _incoming(build: Build, name: str, service: Mapping[str, Any]) -> List[Dict[str, Any]]:
    if name == ROUTER:
        sources = [_block(address) for address in dify_flows.users_in(build.site, build.tenant["node_port"])]
        return [{"from": sources, "ports": [_port(str(ROUTER_PORT))]}]
    callers = [start for start, ends in build.release["flows"].items() if name in ends and _runs(build, start)]
    if not callers:
        return []
    return [{"from": [_pods(build, start) for start in callers], "ports": [_port(str(service["port"]))]}]


def _outgoing(build: Build, name: str) -> List[Dict[str, Any]]:
    rules: List[Dict[str, Any]] = []
    for end in build.release["flows"].get(name, ()):
        if end in OUTSIDE:
            rules += [_outside(way) for way in _ways(build, end)]
        elif _runs(build, end):
            port = str(build.services[end]["port"])
            rules.append({"to": [_pods(build, end)], "ports": [_port(port)]})
    return rules


def _ways(build: Build, end: str) -> List[dify_flows.Way]:
    if end == "s3" and build.facts["s3.url"] is None:
        return []
    ways = dify_flows.out(build.site, build.given, end)
    if end == "packages":
        index = urlsplit(build.facts["package_index"] or "")
        # The mirror has a registry beside the index, which is for the nodes.
        ways = [way for way in ways if index.hostname and way.port == str(index.port or PORTS[index.scheme])]
    return ways


def _outside(way: dify_flows.Way) -> Dict[str, Any]:
    return {"to": [_block(address) for address in way.addresses], "ports": [_port(way.port, way.protocol)]}


def _runs(build: Build, name: str) -> bool:
    return name == ROUTER or name in build.services


def _pods(build: Build, name: str) -> Peer:
    namespace = build.namespace(build.services.get(name, {}))
    return {
        "namespaceSelector": {"matchLabels": {NAMESPACE: namespace}},
        "podSelector": {"matchLabels": {f"{PREFIX}/instance": build.tenant["name"], f"{PREFIX}/name": name}},
    }


def _names() -> Dict[str, Any]:
    """The DNS of the cluster."""
    peer = {
        "namespaceSelector": {"matchLabels": {NAMESPACE: "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    return {"to": [peer], "ports": [_port("53", "udp"), _port("53", "tcp")]}


def _block(address: str) -> Peer:
    return {"ipBlock": {"cidr": address if "/" in address else f"{address}/32"}}


def _port(port: str, protocol: str = "tcp") -> Dict[str, Any]:
    first, _dash, last = port.partition("-")
    return {"protocol": protocol.upper(), "port": int(first), **({"endPort": int(last)} if last else {})}
