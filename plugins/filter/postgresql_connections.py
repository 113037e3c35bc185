# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many connections PostgreSQL takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils.postgresql_access import AccessError, connections

DOCUMENTATION = r"""
name: postgresql_connections
short_description: Work out how many connections PostgreSQL takes
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Sums what the planned clients may open, and rounds it up.
  - Fails if a wanted number is lower than that, with the sum in its parts.
positional: reserve, wanted
options:
  _input:
    description: For each kind of client how many C(pods) it has, C(processes) in a pod and C(connections) of a process.
    type: dict
    required: true
  reserve:
    description: Connections for operators, monitoring, backups and the additional pods of a rolling update.
    type: int
    required: true
  wanted:
    description: The wanted number, 0 for what the clients need.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Show how many connections two pods of the API need
  ansible.builtin.debug:
    msg: "{{ {'api': {'pods': 2, 'processes': 1, 'connections': 45}} | onprem.dify.postgresql_connections(50, 0) }}"
"""

RETURN = r"""
_value:
  description: The value of C(max_connections).
  type: int
"""


def postgresql_connections(expected: Mapping[str, Mapping[str, Any]], reserve: int, wanted: int) -> int:
    try:
        return connections(expected, reserve, wanted)
    except AccessError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"postgresql_connections": postgresql_connections}
