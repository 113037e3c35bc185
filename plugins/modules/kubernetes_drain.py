#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let the pods leave a node, and let it take pods again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_drain
short_description: Let the pods leave a node of Kubernetes, and let it take pods again
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Runs on a control plane. With O(state=empty), the node takes no new pods and those on it are evicted, as far as
    their PodDisruptionBudgets allow. Pods of DaemonSets and those of the node itself stay.
  - If pods are still there after O(patience), it fails and names each of them with the reason.
  - A pod that nobody would make again is named before anything is evicted.
  - With O(state=in_use), waits until the node and its own pods are ready, lets it take pods again, and waits until all
    Deployments, StatefulSets and DaemonSets have their pods, but for those named in O(short).
  - The node carries a note in between. So the next run knows a node that a killed run has left empty, and a node that
    somebody had cordoned before stays cordoned.
options:
  name:
    description: Name of the node.
    type: str
    required: true
  state:
    description: Whether pods leave the node or may come back.
    type: str
    choices: [empty, in_use]
    required: true
  version:
    description: The version that the kubelet has to have in the end; without it any.
    type: str
    default: ""
  short:
    description: Workloads that were short of pods before, as RV(short) returned them. Nobody waits for these.
    type: list
    elements: str
    default: []
  patience:
    description: Seconds that this may take.
    type: int
    default: 600
  settle:
    description: Seconds for which workloads that are short of pods are waited for before anything is evicted.
    type: int
    default: 60
attributes:
  check_mode:
    description: Can run in check mode. Says whether the node would be touched, and refuses what would be refused.
    support: full
"""

EXAMPLES = r"""
- name: Move the pods away
  onprem.dify.kubernetes_drain:
    name: worker1
    state: empty
  delegate_to: cp1
  register: emptied

- name: Let the node take pods again
  onprem.dify.kubernetes_drain:
    name: worker1
    state: in_use
    version: 1.36.4
    short: "{{ emptied.short }}"
  delegate_to: cp1
"""

RETURN = r"""
evicted:
  description: Pods that left.
  returned: with state=empty
  type: list
  elements: str
short:
  description: Workloads that had not all their pods before anything was evicted.
  returned: with state=empty
  type: list
  elements: str
cordoned_before:
  description: Whether somebody else had cordoned the node, which therefore stays so.
  returned: success
  type: bool
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_evict
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import Host
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError

SPEC = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["empty", "in_use"], "required": True},
    "version": {"type": "str", "default": ""},
    "short": {"type": "list", "elements": "str", "default": []},
    "patience": {"type": "int", "default": 600},
    "settle": {"type": "int", "default": 60},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        result = run(Host(module), module.params, module.check_mode)
    except KubeadmError as error:
        module.fail_json(msg=f"node {module.params['name']}: {error}")
    module.exit_json(**result)


def run(host: Any, params: Dict[str, Any], check_mode: bool) -> Dict[str, Any]:
    name, patience = params["name"], params["patience"]
    if params["state"] == "empty":
        return kubernetes_evict.empty(host, name, patience, params["settle"], check_mode)
    return kubernetes_evict.use(host, name, patience, params["version"], params["short"], check_mode)


if __name__ == "__main__":
    main()
