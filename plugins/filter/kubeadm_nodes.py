# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the nodes of the cluster are for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils import kubeadm_configuration

DOCUMENTATION = r"""
name: kubeadm_nodes
short_description: Work out the labels and taints of nodes from the inventory
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns what the groups of the hosts give to their nodes, and what the variables C(kubeadm_labels) and
    C(kubeadm_taints) add.
positional: hosts, site
options:
  _input:
    description: The variables of every host, as C(hostvars) holds them.
    type: dict
    required: true
  hosts:
    description: Names of the hosts whose nodes are wanted.
    type: list
    elements: str
    required: true
  site:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what the nodes are for
  ansible.builtin.debug:
    msg: "{{ hostvars | onprem.dify.kubeadm_nodes(groups['workers'], site_facts) }}"
"""

RETURN = r"""
_value:
  description: For each node its C(name), C(labels) and C(taints), for M(onprem.dify.kubernetes_nodes).
  type: list
  elements: dict
"""


def kubeadm_nodes(
    hostvars: Mapping[str, Mapping[str, Any]], hosts: Iterable[str], site: Mapping[str, Any]
) -> list[dict[str, Any]]:
    return [
        {
            "name": host,
            "labels": {**kubeadm_configuration.labels(site, host), **(hostvars[host].get("kubeadm_labels") or {})},
            "taints": [*kubeadm_configuration.taints(site, host), *(hostvars[host].get("kubeadm_taints") or [])],
        }
        for host in sorted(hosts)
    ]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"kubeadm_nodes": kubeadm_nodes}
