#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a host into a Kubernetes cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_join
short_description: Bring a host into a Kubernetes cluster, wholly or not at all
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Validates the configuration, runs C(kubeadm join), and waits until the API holds the node, which may be seconds
    after the command has ended. A control plane has to be ready, too.
  - Where an earlier run was killed, it finds out whether the host has come in. If so that was it, otherwise the host is
    reset and comes anew.
  - The token stands for the time of the join in a file in memory that root alone can read.
  - Does nothing on a host that is part of a cluster. M(onprem.dify.kubeadm_node) says whether that is the right one.
options:
  name:
    description: Name of the host in the cluster.
    type: str
    required: true
  documents:
    description: The documents of the configuration, as C(join) of P(onprem.dify.kubeadm#filter).
    type: list
    elements: dict
    required: true
  endpoint:
    description: Address and port of the Kubernetes API.
    type: str
    required: true
  token:
    description: The token of M(onprem.dify.kubeadm_token).
    type: str
    required: true
  certificate_key:
    description: The key of M(onprem.dify.kubeadm_token). Control planes need it.
    type: str
    default: ""
  authority:
    description: Certificate of the authority of the cluster.
    type: str
    required: true
  patience:
    description: Seconds in which the node has to be in the cluster after the join.
    type: int
    default: 120
attributes:
  check_mode:
    description: Can run in check mode and predict what would happen, also before kubeadm is installed.
    support: full
  diff_mode:
    description: Shows the configuration with which the host would join, without token and keys.
    support: full
"""

EXAMPLES = r"""
- name: Join the cluster
  onprem.dify.kubeadm_join:
    name: worker1
    documents: "{{ (site_facts | onprem.dify.kubeadm('worker1', settings)).join }}"
    endpoint: 10.20.2.10:8443
    token: "{{ invitation.token }}"
    authority: "{{ invitation.authority }}"
  no_log: true
"""

RETURN = r"""
action:
  description: C(join), C(finish) of a run that was killed, C(anew) after a reset, or C(none).
  returned: success
  type: str
"""

import base64
import json
from typing import Any, Dict, List, Mapping

from ansible_collections.onprem.dify.plugins.module_utils import kubeadm_state
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import (
    ADMIN,
    KUBELET,
    OWN_API_READY,
    Host,
    bring,
    completed,
)
from ansible_collections.onprem.dify.plugins.module_utils.quiet_module import QuietModule

SPEC = {
    "name": {"type": "str", "required": True},
    "documents": {"type": "list", "elements": "dict", "required": True},
    "endpoint": {"type": "str", "required": True},
    "token": {"type": "str", "required": True, "no_log": True},
    "certificate_key": {"type": "str", "default": "", "no_log": True},
    "authority": {"type": "str", "required": True},
    "patience": {"type": "int", "default": 120},
}


def main() -> None:
    bring(QuietModule(argument_spec=SPEC, supports_check_mode=True), kubeadm_state.JOIN, run)


def run(host: Host, params: Dict[str, Any]) -> str:
    found = host.found()
    action = kubeadm_state.action(found, kubeadm_state.JOIN)
    if action == "none":
        return action
    control_plane = "controlPlane" in params["documents"][0]
    if action == "anew":
        if found.record == kubeadm_state.JOIN and arrived(host, params["name"], control_plane, patience=10):
            host.end()
            return "finish"
        host.reset()
    host.begin(kubeadm_state.JOIN)
    with (
        host.secret_file(json.dumps(discovery(params))) as found_by,
        host.configuration(with_discovery(params["documents"], str(found_by), params["certificate_key"])) as path,
    ):
        host.kubeadm("join", f"--config={path}")
    if not arrived(host, params["name"], control_plane, patience=params["patience"]):
        raise kubeadm_state.KubeadmError(
            f"kubeadm join has ended, and after {params['patience']} s the API does not hold the node, or the API of"
            " this host is not ready: `journalctl -u kubelet` says why"
        )
    host.end()
    return action


def arrived(host: Host, name: str, control_plane: bool, patience: float) -> bool:
    """Whether the cluster holds the node, and a control plane serves the API. The kubelet may ask for itself."""
    if not KUBELET.exists():
        return False
    try:
        host.wait_for("no node", patience, "get", "--output=name", f"node/{name}", access=KUBELET)
        if control_plane:
            host.wait_for("not ready", patience, *OWN_API_READY, access=ADMIN)
    except kubeadm_state.KubeadmError:
        return False
    role = "--selector=node-role.kubernetes.io/control-plane"
    words = ["get", "nodes", "--output=name", f"--field-selector=metadata.name={name}", role]
    return not control_plane or f"node/{name}" in host.try_kubectl(*words, access=ADMIN)[1].split()


def discovery(params: Dict[str, Any]) -> Dict[str, Any]:
    """A kubeconfig by which kubeadm finds and verifies the API. With the token: nobody is let in without a name."""
    authority = base64.b64encode(params["authority"].encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "kubernetes",
                "cluster": {"server": f"https://{params['endpoint']}", "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": "join", "user": {"token": params["token"]}}],
        "contexts": [{"name": "join", "context": {"cluster": "kubernetes", "user": "join"}}],
        "current-context": "join",
    }


def with_discovery(documents: List[Dict[str, Any]], path: str, key: str) -> List[Mapping[str, Any]]:
    fields: Dict[str, Any] = {"discovery": {"file": {"kubeConfigPath": path}}}
    if "controlPlane" in documents[0]:
        fields["controlPlane"] = {**documents[0]["controlPlane"], "certificateKey": key}
    return completed(documents, "JoinConfiguration", **fields)


if __name__ == "__main__":
    main()
