#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore the etcd of a control plane from a snapshot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_restore
short_description: Restore the etcd of a control plane from a snapshot
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - With O(state=replaced) it takes the control plane from the kubelet, and puts the data of the snapshot in the place
    of those of etcd. The earlier ones stay beside them in C(/var/lib/etcd).
  - With O(state=started) it gives the control plane back to the kubelet and waits for etcd, its quorum and the API.
  - All members have to be replaced, from the same snapshot, before one is started.
  - A restore that was broken off is begun again.
options:
  state:
    description: The step.
    type: str
    choices: [replaced, started]
    required: true
  programs:
    description: Where C(etcdctl) and C(etcdutl) are.
    type: path
    required: true
  name:
    description: Name of the host in the cluster. With O(state=replaced).
    type: str
  snapshot:
    description: The snapshot. With O(state=replaced).
    type: path
  peers:
    description: The URL of each member for the others, by its name. With O(state=replaced).
    type: dict
  token:
    description: What tells the new cluster of members from the one before, the same on all. With O(state=replaced).
    type: str
  encryption:
    description:
      - With which keys the API server reads secrets. A snapshot that needs another one is refused.
      - With O(state=replaced).
    type: path
  patience:
    description: Seconds in which each thing has to stop or start.
    type: int
    default: 180
attributes:
  check_mode:
    description: Can run in check mode and predict that it would change.
    support: full
  diff_mode:
    description: Says what would be restored.
    support: full
"""

EXAMPLES = r"""
- name: Put the data of the snapshot in the place of the lost ones
  onprem.dify.etcd_restore:
    state: replaced
    programs: /opt/onprem-dify/etcd
    name: cp1
    snapshot: /var/lib/onprem-dify/etcd-snapshots/2026-11-28T190211Z-r1234.db
    peers: {cp1: "https://10.20.2.11:2380"}
    token: restored-1234
    encryption: /etc/kubernetes/onprem-dify/encryption.yaml

- name: Start the control plane
  onprem.dify.etcd_restore:
    state: started
    programs: /opt/onprem-dify/etcd
"""

RETURN = r"""
seconds:
  description: How long it took.
  returned: when it was done
  type: float
"""

import time
from pathlib import Path
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import etcd_restore as restore
from ansible_collections.onprem.dify.plugins.module_utils import etcd_snapshots as snapshots
from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_encryption as encryption
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import OWN_API_READY, Host

SPEC = {
    "state": {"type": "str", "choices": ["replaced", "started"], "required": True},
    "programs": {"type": "path", "required": True},
    "name": {"type": "str"},
    "snapshot": {"type": "path"},
    "peers": {"type": "dict"},
    # Tells clusters apart and opens nothing.
    "token": {"type": "str", "no_log": False},
    "encryption": {"type": "path"},
    "patience": {"type": "int", "default": 180},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=SPEC,
        supports_check_mode=True,
        required_if=[("state", "replaced", ["name", "snapshot", "peers", "token", "encryption"])],
    )
    params, began = module.params, time.monotonic()
    replaced = params["state"] == "replaced"
    diff = {"before": "", "after": f"{params['snapshot']}\n"} if replaced else {}
    if module.check_mode:
        module.exit_json(changed=True, diff=diff)
    try:
        (replace if replaced else start)(module, params)
    except (snapshots.SnapshotError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, seconds=round(time.monotonic() - began, 1), diff=diff)


def replace(module: AnsibleModule, params: Dict[str, Any]) -> None:
    places, run = restore.Places(), restore.runner(module, Path(params["programs"]))
    wish = restore.Wish(params["name"], Path(params["snapshot"]), params["peers"], params["token"])
    # Before anything is stopped.
    snapshots.check(wish.snapshot, run)
    refuse_unreadable(wish.snapshot, Path(params["encryption"]))
    aside = restore.begin(places)
    restore.stop(places)
    restore.until(lambda: not running(module), params["patience"], "the pods of the control plane still run")
    restore.replace(places, wish, aside, run)


def refuse_unreadable(snapshot: Path, configuration: Path) -> None:
    text = configuration.read_text(encoding="utf-8") if configuration.exists() else ""
    try:
        known = {one.name for one in encryption.parse(text)} if text else set()
    except encryption.EncryptionError as error:
        raise snapshots.SnapshotError(f"{configuration}: {error}") from error
    with snapshot.open("rb") as file:
        why = encryption.unreadable(encryption.writers_in(iter(lambda: file.read(1 << 20), b"")), known)
    if why:
        raise snapshots.SnapshotError(f"{snapshot}: {why} ({configuration})")


def start(module: AnsibleModule, params: Dict[str, Any]) -> None:
    run, patience = restore.runner(module, Path(params["programs"])), params["patience"]
    for pod in restore.give_back(restore.Places()):
        if pod == "etcd":
            restore.until(lambda: restore.revision(run) > 0, patience, "etcd has no quorum")
        if pod == "kube-apiserver":
            restore.until(lambda: ready(module), patience, "the API of this host is not ready")


def running(module: AnsibleModule) -> bool:
    """Whether a part of the control plane still runs, or may do so as containerd does not say."""
    names = "|".join(restore.PODS)
    code, out, _err = module.run_command(["crictl", "ps", "--quiet", f"--name=^({names})$"])
    return bool(code != 0 or str(out).strip())


def ready(module: AnsibleModule) -> bool:
    asking = Host(module).kubectl_command("--request-timeout=5s", *OWN_API_READY)
    return bool(module.run_command(asking)[0] == 0)


if __name__ == "__main__":
    main()
