#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a node out of a Kubernetes cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_remove
short_description: Take a node out of a Kubernetes cluster
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Runs on a control plane that stays. Evicts the pods of the node as M(onprem.dify.kubernetes_drain) does, removes it
    from etcd if it is a member there, and deletes it from the cluster. A node that does not answer is not waited for.
  - Refuses the last control plane, a member without which etcd would have no quorum, and a name that nobody knows.
  - A run that was killed is finished by the next one. A node that is gone already is no change.
  - The host itself is reset by M(onprem.dify.kubeadm_reset).
options:
  name:
    description: Name of the node.
    type: str
    required: true
  asks:
    description: Name of the control plane on which the module runs.
    type: str
    required: true
  hosts:
    description: The control planes and workers of the inventory.
    type: list
    elements: str
    required: true
  patience:
    description: Seconds in which the pods have to leave.
    type: int
    default: 600
attributes:
  check_mode:
    description: Can run in check mode. Says what would be done, and refuses what would be refused.
    support: full
"""

EXAMPLES = r"""
- name: Take worker2 out of the cluster
  onprem.dify.kubernetes_remove:
    name: worker2
    asks: cp1
    hosts: "{{ groups['control_plane'] + groups['workers'] }}"
"""

RETURN = r"""
done:
  description: What was done, in this order.
  returned: success
  type: list
  elements: str
  sample: [pods evicted, removed from etcd, removed from the cluster]
"""

import json
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import etcd_snapshots, kubernetes_evict
from ansible_collections.onprem.dify.plugins.module_utils import kubeadm_removal as removal
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import Host, objects
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError

SPEC = {
    "name": {"type": "str", "required": True},
    "asks": {"type": "str", "required": True},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "patience": {"type": "int", "default": 600},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        done = remove(Host(module), module.params, module.check_mode)
    except KubeadmError as error:
        module.fail_json(msg=f"host {module.params['name']}: {error}.")
    module.exit_json(changed=bool(done), done=done)


def remove(host: Any, params: Dict[str, Any], check_mode: bool) -> List[str]:
    name, asks = params["name"], params["asks"]
    nodes = objects(host.kubectl("get", "nodes", "--output=json"))
    plan = removal.plan(name, params["hosts"], nodes, etcd_members(host, asks))
    if name == asks and (plan.node or plan.member):
        raise KubeadmError(
            "only this host itself could be asked. Wanted: a run that reaches another control plane. Nothing was"
            " changed"
        )
    if plan.empty and not check_mode:
        kubernetes_evict.empty(host, name, patience=params["patience"], settle=0)
    if plan.member and not check_mode:
        host.kubectl(*etcdctl(asks, "member", "remove", plan.member))
        host.wait_for("etcd is not healthy without it", 120, *etcdctl(asks, "endpoint", "health", "--cluster"))
    if plan.node and not check_mode:
        host.kubectl("delete", "node", "--ignore-not-found", name)
    steps = {"pods evicted": plan.empty, "removed from etcd": plan.member, "removed from the cluster": plan.node}
    return [step for step, wanted in steps.items() if wanted]


def etcd_members(host: Any, asks: str) -> List[removal.Member]:
    listed = json.loads(host.kubectl(*etcdctl(asks, "member", "list", "--write-out=json")))
    # It fails where a member is not healthy, and says which.
    _code, out, err = host.try_kubectl(*etcdctl(asks, "endpoint", "health", "--cluster", "--write-out=json"))
    line = next((line for line in out.splitlines() if line.startswith("[")), "")
    if not line:
        raise KubeadmError(f"etcd on {asks} does not say which members are healthy: {err.strip()}")
    return removal.members(listed, json.loads(line))


def etcdctl(asks: str, *words: str) -> List[str]:
    return ["exec", "--namespace=kube-system", f"etcd-{asks}", "--", "etcdctl", *etcd_snapshots.CONNECTION, *words]


if __name__ == "__main__":
    main()
