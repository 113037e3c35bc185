#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See which versions of Kubernetes a host runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_version
short_description: See which versions of Kubernetes a host runs
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Tells what the host is of a cluster, and if it is part of one, which versions run there. The API is asked with the
    access of the host's own kubelet. Changes nothing.
options:
  name:
    description: Name of the host in the cluster.
    type: str
    required: true
  programs:
    description: Components whose installed version is wanted.
    type: list
    elements: str
    default: []
  patience:
    description: Seconds in which the API has to answer, as it may come up after a run that was killed.
    type: int
    default: 120
attributes:
  check_mode:
    description: Changes nothing, so runs in check mode too.
    support: full
"""

EXAMPLES = r"""
- name: See which versions the host runs
  onprem.dify.kubeadm_version:
    name: "{{ inventory_hostname }}"
    programs: [containerd, runc]
  register: version
"""

RETURN = r"""
state:
  description: C(fresh), C(begun) where a kubeadm that was killed left it half way, or C(member).
  returned: success
  type: str
kubelet:
  description: The version that the kubelet has told the API; empty where the host is no member.
  returned: success
  type: str
servers:
  description: On a control plane, the version of each server by name.
  returned: success
  type: dict
programs:
  description: The installed version of each component.
  returned: success
  type: dict
note:
  description: The note of a run that was killed while the node was empty.
  returned: success
  type: str
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import kubeadm_upgrade, kubernetes_drain, release
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import KUBELET, KUBERNETES, Host, objects
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import BEGUN, FRESH, MEMBER, KubeadmError

SPEC = {
    "name": {"type": "str", "required": True},
    "programs": {"type": "list", "elements": "str", "default": []},
    "patience": {"type": "int", "default": 120},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        result = see(Host(module), module.params)
    except KubeadmError as error:
        module.fail_json(msg=f"host {module.params['name']}: {error}")
    module.exit_json(changed=False, **result)


def see(host: Any, params: Dict[str, Any]) -> Dict[str, Any]:
    found = host.found()
    state = BEGUN if found.record else MEMBER if found.kubelet else FRESH
    if state != MEMBER:
        return {"state": state, "kubelet": "", "servers": {}, "programs": {}, "note": ""}
    host.wait_for("the API does not answer", params["patience"], "get", "--raw=/readyz", access=KUBELET)
    node = objects(host.kubectl("get", "node", params["name"], "--output=json", access=KUBELET))[0]
    manifests = [KUBERNETES / "manifests" / name for name in found.manifests]
    return {
        "state": state,
        "kubelet": str(node["status"]["nodeInfo"]["kubeletVersion"]).lstrip("v"),
        "servers": kubeadm_upgrade.servers([path.read_text(encoding="utf-8") for path in manifests]),
        "programs": {name: release.version_in_use(name) for name in params["programs"]},
        "note": kubernetes_drain.note_of(node),
    }


if __name__ == "__main__":
    main()
