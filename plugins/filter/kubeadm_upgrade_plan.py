# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts of the Kubernetes cluster are upgraded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import endpoints, kubeadm_state, kubeadm_upgrade

DOCUMENTATION = r"""
name: kubeadm_upgrade_plan
short_description: Decide which hosts of the Kubernetes cluster are upgraded
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Decides from what every host runs, as M(onprem.dify.kubeadm_version) tells.
  - Refuses a downgrade, a step of more than one minor version, pins that differ, and a run that leaves control planes
    out.
positional: site, wanted
options:
  _input:
    description: The results of M(onprem.dify.kubeadm_version) by name of the host, of the hosts of this run.
    type: dict
    required: true
  site:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
  wanted:
    description: The version that the pins give to each program.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show who is upgraded
  ansible.builtin.debug:
    msg: "{{ (versions | onprem.dify.kubeadm_upgrade_plan(site_facts, wanted)).why }}"
"""

RETURN = r"""
_value:
  description:
    - C(due) lists the hosts that are upgraded to C(version), C(why) says for each of them what there is to do.
    - C(applies) is the control plane that upgrades the cluster, C(asks) the one on which kubectl runs.
  type: dict
"""


def kubeadm_upgrade_plan(seen: Mapping[str, Any], site: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, Any]:
    control_planes = [host["name"] for host in endpoints.members(site, "control_plane")]
    workers = [host["name"] for host in endpoints.members(site, "workers")]
    try:
        return kubeadm_upgrade.plan(control_planes, workers, seen, wanted).as_dict()
    except kubeadm_state.KubeadmError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"kubeadm_upgrade_plan": kubeadm_upgrade_plan}
