# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubernetes objects of a tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import (
    dify_build,
    dify_facts,
    dify_flows,
    dify_manifests,
    dify_rights,
    dify_secrets,
)
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

DOCUMENTATION = r"""
name: dify_objects
short_description: Build the Kubernetes objects of a tenant
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns the objects in the order in which they are applied.
  - No secret is among them, and no value of one in them; P(onprem.dify.dify_secrets#filter) builds those.
  - Fails with what is wrong if the tenant would not run, for example if its release does not know a setting, if nobody
    reads a queue, if a quota is too small, or if the table of flows opens no way that is needed.
positional: release, site, secrets, wishes, given
extends_documentation_fragment: [onprem.dify.dify]
options:
  release:
    description: The release, as P(onprem.dify.dify_release#lookup) returns it.
    type: dict
    required: true
  secrets:
    description:
      - The secrets of the site.
      - Of their values only a keyed checksum is used, so that pods start anew with new ones.
  wishes:
    description:
      - What the site says of all tenants, as C(sizes), C(settings), C(workers), C(quota), C(templates),
        C(package_index), C(authorities) and C(files_directory).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Apply what is there before a pod
  kubernetes.core.k8s:
    resource_definition: "{{ objects.foundation }}"
    server_side_apply: {field_manager: onprem.dify}
    apply: true
  vars:
    objects: "{{ tenant | onprem.dify.dify_objects(release, site_facts, site_secrets, wishes) }}"
"""

RETURN = r"""
_value:
  description:
    - Lists C(foundation), C(migration), which is done before the next, C(workloads), and C(way_in), which lets users
      in.
  type: dict
"""

ERRORS = (
    dify_build.BuildError,
    dify_facts.FactError,
    dify_flows.FlowError,
    dify_rights.RightsError,
    dify_secrets.SecretError,
)


def dify_objects(
    tenant: Mapping[str, Any],
    release: Mapping[str, Any],
    site: Mapping[str, Any],
    secrets: Mapping[str, Any],
    wishes: Mapping[str, Any],
    given: Mapping[str, Any] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    versions: dict[str, Any] = {name: str(release[name]) for name in ("router_image", "kubernetes_version")}
    try:
        build = dify_build.prepare(
            plain(release),
            plain(site),
            plain(tenant),
            dify_build.Wishes(**plain(wishes), **versions),
            plain(given or {}),
            plain(secrets),
        )
        objects: dict[str, list[dict[str, Any]]] = plain(dify_manifests.manifests(build))
    except ERRORS as error:
        raise AnsibleFilterError(str(error)) from error
    return objects


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"dify_objects": dify_objects}
