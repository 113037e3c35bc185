# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who makes the Kubernetes cluster, and who joins it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import endpoints, kubeadm_state

DOCUMENTATION = r"""
name: kubeadm_plan
short_description: Decide who makes the Kubernetes cluster, and who joins it
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Decides from what every host is, as M(onprem.dify.kubeadm_node) tells.
  - Refuses what would make a second cluster beside one that may exist, and hosts of other clusters.
positional: site
options:
  _input:
    description: The results of M(onprem.dify.kubeadm_node) by name of the host, of the hosts of this run.
    type: dict
    required: true
  site:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show who joins
  ansible.builtin.debug:
    msg: "{{ (nodes | onprem.dify.kubeadm_plan(site_facts)).join }}"
"""

RETURN = r"""
_value:
  description:
    - C(first) is the control plane that has the cluster or makes it, C(init) says whether it is to be made.
    - C(join) lists the hosts that come in, C(forget) those of them whose earlier join was broken off.
  type: dict
"""


def kubeadm_plan(nodes: Mapping[str, Any], site: Mapping[str, Any]) -> dict[str, Any]:
    control_planes = [host["name"] for host in endpoints.members(site, "control_plane")]
    workers = [host["name"] for host in endpoints.members(site, "workers")]
    try:
        return kubeadm_state.plan(control_planes, workers, nodes).as_dict()
    except kubeadm_state.KubeadmError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"kubeadm_plan": kubeadm_plan}
