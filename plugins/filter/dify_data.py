# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tenants need of the data tier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import dify_data as core
from ansible_collections.onprem.dify.plugins.module_utils.dify_secrets import without
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

DOCUMENTATION = r"""
name: dify_data
short_description: List what tenants need of the data tier
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns the databases, buckets and users of Redis of all tenants, in the forms in which the roles of the data tier
    take them.
  - Those of one tenant with the name C(dify) are what these roles deliver by themselves.
positional: secrets
options:
  _input:
    description: The tenants, as P(onprem.dify.dify_tenants#filter) returns them.
    type: list
    elements: dict
    required: true
  secrets:
    description: The secrets of the site.
    type: dict
    required: true
"""

EXAMPLES = r"""
# In group_vars/all, for the role postgresql.
postgresql_databases: >-
  {{ (dify_tenants | onprem.dify.dify_tenants(site_facts) | onprem.dify.dify_data(site_secrets)).databases }}
"""

RETURN = r"""
_value:
  description: Lists C(databases), C(buckets) and C(redis_users). The last holds passwords.
  type: dict
"""


def dify_data(tenants: Sequence[Mapping[str, Any]], secrets: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    whole, known = plain(tenants), plain(secrets)
    missing = [f"redis_{tenant['key']}" for tenant in whole if not known.get(f"redis_{tenant['key']}")]
    if missing:
        raise AnsibleFilterError(without(missing))
    return {
        "databases": core.databases(whole),
        "buckets": core.buckets(whole),
        "redis_users": core.redis_users(whole, known),
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"dify_data": dify_data}
