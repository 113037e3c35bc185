# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may log in to PostgreSQL, as lines of pg_hba.conf."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.postgresql_access import rules

DOCUMENTATION = r"""
name: postgresql_rules
short_description: Work out who may log in to PostgreSQL from where
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns the lines of C(pg_hba.conf). What none of them allows is refused by the last ones.
positional: databases
options:
  _input:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
  databases:
    description: The databases, as P(onprem.dify.postgresql_databases#filter) returns them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show who may log in
  ansible.builtin.debug:
    msg: "{{ site_facts | onprem.dify.postgresql_rules(databases) }}"
"""

RETURN = r"""
_value:
  description: The lines, in their order.
  type: list
  elements: str
"""


def postgresql_rules(site: Mapping[str, Any], databases: Sequence[Mapping[str, Any]]) -> list[str]:
    return rules(site, databases)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"postgresql_rules": postgresql_rules}
