# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registries of images, as containerd finds them in the mirrors of the site."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils import mirror_clients

DOCUMENTATION = r"""
name: registry_hosts
short_description: Lead the registries of images to the mirrors of the site
version_added: 0.3.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns the files of containerd that lead the registries of images to the mirrors, over TLS with the authority of
    the site.
  - What the mirrors do not have is asked of nobody else, and neither is a registry that no image names.
  - Returns nothing at a site that gives no bundle.
positional: site
options:
  _input:
    description: Names of images with their registry, such as C(registry.k8s.io/pause).
    type: list
    elements: str
    required: true
  site:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Pull what Kubernetes needs from the mirrors only
  onprem.dify.configure:
    directories:
      - {path: /etc/containerd/certs.d/registry.k8s.io}
    files:
      - path: /etc/containerd/certs.d/registry.k8s.io/hosts.toml
        content: "{{ (['registry.k8s.io/pause'] | onprem.dify.registry_hosts(site_facts))['registry.k8s.io'] }}"
"""

RETURN = r"""
_value:
  description: The content of C(hosts.toml) by the name of its folder below C(/etc/containerd/certs.d).
  type: dict
"""


def registry_hosts(images: Iterable[str], site: Mapping[str, Any]) -> dict[str, str]:
    return mirror_clients.registry_hosts(images, site["mirror"])


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"registry_hosts": registry_hosts}
