# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has to try to prove the flows of the site."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils import probe

DOCUMENTATION = r"""
name: probe_plan
short_description: Work out what a host has to try to prove the flows
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Every flow of the site and a list of doors that no flow opens, on every other host, over TCP and UDP.
positional: host, outside
options:
  _input:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
  host:
    description: Name of the host in the inventory.
    type: str
    required: true
  outside:
    description: Doors outside the site that must be shut, each with C(address), C(port) and C(protocol).
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show what this host will try
  ansible.builtin.debug:
    msg: "{{ (site_facts | onprem.dify.probe_plan(inventory_hostname)).targets }}"
"""

RETURN = r"""
_value:
  description: C(ports) to listen on, for M(onprem.dify.listen), and C(targets) to try, for M(onprem.dify.probe).
  type: dict
"""


def probe_plan(site: Mapping[str, Any], host: str, outside: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    cells = probe.attempts(site, host, outside)
    return {
        "ports": [f"{protocol}/{port}" for protocol, port in probe.doors(site)],
        "targets": [[cell.address, cell.port, cell.protocol, cell.expected] for cell in cells],
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"probe_plan": probe_plan}
