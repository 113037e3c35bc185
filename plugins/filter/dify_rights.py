# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What groups may do with a tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import dify_rights as core
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

DOCUMENTATION = r"""
name: dify_rights
short_description: Work out what groups may do with a tenant
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns the rights of each group, those that its roles inherit included.
  - Fails if a role is unknown or inherits from itself, or if a right is unknown.
positional: templates
options:
  _input:
    description: The roles of each group.
    type: dict
    required: true
  templates:
    description: The roles, as the variable C(dify_role_templates) of the role holds them.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what the operators may do
  ansible.builtin.debug:
    msg: "{{ ({'dify-ops': ['operator']} | onprem.dify.dify_rights(dify_role_templates))['dify-ops'] }}"
"""

RETURN = r"""
_value:
  description: For each group its rights, out of C(use), C(edit), C(manage), C(see), C(logs), C(restart) and C(scale).
  type: dict
"""


def dify_rights(
    groups: Mapping[str, Sequence[str]], templates: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[str]]:
    try:
        return core.of_groups(plain(templates), plain(groups))
    except core.RightsError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"dify_rights": dify_rights}
