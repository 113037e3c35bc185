# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node of Kubernetes leaves in the kernel of its host, picked out of all that is there. No Ansible, no I/O."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

# Of kube-proxy, kube-router, the kubelet, Flannel and the CNI plugins.
_CHAIN = re.compile(r"(KUBE|FLANNEL|CNI)-")
_TABLE = re.compile(r"kube-proxy|flannel-ipv[46]|cni_hostport|cni_plugins_\w+")
_SET = re.compile(r"(inet6:)?(KUBE-|kube-router-)")
# Where iptables keeps its rules. Others may have theirs there.
_SHARED = ("raw", "mangle", "nat", "filter", "security")

Command = Dict[str, Any]
Key = Tuple[str, str, str]


def nft_commands(ruleset: Sequence[Mapping[str, Any]]) -> List[Command]:
    """The commands for `nft --json` that take away what is theirs in `nft --json list ruleset`, and nothing else."""
    tables = [entry["table"] for entry in ruleset if "table" in entry]
    chains = [entry["chain"] for entry in ruleset if "chain" in entry]
    rules = [entry["rule"] for entry in ruleset if "rule" in entry]
    commands: List[Command] = []
    for table in tables:
        place = {"family": table["family"], "name": table["name"]}
        if _TABLE.fullmatch(table["name"]):
            commands.append({"delete": {"table": place}})
        elif table["name"] in _SHARED and table["family"] in ("ip", "ip6"):
            commands += _of_shared(
                place, [one for one in chains if _in(one, place)], [r for r in rules if _in(r, place)]
            )
    return commands


def _in(item: Mapping[str, Any], table: Mapping[str, Any]) -> bool:
    return bool(item["family"] == table["family"] and item["table"] == table["name"])


def _of_shared(
    table: Mapping[str, Any], chains: Sequence[Mapping[str, Any]], rules: Sequence[Mapping[str, Any]]
) -> List[Command]:
    ours = [chain for chain in chains if _CHAIN.match(chain["name"])]
    if not ours:
        return []
    others = [chain for chain in chains if chain not in ours]
    foreign = [rule for rule in rules if not _CHAIN.match(rule["chain"])]
    leads = [rule for rule in foreign if _leads_to_ours(rule)]
    if len(leads) == len(foreign) and all(chain.get("policy", "accept") == "accept" for chain in others):
        return [{"delete": {"table": dict(table)}}]
    named = [{"family": table["family"], "table": table["name"], "name": chain["name"]} for chain in ours]
    return [
        *({"delete": {"rule": {key: rule[key] for key in ("family", "table", "chain", "handle")}}} for rule in leads),
        *({"flush": {"chain": chain}} for chain in named),
        *({"delete": {"chain": chain}} for chain in named),
    ]


def _leads_to_ours(rule: Mapping[str, Any]) -> bool:
    for part in rule.get("expr") or []:
        for verdict in ("jump", "goto"):
            if verdict in part and _CHAIN.match(part[verdict]["target"]):
                return True
    return False


def sets(names: Sequence[str]) -> List[str]:
    """The sets of addresses that are theirs."""
    return [name for name in dict.fromkeys(names) if _SET.match(name)]


def routes(found: Sequence[Mapping[str, Any]], pod_network: str) -> List[str]:
    """Destinations of routes, as `ip -json route` lists them, that lead into the network of the pods."""
    network = ipaddress.ip_network(pod_network)
    return [str(route["dst"]) for route in found if _within(str(route["dst"]), network)]


def _within(destination: str, network: Any) -> bool:
    try:
        return bool(ipaddress.ip_network(destination).subnet_of(network))
    except (TypeError, ValueError):
        return False


def mounts(mountinfo: str, paths: Sequence[str]) -> List[str]:
    """Mount points below paths, the inner ones first. A path that is one itself may be a disk of its own."""
    points = [line.split()[4].encode().decode("unicode_escape") for line in mountinfo.splitlines() if line]
    below = [point for point in points if any(point.startswith(f"{path}/") for path in paths)]
    return sorted(below, key=lambda point: point.count("/"), reverse=True)
