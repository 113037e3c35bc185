#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give the nodes of a cluster their labels and taints."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_nodes
short_description: Give the nodes of a cluster their labels and taints
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Runs on a control plane, for all nodes in one call. Waits until the cluster has them all.
  - What a node was given by this module and is not wished any more is taken away. Labels and taints of others stay.
options:
  nodes:
    description: The nodes.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the node.
        type: str
        required: true
      labels:
        description: Labels and their values.
        type: dict
        default: {}
      taints:
        description: Taints with C(key), C(effect) and perhaps C(value).
        type: list
        elements: dict
        default: []
  patience:
    description: Seconds in which all nodes have to be in the cluster.
    type: int
    default: 120
attributes:
  check_mode:
    description: Can run in check mode and predict what would change. Nodes that are not there yet would be changed.
    support: full
  diff_mode:
    description: Returns the patch of each node.
    support: full
"""

EXAMPLES = r"""
- name: Give the nodes their labels and taints
  onprem.dify.kubernetes_nodes:
    nodes:
      - name: worker1
        labels: {node-role.kubernetes.io/worker: ""}
"""

RETURN = r"""
nodes:
  description: Names of the nodes that changed.
  returned: success
  type: list
  elements: str
"""

import json
import time
from typing import Any, Dict, List

from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_objects as wanted
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import ADMIN, Host, objects
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError
from ansible_collections.onprem.dify.plugins.module_utils.quiet_module import QuietModule

SPEC = {
    "nodes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "labels": {"type": "dict", "default": {}},
            "taints": {"type": "list", "elements": "dict", "default": []},
        },
    },
    "patience": {"type": "int", "default": 120},
}


def main() -> None:
    module = QuietModule(argument_spec=SPEC, supports_check_mode=True)
    host = Host(module)
    try:
        found = see(host, module.params, module.check_mode)
        patches = patches_of(module.params["nodes"], found)
        for name, patch in patches.items():
            if not module.check_mode:
                host.kubectl("patch", "node", name, "--type=merge", f"--patch={json.dumps(patch)}")
    except KubeadmError as error:
        module.fail_json(msg=str(error))
    diff = [
        {"before_header": name, "before": "", "after_header": name, "after": json.dumps(patch, indent=2) + "\n"}
        for name, patch in patches.items()
    ]
    module.exit_json(changed=bool(patches), nodes=list(patches), diff=diff)


def see(host: Host, params: Dict[str, Any], check_mode: bool) -> Dict[str, Dict[str, Any]]:
    """The nodes of the cluster by name, once all that are wished are there. In check mode there may be no cluster."""
    if check_mode and not (host.installed and ADMIN.exists()):
        return {}
    names = {node["name"] for node in params["nodes"]}
    deadline = time.monotonic() + (0 if check_mode else params["patience"])
    while True:
        found = {node["metadata"]["name"]: node for node in objects(host.kubectl("get", "nodes", "--output=json"))}
        missing = sorted(names - set(found))
        if not missing or check_mode:
            return found
        if time.monotonic() >= deadline:
            raise KubeadmError(
                f"the cluster has no node {', '.join(missing)} after {params['patience']} s, although kubeadm has"
                f" joined it. If somebody deleted it: `systemctl restart kubelet` on {missing[0]} brings it back."
            )
        time.sleep(1)


def patches_of(nodes: List[Dict[str, Any]], found: Dict[str, Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
    absent: Dict[str, Any] = {"metadata": {}, "spec": {}}
    patches = {}
    for node in nodes:
        wish = wanted.NodeWish({key: str(value) for key, value in node["labels"].items()}, node["taints"])
        patches[node["name"]] = wanted.node_patch(found.get(node["name"], absent), wish)
    return {name: patch for name, patch in patches.items() if patch}


if __name__ == "__main__":
    main()
