# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the table of flows of the site says of the pods of Dify. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

from ansible_collections.onprem.dify.plugins.module_utils.dify_facts import endpoint
from ansible_collections.onprem.dify.plugins.module_utils.firewall import POD_ENDS

# What a release calls the ends outside of the cluster, and the ends of the table.
ENDS: Dict[str, Sequence[str]] = {
    "postgres": ("database", "postgres"),
    "redis": ("cache", "redis"),
    "s3": ("objects", "s3"),
    "models": ("models",),
    "packages": ("mirror",),
    "smtp": ("smtp",),
}


class FlowError(Exception):
    """The table does not let Dify do what it must; the text is for the user."""


class Way(NamedTuple):
    """Where to, by addresses and ports, as the firewalls of the hosts let it pass."""

    addresses: List[str]
    port: str
    protocol: str


def out(site: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]], end: str) -> List[Way]:
    """The ways from pods to an end outside. For services of the data tier there must be one."""
    flows = [flow for flow in site["flows"] if flow["from"] in POD_ENDS and flow["to"] in ENDS[end]]
    if end not in ("postgres", "redis", "s3"):
        return [Way(list(flow["destinations"]), flow["port"], flow["protocol"]) for flow in flows]
    wanted = endpoint(site, given, end)
    for flow in flows:
        if flow["port"] == str(wanted.port) and set(wanted.addresses) <= set(flow["destinations"]):
            return [Way(wanted.addresses, flow["port"], flow["protocol"])]
    raise FlowError(
        f"site_flows let no worker reach {', '.join(wanted.addresses)} on {wanted.port}/tcp, wanted: a flow to {end}, "
        "for example in site_extra_flows"
    )


def users_in(site: Mapping[str, Any], node_port: int) -> List[str]:
    """Who may reach the port of the nodes behind which a tenant is."""
    found: List[str] = []
    for flow in site["flows"]:
        if flow["to"] in POD_ENDS and flow["port"] == str(node_port) and flow["protocol"] == "tcp":
            found += flow["sources"]
    if not found:
        raise FlowError(
            f"site_flows let nobody reach the workers on {node_port}/tcp, wanted: a flow from gateway to workers with "
            "this port in site_extra_flows"
        )
    return list(dict.fromkeys(found))
