# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to get at each tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import dify_access as core
from ansible_collections.onprem.dify.plugins.module_utils.dify_facts import FactError
from ansible_collections.onprem.dify.plugins.module_utils.dify_secrets import SecretError
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

DOCUMENTATION = r"""
name: dify_access
short_description: Say what it takes to get at the database, the console and the port of a tenant
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns the parts in the forms in which the modules of the role P(onprem.dify.dify#role) take them.
  - A task that uses C(database) or C(console) says C(no_log).
positional: site, secrets, given
extends_documentation_fragment: [onprem.dify.dify]
"""

EXAMPLES = r"""
- name: Issue the certificate of the tenant
  onprem.dify.certificates:
    authority: "{{ site_facts.pki }}"
    certificates: ["{{ (tenant | onprem.dify.dify_access(site_facts, site_secrets)).wish }}"]
"""

RETURN = r"""
_value:
  description:
    - C(database) for M(onprem.dify.dify_revisions), C(console) for M(onprem.dify.dify_administrators), C(wish) for
      P(onprem.dify.certificates#module) and C(certificate) for M(onprem.dify.kubernetes_objects).
  type: dict
"""


def dify_access(
    tenant: Mapping[str, Any],
    site: Mapping[str, Any],
    secrets: Mapping[str, Any],
    given: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    try:
        return core.access(plain(tenant), plain(site), plain(secrets), plain(given or {}))
    except (FactError, SecretError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"dify_access": dify_access}
