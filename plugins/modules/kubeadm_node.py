#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See what a host is of a Kubernetes cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_node
short_description: See what a host is of a Kubernetes cluster
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Tells whether the host holds nothing of Kubernetes, is part of a cluster, or was left half way by a kubeadm that was
    killed.
  - Refuses a host that is part of another cluster, that holds remains of one, or that runs a version from which there
    is no way to the wanted one. It changes nothing.
options:
  name:
    description: Name of the host in the cluster.
    type: str
    required: true
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  endpoint:
    description: Address and port of the Kubernetes API.
    type: str
    required: true
  control_plane:
    description: Whether the host is to be a control plane.
    type: bool
    required: true
  version:
    description: The wanted version; without it, the host may run any.
    type: str
    default: ""
attributes:
  check_mode:
    description: Changes nothing, so runs in check mode too.
    support: full
"""

EXAMPLES = r"""
- name: See what this host is of the cluster
  onprem.dify.kubeadm_node:
    name: "{{ inventory_hostname }}"
    cluster: bank
    endpoint: 10.20.2.10:8443
    control_plane: true
    version: 1.36.4
  register: node
"""

RETURN = r"""
state:
  description: C(fresh), C(begun) where a kubeadm that was killed left it half way, or C(member).
  returned: success
  type: str
record:
  description: What was begun, C(init) or C(join); otherwise empty.
  returned: success
  type: str
authority:
  description: SHA-256 of the certificate of the cluster's authority, where the host is a member.
  returned: success
  type: str
version:
  description: Version of the kubelet that stands on the host; empty without one.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import (
    kubeadm_host,
    kubeadm_state,
    kubernetes_versions,
    release,
)

SPEC = {
    "name": {"type": "str", "required": True},
    "cluster": {"type": "str", "required": True},
    "endpoint": {"type": "str", "required": True},
    "control_plane": {"type": "bool", "required": True},
    "version": {"type": "str", "default": ""},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    params = module.params
    wish = kubeadm_state.Wish(params["name"], params["cluster"], params["endpoint"], params["control_plane"])
    found, version = kubeadm_host.Host(module).found(), release.version_in_use("kubelet")
    try:
        state = kubeadm_state.state_of(found, wish)
        if state != kubeadm_state.FRESH and params["version"]:
            refuse_version(params["name"], version, params["version"])
    except kubeadm_state.KubeadmError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        state=state,
        record=found.record,
        authority=found.kubelet.authority if state == kubeadm_state.MEMBER and found.kubelet else "",
        version=version,
    )


def refuse_version(host: str, found: str, wanted: str) -> None:
    """A version that changes is changed host by host, pods moved away. This is not the place for it."""
    step = kubernetes_versions.change(found, wanted) if found else "none"
    if step == "none":
        return
    why = (
        kubernetes_versions.refusal(found, wanted)
        or "an upgrade is a step of its own: playbooks/kubernetes_upgrade.yml"
    )
    raise kubeadm_state.KubeadmError(
        f"host {host}: it runs Kubernetes {found}, the pin of kubelet is {wanted}. {why}. Wanted for this run is the"
        f" version that runs: give site_pins.kubelet, kubeadm, kubectl and kubernetes the version {found}."
    )


if __name__ == "__main__":
    main()
