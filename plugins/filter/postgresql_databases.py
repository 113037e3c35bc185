# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The databases of a site."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.postgresql_access import databases_of_site

DOCUMENTATION = r"""
name: postgresql_databases
short_description: Work out which databases a site needs
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Leaves out optional databases that no host of the site uses, and completes the others.
positional: databases
options:
  _input:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
  databases:
    description: The databases, as the variable C(postgresql_databases) of the role holds them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the databases of the site
  ansible.builtin.debug:
    msg: "{{ site_facts | onprem.dify.postgresql_databases(postgresql_databases) | map(attribute='name') }}"
"""

RETURN = r"""
_value:
  description: The databases with C(name), C(owner), C(secret), C(clients), C(extensions) and C(optional).
  type: list
  elements: dict
"""


def postgresql_databases(site: Mapping[str, Any], databases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return databases_of_site(site, databases)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"postgresql_databases": postgresql_databases}
