#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take all of Kubernetes off a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_reset
short_description: Take all of Kubernetes off a host, down to the rules in its kernel
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Runs C(kubeadm reset), ends the units, unmounts what pods have mounted, removes the links, routes, rules of nftables
    and sets of addresses that kube-proxy, kube-router, Flannel and the CNI plugins made, then O(paths).
  - Rules of others stay, those of firewalld among them. No table is flushed.
  - Refuses a host that is still a node of its cluster. M(onprem.dify.kubernetes_remove) takes it out.
  - A run that was killed is finished by the next one.
options:
  name:
    description: Name that the host had in the cluster.
    type: str
    required: true
  units:
    description: Units that end and do not start again, in this order. Their files are removed with O(paths).
    type: list
    elements: str
    required: true
  paths:
    description:
      - Files and directories that are removed; the last part of a path may be a pattern. A disk that is mounted at one
        of them is emptied and stays mounted.
    type: list
    elements: path
    required: true
  pod_network:
    description: The network of the pods, to which no route stays.
    type: str
    required: true
attributes:
  check_mode:
    description: Can run in check mode and list what would go, also from a host that is still a node of its cluster.
    support: full
"""

EXAMPLES = r"""
- name: Take Kubernetes off the host
  onprem.dify.kubeadm_reset:
    name: worker2
    units: [kubelet.service, containerd.service]
    paths: [/var/lib/kubelet, /etc/kubernetes]
    pod_network: 10.244.0.0/16
"""

RETURN = r"""
removed:
  description: What went.
  returned: success
  type: list
  elements: str
  sample: [/var/lib/kubelet, link cni0]
"""

import json
import shutil
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import kernel_sets, kubeadm_remains
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import KUBELET, NETWORK_LINKS, RECORD, Host
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError

SPEC = {
    "name": {"type": "str", "required": True},
    "units": {"type": "list", "elements": "str", "required": True},
    "paths": {"type": "list", "elements": "path", "required": True},
    "pod_network": {"type": "str", "required": True},
}
# Those of the pods end with the pods; what dummies of kube-proxy there are, too.
LINKS = (*NETWORK_LINKS, "kube-ipvs0", "kube-dummy-if")
NAMESPACES = Path("/run/netns")


class Remains(NamedTuple):
    units: List[str]
    mounts: List[str]
    links: List[str]
    routes: List[str]
    rules: List[Dict[str, Any]]
    sets: List[str]
    namespaces: List[str]
    paths: List[str]

    def told(self) -> List[str]:
        rules = [f"{len(self.rules)} changes of the rules of nftables"] if self.rules else []
        named = {"unit": self.units, "mount": self.mounts, "link": self.links, "route": self.routes, "set": self.sets}
        lines = [f"{kind} {name}" for kind, names in named.items() for name in names]
        return [*lines, *rules, *(f"network of a pod {name}" for name in self.namespaces), *self.paths]


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    params, host = module.params, Host(module)
    try:
        remains = look(module, params)
        if not module.check_mode:
            refuse_member(host, params["name"])
        if remains.told() and not module.check_mode:
            with host.alone():
                reset(module, host, params)
    except KubeadmError as error:
        module.fail_json(msg=f"host {params['name']}: {error}")
    except OSError as error:
        module.fail_json(msg=f"host {params['name']}: {error.filename or 'the kernel'}: {error.strerror}")
    module.exit_json(changed=bool(remains.told()), removed=remains.told())


def refuse_member(host: Any, name: str) -> None:
    words = ("get", "node", name, "--output=name")
    if host.installed and KUBELET.exists() and host.try_kubectl(*words, access=KUBELET)[0] == 0:
        raise KubeadmError(
            "it is a node of its cluster. Wanted: playbooks/kubernetes_remove.yml, which takes it out first. Nothing"
            " was changed"
        )


def look(module: Any, params: Dict[str, Any]) -> Remains:
    ruleset = json.loads(run(module, "nft", "--json", "list", "ruleset") or "{}").get("nftables", [])
    paths = sorted({str(path) for pattern in params["paths"] for path in matching(Path(pattern))})
    found = sorted(NAMESPACES.glob("cni-*")) if NAMESPACES.is_dir() else []
    return Remains(
        units=starting(module, params["units"]),
        mounts=kubeadm_remains.mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8"), paths),
        links=[link for link in LINKS if Path("/sys/class/net", link).exists()],
        routes=routes(module, params["pod_network"]),
        rules=kubeadm_remains.nft_commands(ruleset),
        sets=kubeadm_remains.sets(kernel_sets.names()),
        namespaces=[str(path) for path in found],
        paths=paths,
    )


def matching(pattern: Path) -> List[Path]:
    """The paths of a pattern that are there, links that lead nowhere among them."""
    if "*" in pattern.name:
        return list(pattern.parent.glob(pattern.name))
    return [pattern] if pattern.exists() or pattern.is_symlink() else []


def routes(module: Any, pod_network: str) -> List[str]:
    return kubeadm_remains.routes(json.loads(run(module, "ip", "-json", "route", "show") or "[]"), pod_network)


def starting(module: Any, units: List[str]) -> List[str]:
    """The units that run, or would with the next start of the host."""
    asks = ("is-active", "is-enabled")
    return [unit for unit in units if any(module.run_command(["systemctl", ask, unit])[0] == 0 for ask in asks)]


def reset(module: Any, host: Any, params: Dict[str, Any]) -> None:
    if host.installed and (KUBELET.exists() or Path("/var/lib/kubelet").exists()):
        # Its member of etcd is gone already, and the API no longer knows this host.
        host.kubeadm("reset", "--force", "--cleanup-tmp-dir", "--skip-phases=remove-etcd-member")
    for unit in starting(module, params["units"]):
        run(module, "systemctl", "disable", "--now", unit)
    # Only now is nobody left who makes it anew.
    remains = look(module, params)
    for mount in [*remains.mounts, *remains.namespaces]:
        # What stays mounted would be emptied below: a volume, with the data of somebody.
        run(module, "umount", "--lazy", mount)
    for link in remains.links:
        run(module, "ip", "link", "delete", link)
    # Those through a link have gone with it.
    for route in routes(module, params["pod_network"]):
        run(module, "ip", "route", "delete", route)
    if remains.rules:
        run(module, "nft", "--json", "--file", "-", data=json.dumps({"nftables": remains.rules}))
    for name in remains.sets:
        kernel_sets.destroy(name)
    for path in (*map(Path, remains.namespaces), *map(Path, remains.paths)):
        remove(path)
    run(module, "systemctl", "daemon-reload")
    RECORD.unlink(missing_ok=True)


def remove(path: Path) -> None:
    if path.is_mount():
        for inner in path.iterdir():
            remove(inner)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def run(module: Any, *words: str, data: str = "") -> str:
    code, out, err = module.run_command(list(words), data=data or None)
    if code != 0:
        raise KubeadmError(f"{' '.join(words[:4])}: {err.strip() or out.strip()}")
    return str(out)


if __name__ == "__main__":
    main()
