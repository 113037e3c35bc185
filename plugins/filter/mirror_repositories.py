# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository of the bundle, as one host sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils import mirror_clients

DOCUMENTATION = r"""
name: mirror_repositories
short_description: List the package repositories of the site's mirrors
version_added: 0.3.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns the repository that the bundle carries for the operating system of a host, with the address of each mirror.
  - A mirror itself reads the packages from its own disk.
  - Returns nothing at a site that gives no bundle.
positional: host, facts
options:
  _input:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
  host:
    description: Name of the host.
    type: str
    required: true
  facts:
    description: The facts of the host, with the subsets C(distribution) and C(distribution_release).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show where packages come from
  ansible.builtin.debug:
    msg: "{{ site_facts | onprem.dify.mirror_repositories(inventory_hostname, ansible_facts) }}"
"""

RETURN = r"""
_value:
  description: Repositories in the form of the variable C(packages_repositories).
  type: list
  elements: dict
"""


def mirror_repositories(site: Mapping[str, Any], host: str, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return mirror_clients.repositories(site["mirror"], host, facts)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"mirror_repositories": mirror_repositories}
