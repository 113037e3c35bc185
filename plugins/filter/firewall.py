# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall of a host, from the flows of the site."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils.firewall import rules_for_host

DOCUMENTATION = r"""
name: host_firewall
short_description: Work out the firewall of one host from the flows of the site
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns the settings, sets of addresses, zones and policies that let exactly the flows of the site
    in and out of a host.
positional: host
options:
  _input:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
  host:
    description: Name of the host in the inventory.
    type: str
    required: true
  log_denied:
    description: Which dropped packets firewalld logs.
    type: str
    choices: ["off", unicast, broadcast, multicast, all]
    default: unicast
  dhcp_client:
    description: Whether the host renews its address by DHCP.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what may reach this host
  ansible.builtin.debug:
    msg: "{{ (site_facts | onprem.dify.host_firewall(inventory_hostname)).zones.site.rules }}"
"""

RETURN = r"""
_value:
  description: The rules as plain data, for M(onprem.dify.host_firewall).
  type: dict
"""


def host_firewall(
    site: Mapping[str, Any], host: str, log_denied: str = "unicast", dhcp_client: bool = False
) -> dict[str, Any]:
    try:
        return rules_for_host(site, host, log_denied, dhcp_client)
    except (KeyError, ValueError) as error:
        raise AnsibleFilterError(f"host {host}: the firewall cannot be worked out: {error}") from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"host_firewall": host_firewall}
