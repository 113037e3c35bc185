# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundled object store, worked out for one host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: seaweedfs
short_description: Work out what a host of the bundled object store runs
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns which hosts vote, the names of all members, how many copies are kept, and the command of each process here.
  - Refuses what cannot be safe, such as more copies than hosts.
positional: host, settings
options:
  _input:
    description: The fact C(site_facts).
    type: dict
    required: true
  host:
    description: Name of the host.
    type: str
    required: true
  settings:
    description: The variables of the role.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what runs here
  ansible.builtin.debug:
    msg: "{{ site_facts | onprem.dify.seaweedfs(inventory_hostname, settings) }}"
"""

RETURN = r"""
_value:
  description: C(masters), C(objects), C(names), C(replication), C(processes), C(gateway) and C(lifecycle).
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import seaweedfs as core


def seaweedfs(site: Mapping[str, Any], host: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return core.plan(site, host, settings)
    except core.StoreError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"seaweedfs": seaweedfs}
