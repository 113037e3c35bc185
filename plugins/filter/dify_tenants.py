# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tenants of a site."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import dify_tenants as core
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

DOCUMENTATION = r"""
name: dify_tenants
short_description: Complete the tenants of a site
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns each tenant with everything that follows from its name and its number.
  - Fails if two tenants share something, or if a name is not one, with a line for each fault.
positional: site
options:
  _input:
    description: The tenants, as the variable C(dify_tenants) of the role holds them.
    type: list
    elements: dict
    required: true
  site:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the host names of Dify
  ansible.builtin.debug:
    msg: "{{ dify_tenants | onprem.dify.dify_tenants(site_facts) | map(attribute='hostname') }}"
"""

RETURN = r"""
_value:
  description:
    - Tenants with C(name), C(key), C(number), C(hostname), C(namespace), C(sandbox_namespace), C(databases),
      C(buckets), C(redis), C(node_port) and C(proxy_address), and what the site says of them.
  type: list
  elements: dict
"""


def dify_tenants(tenants: Sequence[Mapping[str, Any]], site: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        return core.all_complete(plain(tenants), plain(site))
    except core.TenantError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"dify_tenants": dify_tenants}
