# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The servers and the Sentinels of Redis, as one host sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils import endpoints

DOCUMENTATION = r"""
name: redis_members
short_description: List the Redis servers and the Sentinels of the site
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns what a host has to know of the others.
positional: host
options:
  _input:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
  host:
    description: Name of the host.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show who votes on the master
  ansible.builtin.debug:
    msg: "{{ (site_facts | onprem.dify.redis_members(inventory_hostname)).sentinels }}"
"""

RETURN = r"""
_value:
  description:
    - C(servers) and C(sentinels) are lists of hosts with C(name) and C(address). A single server has no Sentinel.
    - C(peers) are the other servers. C(server) and C(sentinel) say whether the host is one.
  type: dict
"""


def redis_members(site: Mapping[str, Any], host: str) -> dict[str, Any]:
    servers, sentinels = endpoints.members(site, "cache"), endpoints.sentinels(site)
    return {
        "servers": servers,
        "sentinels": sentinels,
        "peers": [entry for entry in servers if entry["name"] != host],
        "server": host in [entry["name"] for entry in servers],
        "sentinel": host in [entry["name"] for entry in sentinels],
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"redis_members": redis_members}
