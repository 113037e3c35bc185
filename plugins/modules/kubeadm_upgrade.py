#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrade what kubeadm keeps on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_upgrade
short_description: Upgrade what kubeadm keeps on a host
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - On the control plane that comes first, puts the configuration of the new version into the cluster and runs
    C(kubeadm upgrade apply); on all other hosts C(kubeadm upgrade node). The new kubeadm has to be installed.
  - A kubeadm whose controller was killed is waited for. Doing it once more changes nothing that is done, so a run that
    was killed is finished by the next one.
  - A control plane has to serve the API in the end.
options:
  name:
    description: Name of the host in the cluster.
    type: str
    required: true
  version:
    description: The version that the cluster gets.
    type: str
    required: true
  control_plane:
    description: Whether the host is a control plane.
    type: bool
    required: true
  documents:
    description:
      - The documents of the configuration, as C(init) of P(onprem.dify.kubeadm#filter). Given to the host alone that
        upgrades the cluster.
    type: list
    elements: dict
    default: []
  ignore_preflight_errors:
    description: Names of checks of kubeadm that may fail.
    type: list
    elements: str
    default: []
  patience:
    description: Seconds in which the API has to answer in the end.
    type: int
    default: 120
attributes:
  check_mode:
    description: Can run in check mode. The host is one that is due, so it says that it would change.
    support: full
"""

EXAMPLES = r"""
- name: Upgrade the cluster
  onprem.dify.kubeadm_upgrade:
    name: cp1
    version: 1.36.4
    control_plane: true
    documents: "{{ (site_facts | onprem.dify.kubeadm('cp1', settings)).init }}"
"""

RETURN = r"""
action:
  description: C(apply) or C(node).
  returned: success
  type: str
"""

from typing import Any, Dict

from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import ADMIN, OWN_API_READY, Host
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError
from ansible_collections.onprem.dify.plugins.module_utils.quiet_module import QuietModule

SPEC = {
    "name": {"type": "str", "required": True},
    "version": {"type": "str", "required": True},
    "control_plane": {"type": "bool", "required": True},
    "documents": {"type": "list", "elements": "dict", "default": []},
    "ignore_preflight_errors": {"type": "list", "elements": "str", "default": []},
    "patience": {"type": "int", "default": 120},
}


def main() -> None:
    module = QuietModule(argument_spec=SPEC, supports_check_mode=True)
    params, host = module.params, Host(module)
    action = "apply" if params["documents"] else "node"
    try:
        if not module.check_mode:
            with host.alone():
                run(host, params)
    except KubeadmError as error:
        module.fail_json(msg=f"host {params['name']}: {error}. Run again when that is put right: it goes on from here")
    module.exit_json(changed=True, action=action)


def run(host: Any, params: Dict[str, Any]) -> None:
    ignored = params["ignore_preflight_errors"]
    options = [f"--ignore-preflight-errors={','.join(ignored)}"] if ignored else []
    if params["documents"]:
        # Tags of images and flags of the servers: kubeadm takes them from the cluster when it upgrades.
        with host.configuration(params["documents"]) as path:
            host.kubeadm("init", "phase", "upload-config", "all", f"--config={path}")
        host.kubeadm("upgrade", "apply", f"v{params['version']}", "--yes", *options)
    else:
        host.kubeadm("upgrade", "node", *options)
    if params["control_plane"]:
        host.wait_for("the API of this host is not ready", params["patience"], *OWN_API_READY, access=ADMIN)


if __name__ == "__main__":
    main()
