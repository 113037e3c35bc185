# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoints of the site, as one host serves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import endpoints

DOCUMENTATION = r"""
name: host_endpoints
short_description: List the endpoints that a host serves
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns the endpoints whose group the host is in, with their address, their VRRP settings and
    the hosts behind them.
  - Fails if two of them would have the same VRRP number, which is the last number of their address.
positional: host, facts
options:
  _input:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
  host:
    description: Name of the host.
    type: str
    required: true
  facts:
    description: The facts of the host, with the subset C(network). With them, each endpoint names its C(interface).
    type: dict
"""

EXAMPLES = r"""
- name: Show the addresses that may live on this host
  ansible.builtin.debug:
    msg: "{{ site_facts | onprem.dify.host_endpoints(inventory_hostname) | map(attribute='address') }}"
"""

RETURN = r"""
_value:
  description:
    - For each endpoint its C(name), C(address), C(router_id), C(priority) and C(peers), the C(ports) for clients by the
      name of the listener, the C(port) of the service behind it, and its C(hosts) with their addresses.
    - C(voters) are the hosts that decide on the master of Redis, or on the leader of the object store, C(majority) is
      how many of them are needed, and C(fenced) says whether a host that sees fewer must give up the address.
    - C(alive) is the socket at which a service answers that takes its connections itself. It is empty where HAProxy
      takes them.
    - C(metrics) are the ports on loopback at which the processes behind the endpoint give theirs without TLS.
  type: list
  elements: dict
"""


def host_endpoints(site: Mapping[str, Any], host: str, facts: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    try:
        served = endpoints.host_endpoints(site, host)
        if facts is None or not served:
            return served
        interface = endpoints.interface(facts, site["hosts"][host]["address"])
        return [{**endpoint, "interface": interface} for endpoint in served]
    except endpoints.EndpointError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"host_endpoints": host_endpoints}
