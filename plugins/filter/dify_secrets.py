# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubernetes Secrets of a tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import dify_facts
from ansible_collections.onprem.dify.plugins.module_utils import dify_secrets as core
from ansible_collections.onprem.dify.plugins.module_utils.dify_build import tenant_labels
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

DOCUMENTATION = r"""
name: dify_secrets
short_description: Build the Kubernetes Secrets of a tenant
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns one Secret for each namespace of the tenant, with what the services in it read and nothing else.
  - A task that uses them says C(no_log).
positional: release, site, secrets, given
extends_documentation_fragment: [onprem.dify.dify]
options:
  release:
    description: The release, as P(onprem.dify.dify_release#lookup) returns it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Keep the secrets of the tenant
  kubernetes.core.k8s:
    resource_definition: "{{ tenant | onprem.dify.dify_secrets(release, site_facts, site_secrets) }}"
    server_side_apply: {field_manager: onprem.dify}
    apply: true
  no_log: true
"""

RETURN = r"""
_value:
  description: The Secrets.
  type: list
  elements: dict
"""


def dify_secrets(
    tenant: Mapping[str, Any],
    release: Mapping[str, Any],
    site: Mapping[str, Any],
    secrets: Mapping[str, Any],
    given: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    whole, chosen = plain(tenant), plain(release)
    try:
        facts = dify_facts.facts(chosen, plain(site), whole, plain(given or {}))
        found = core.values(chosen, whole, facts, plain(secrets))
    except (core.SecretError, dify_facts.FactError) as error:
        raise AnsibleFilterError(str(error)) from error
    return core.objects(chosen, whole, found, tenant_labels(whole))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"dify_secrets": dify_secrets}
