# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall of one host, derived from the flows of the site. No Ansible, no I/O."""

from __future__ import annotations

import ipaddress
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.onprem.dify.plugins.module_utils.site import ends_of_host

SITE_ZONE = "site"
POD_ZONE = "pods"
EGRESS_POLICY = "site-egress"
POD_EGRESS_POLICY = "pods-egress"
# firewalld ships this one and lets IPv6 router and neighbour messages in; a file of the same name replaces it.
IPV6_POLICY = "allow-host-ipv6"

# What a pod may do is what a worker may do: to the other hosts, its packets carry the address of its node.
POD_ENDS = ("workers", "app", "all")
NODE_ENDS = ("app", "control_plane", "workers")
VRRP_GROUP = "224.0.0.18"


class Rule(NamedTuple):
    """One accepted kind of packet. ``source`` and ``destination`` name a set of addresses."""

    source: str = ""
    destination: str = ""
    port: str = ""
    source_port: str = ""
    protocol: str = ""
    icmp: str = ""
    address: str = ""
    why: str = ""


def rules_for_host(
    site: Mapping[str, Any], name: str, log_denied: str = "unicast", dhcp_client: bool = False
) -> Dict[str, Any]:
    """Return what firewalld has to hold on the host ``name`` as plain data: settings, sets, zones, policies."""
    cluster = site["hosts"][name]["cluster"]
    zones = {SITE_ZONE: _zone("What the flows of the site let in; the rest is dropped", [], _ingress(site, name))}
    policies = {
        EGRESS_POLICY: _policy(
            "What the flows of the site let out; the rest is dropped", "HOST", _egress(site, name, dhcp_client)
        ),
        IPV6_POLICY: {
            "description": "Empties the policy of this name that firewalld brings: the site uses no IPv6",
            "ingress": "ANY",
            "egress": "HOST",
            "target": "CONTINUE",
            "priority": -15000,
            "rules": [],
        },
    }
    if cluster:
        pods = [site["pod_network"]]
        zones[POD_ZONE] = _zone("What pods may do with their own node", pods, _pods_to_node(site, name))
        policies[POD_EGRESS_POLICY] = _policy(
            "What pods may do with each other and with other hosts", POD_ZONE, _pods_to_others(site)
        )
    known = dict(site["addresses"], **{POD_ZONE: [site["pod_network"]]})
    used = _sets_in([*zones.values(), *policies.values()])
    return {
        "host": name,
        "settings": {"DefaultZone": SITE_ZONE, "LogDenied": log_denied},
        "sets": {end: addresses(end, known[end]) for end in used},
        "zones": {key: _plain(zone) for key, zone in zones.items()},
        "policies": {key: _plain(policy) for key, policy in policies.items()},
    }


def ends(site: Mapping[str, Any], name: str) -> List[str]:
    """Return every name by which a flow can mean this host. A host in the admin networks is an operator's, too."""
    operators = ["admin"] if _contains(site["admin_networks"], site["hosts"][name]["address"]) else []
    return [*ends_of_host(site, name), *operators]


def addresses(end: str, entries: Sequence[str]) -> List[str]:
    """Return the addresses and networks of an end without overlaps, which firewalld refuses."""
    networks = []
    for entry in entries:
        try:
            networks.append(ipaddress.IPv4Network(entry))
        except ValueError:
            raise ValueError(f"{end}: {entry!r} is not an IPv4 address or network") from None
    outermost = {net for net in networks if not any(net != other and net.subnet_of(other) for other in networks)}
    return [str(net).replace("/32", "") for net in sorted(outermost)]


def refusal(rules: Mapping[str, Any], connection: Optional[str]) -> str:
    """Return why these rules would lock the controller out, or "" if a new SSH session passes them.

    ``connection`` is the value of SSH_CONNECTION: source address, source port, own address, own port.
    """
    parts = (connection or "").split()
    if len(parts) != 4:
        return ""
    source, port = parts[0].split("%")[0], parts[3]
    if admits(rules, source, port):
        return ""
    host, admin = rules["host"], rules["sets"].get("admin", [])
    if _contains(admin, source):
        return (
            f"host {host}: site_flows: no flow lets `admin` reach tcp port {port}, which this SSH connection uses; "
            "wanted: a flow {from: admin, to: all, port: " + port + ", protocol: tcp}. Nothing was changed."
        )
    return (
        f"host {host}: site_admin_networks: found {', '.join(admin) or 'nothing'}; "
        f"wanted: networks that contain {source}, where this SSH connection comes from. Nothing was changed."
    )


