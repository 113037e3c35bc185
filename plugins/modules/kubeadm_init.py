#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a Kubernetes cluster on its first control plane."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_init
short_description: Make a Kubernetes cluster on its first control plane, wholly or not at all
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Validates the configuration, runs C(kubeadm init), and waits until the API holds the node and all that kubeadm puts
    there.
  - Where an earlier run was killed, it finds out whether all is there. If so that was it, otherwise the host is reset
    and the cluster is made anew. Nobody can have used it yet.
  - The token that kubeadm makes for a first join is deleted, and so are all files with a configuration.
  - On a host that is part of a cluster it only waits until the API answers. M(onprem.dify.kubeadm_node) says whether
    that is the right one.
options:
  name:
    description: Name of the host in the cluster.
    type: str
    required: true
  documents:
    description: The documents of the configuration, as C(init) of P(onprem.dify.kubeadm#filter).
    type: list
    elements: dict
    required: true
  patience:
    description: Seconds in which the API has to answer.
    type: int
    default: 120
attributes:
  check_mode:
    description: Can run in check mode and predict what would happen, also before kubeadm is installed.
    support: full
  diff_mode:
    description: Shows the configuration from which the cluster is made.
    support: full
"""

EXAMPLES = r"""
- name: Make the cluster
  onprem.dify.kubeadm_init:
    name: cp1
    documents: "{{ (site_facts | onprem.dify.kubeadm('cp1', settings)).init }}"
"""

RETURN = r"""
action:
  description: C(init), C(finish) of a run that was killed, C(anew) after a reset, or C(none).
  returned: success
  type: str
"""

from typing import Any, Dict

from ansible_collections.onprem.dify.plugins.module_utils import kubeadm_state
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import Host, bring, completed
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import random_text
from ansible_collections.onprem.dify.plugins.module_utils.quiet_module import QuietModule

SPEC = {
    "name": {"type": "str", "required": True},
    "documents": {"type": "list", "elements": "dict", "required": True},
    "patience": {"type": "int", "default": 120},
}
# What kubeadm puts into the cluster, the last things it does among them.
WHOLE = (
    *("configmap/kubeadm-config", "configmap/kubelet-config", "service/kube-dns", "deployment/coredns"),
    *("configmap/kube-proxy", "daemonset/kube-proxy", "rolebinding/kube-proxy"),
)


def main() -> None:
    bring(QuietModule(argument_spec=SPEC, supports_check_mode=True), kubeadm_state.INIT, run)


def run(host: Host, params: Dict[str, Any]) -> str:
    found = host.found()
    action = kubeadm_state.action(found, kubeadm_state.INIT)
    if action == "none":
        host.wait_for("the Kubernetes API does not answer", params["patience"], "get", "--raw=/readyz")
        return action
    if action == "anew":
        if "kube-apiserver.yaml" in found.manifests and whole(host, params["name"], patience=30):
            host.end()
            return "finish"
        host.reset()
    host.begin(kubeadm_state.INIT)
    token = random_text(6), random_text(16)
    # Without one of ours kubeadm makes a token that is valid for a day.
    tokens = [{"token": ".".join(token), "ttl": "15m0s", "description": "of the first start"}]
    with host.configuration(completed(params["documents"], "InitConfiguration", bootstrapTokens=tokens)) as path:
        host.kubeadm("init", f"--config={path}", "--skip-token-print", "--skip-certificate-key-print")
    host.wait_for("the API does not hold the new node", params["patience"], "get", f"node/{params['name']}")
    if not whole(host, params["name"], patience=params["patience"]):
        raise kubeadm_state.KubeadmError("kubeadm init has ended, and not all that it makes is in the cluster")
    host.kubectl("delete", "secret", "--namespace=kube-system", f"bootstrap-token-{token[0]}")
    host.end()
    return action


def whole(host: Host, name: str, patience: float) -> bool:
    """Whether all is there that kubeadm makes."""
    try:
        host.wait_for("the API does not answer", patience, "get", "--raw=/readyz")
    except kubeadm_state.KubeadmError:
        return False
    words = ["get", "--namespace=kube-system", "--output=name", f"node/{name}", *WHOLE]
    return host.try_kubectl(*words)[0] == 0


if __name__ == "__main__":
    main()
