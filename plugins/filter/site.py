# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory as a site."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.site import site_from_inventory

DOCUMENTATION = r"""
name: site
short_description: Work out the site from the inventory
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns everything that several roles need to know of the whole site, so that it is computed once.
positional: groups, settings
options:
  _input:
    description: The variables of every host, as C(hostvars) holds them.
    type: dict
    required: true
  groups:
    description: The hosts of every group, as C(groups) holds them.
    type: dict
    required: true
  settings:
    description: The C(site_*) variables without their prefix, and the table of flows.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Work out the site
  ansible.builtin.set_fact:
    site_facts: "{{ hostvars | onprem.dify.site(groups, __site_settings) }}"
  run_once: true
"""

RETURN = r"""
_value:
  description:
    - Name, domain, networks, endpoints and services of the site.
    - C(storage) says by purpose where the site keeps its files.
    - C(hosts) holds for every host its address, groups, zones and whether it belongs to the Kubernetes cluster.
    - C(addresses) holds the addresses of every group, zone and service.
    - C(mirror) holds names, addresses and trust of the mirrors, and is empty at a site that gives no bundle.
    - C(flows) holds the table of flows with the addresses of both ends.
  type: dict
"""


def site(
    hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]], settings: Mapping[str, Any]
) -> dict[str, Any]:
    return site_from_inventory(hostvars, groups, settings)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"site": site}