def admits(rules: Mapping[str, Any], source: str, port: str, protocol: str = "tcp") -> bool:
    """Tell whether the site zone accepts a new connection from ``source`` to ``port``."""
    return any(
        rule.get("protocol") == protocol
        and covers(rule.get("port", ""), port)
        and _contains(rules["sets"][rule["source"]], source)
        for rule in rules["zones"][SITE_ZONE]["rules"]
        if rule.get("source")
    )


def covers(ports: str, port: str) -> bool:
    """Tell whether ``ports``, one port or a range, holds ``port``."""
    first, _dash, last = ports.partition("-")
    return bool(first) and int(first) <= int(port) <= int(last or first)


def _zone(description: str, sources: Sequence[str], rules: Sequence[Rule]) -> Dict[str, Any]:
    return {"description": description, "target": "DROP", "sources": list(sources), "rules": _once(rules)}


def _policy(description: str, ingress: str, rules: Sequence[Rule]) -> Dict[str, Any]:
    # A negative priority comes before the zones, whose target would end the matter.
    return {
        "description": description,
        "ingress": ingress,
        "egress": "ANY",
        "target": "DROP",
        "priority": -100,
        "rules": _once(rules),
    }


def _ingress(site: Mapping[str, Any], name: str) -> List[Rule]:
    mine = ends(site, name)
    rules = [
        Rule(source=flow["from"], port=flow["port"], protocol=flow["protocol"], why=flow["why"])
        for flow in site["flows"]
        if flow["to"] in mine
    ]
    return rules + [
        Rule(source=end, icmp="echo-request", why="Ping") for end in ("all", "admin") if site["addresses"][end]
    ]


def _egress(site: Mapping[str, Any], name: str, dhcp_client: bool) -> List[Rule]:
    mine = ends(site, name)
    rules = []
    for flow in site["flows"]:
        if flow["from"] in mine:
            rules.append(Rule(destination=flow["to"], port=flow["port"], protocol=flow["protocol"], why=flow["why"]))
            if flow["protocol"] == "vrrp":
                rules.append(Rule(address=VRRP_GROUP, protocol="vrrp", why=flow["why"]))
    rules.append(Rule(destination="all", icmp="echo-request", why="Ping"))
    for flow in site["flows"]:
        # The connection that brings these rules may be older than connection tracking; its answers must pass.
        if flow["from"] == "admin" and flow["to"] in mine and flow["protocol"] == "tcp":
            rules.append(
                Rule(destination="admin", source_port=flow["port"], protocol="tcp", why="Answers to operators")
            )
    if site["hosts"][name]["cluster"]:
        rules.append(Rule(destination=POD_ZONE, why="The node and its pods: probes, webhooks, services"))
    if dhcp_client:
        rules.append(Rule(port="67", protocol="udp", why="DHCP"))
    return rules


def _pods_to_node(site: Mapping[str, Any], name: str) -> List[Rule]:
    mine = ends(site, name)
    flows = [flow for flow in _pod_flows(site) if flow["to"] in mine]
    rules = [Rule(port=flow["port"], protocol=flow["protocol"], why=flow["why"]) for flow in flows]
    return [*rules, Rule(icmp="echo-request", why="Ping")]


def _pods_to_others(site: Mapping[str, Any]) -> List[Rule]:
    rules = [
        Rule(destination=flow["to"], port=flow["port"], protocol=flow["protocol"], why=flow["why"])
        for flow in _pod_flows(site)
    ]
    return [Rule(destination=POD_ZONE, why="Pods among themselves"), *rules]


def _pod_flows(site: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """A pod uses the flows of the workers, except for the overlay: over UDP among nodes it would speak for its node."""
    return [
        flow
        for flow in site["flows"]
        if flow["from"] in POD_ENDS
        and (flow["protocol"] == "tcp" or (flow["protocol"] == "udp" and flow["to"] not in NODE_ENDS))
    ]


def _sets_in(parts: Sequence[Mapping[str, Any]]) -> List[str]:
    return sorted({end for part in parts for rule in part["rules"] for end in (rule.source, rule.destination) if end})


def _once(rules: Sequence[Rule]) -> List[Rule]:
    """Keep the first of the rules that accept the same packets."""
    first: Dict[Rule, Rule] = {}
    for rule in rules:
        first.setdefault(rule._replace(why=""), rule)
    return list(first.values())


def _plain(part: Mapping[str, Any]) -> Dict[str, Any]:
    rules = [{key: value for key, value in rule._asdict().items() if value} for rule in part["rules"]]
    return dict(part, rules=rules)


def _contains(networks: Sequence[str], address: str) -> bool:
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(wanted in ipaddress.ip_network(network) for network in networks)
