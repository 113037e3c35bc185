#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let the control plane of a host run with the settings of today."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_manifests
short_description: Let the control plane of a host run with the settings of today
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Has kubeadm say how it would write the API server, the controller manager and the scheduler, and compares that with
    how they are on this host. What differs starts anew, one after the other, and is waited for.
  - Where the API server does not become ready, its earlier settings come back and the task fails.
  - What kubeadm keeps of the settings in the cluster is brought along.
  - Does nothing on a host without a control plane. Run it on one host at a time.
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
    description: Seconds in which each pod has to start.
    type: int
    default: 180
attributes:
  check_mode:
    description: Can run in check mode and predict what would change.
    support: full
  diff_mode:
    description: Returns the manifests.
    support: full
"""

EXAMPLES = r"""
- name: Take in what has changed
  onprem.dify.kubeadm_manifests:
    name: cp1
    documents: "{{ (site_facts | onprem.dify.kubeadm('cp1', settings)).init }}"
  throttle: 1
"""

RETURN = r"""
pods:
  description: The pods that started anew.
  returned: success
  type: list
  elements: str
"""

import os
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Dict, List

from ansible_collections.onprem.dify.plugins.module_utils import kubeadm_manifests as manifests
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import (
    KUBERNETES,
    OWN_API_READY,
    SCRATCH,
    Host,
    within,
    write_private,
)
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError
from ansible_collections.onprem.dify.plugins.module_utils.quiet_module import QuietModule

SPEC = {
    "name": {"type": "str", "required": True},
    "documents": {"type": "list", "elements": "dict", "required": True},
    "patience": {"type": "int", "default": 180},
}
# What kubeadm itself remembers of the settings, for hosts that join and for upgrades.
KEPT = ("get", "configmap/kubeadm-config", "--namespace=kube-system")
# Where kubeadm writes what it only would write.
ELSEWHERE = "KUBEADM_INIT_DRYRUN_DIR"


def main() -> None:
    module = QuietModule(argument_spec=SPEC, supports_check_mode=True)
    host, params = Host(module), module.params
    found = read(KUBERNETES / "manifests")
    if "kube-apiserver" not in found:
        module.exit_json(changed=False, pods=[])
    try:
        with host.configuration(params["documents"]) as path:
            wanted = would_write(host, path)
            pods = manifests.differing(wanted, found)
            if pods and not module.check_mode:
                code, kept, _err = host.try_kubectl(*KEPT, "--output=json")
                upload = ("init", "phase", "upload-config", "kubeadm", f"--config={path}")
                # Before, so that what is broken off in between still differs. An API that is down must come up first.
                if code == 0:
                    host.kubeadm(*upload)
                take_in(module, host, pods, wanted, found, kept if code == 0 else "")
                if code != 0:
                    host.kubeadm(*upload)
    except (KubeadmError, OSError) as error:
        module.fail_json(msg=f"host {params['name']}: {error}")
    module.exit_json(changed=bool(pods), pods=pods, diff=[manifests.diff(pod, found, wanted) for pod in pods])


def read(folder: Path) -> Dict[str, str]:
    paths = [folder / f"{pod}.yaml" for pod in manifests.PODS]
    return {path.stem: path.read_text(encoding="utf-8") for path in paths if path.exists()}


def would_write(host: Host, configuration: Path) -> Dict[str, str]:
    folder = tempfile.mkdtemp(dir=str(SCRATCH))
    try:
        os.environ[ELSEWHERE] = folder
        host.kubeadm("init", "phase", "control-plane", "all", "--dry-run", f"--config={configuration}")
        return read(Path(folder))
    finally:
        del os.environ[ELSEWHERE]
        shutil.rmtree(folder)


def take_in(module: Any, host: Host, pods: List[str], wanted: Dict[str, str], found: Dict[str, str], kept: str) -> None:
    patience = module.params["patience"]
    for pod in pods:
        before = container(module, pod, check_rc=True)
        write(pod, wanted[pod])
        if within(patience, partial(started, module, host, pod, before)):
            continue
        write(pod, found.get(pod, wanted[pod]))
        back = within(patience, partial(started, module, host, pod, ""))
        how = "it runs" if back else "it does not run either"
        if back and kept:
            host.kubectl("replace", "--filename=-", data=manifests.again(kept))
        raise KubeadmError(
            f"{pod} was not ready {patience} s after its settings had changed. Its earlier ones are back, and {how}."
            f" `crictl ps --all --name {pod}` and `crictl logs` of the container that ended say why."
        )


def write(pod: str, text: str) -> None:
    """Beside the folder first, as the kubelet starts whatever lies in it."""
    write_private(KUBERNETES / "manifests" / f"{pod}.yaml", KUBERNETES / f".{pod}.yaml", text)


def container(module: Any, pod: str, check_rc: bool = False) -> str:
    """In which container a pod runs; empty where none does, or where containerd does not say."""
    code, out, _err = module.run_command(["crictl", "ps", "--quiet", f"--name=^{pod}$"], check_rc=check_rc)
    return str(out).strip() if code == 0 else ""


def started(module: Any, host: Host, pod: str, before: str) -> bool:
    """Whether a pod runs in another container than before; the API server has to be ready, too."""
    now = container(module, pod)
    if not now or now == before:
        return False
    return pod != "kube-apiserver" or host.try_kubectl(*OWN_API_READY)[0] == 0


if __name__ == "__main__":
    main()
