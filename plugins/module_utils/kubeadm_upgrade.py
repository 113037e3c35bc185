# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts of a cluster are upgraded, and whether they may be. No Ansible, no I/O."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_versions
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import BEGUN, MEMBER, KubeadmError

# They come from one release.
PARTS = ("kubeadm", "kubectl", "kubelet", "kubernetes")
_IMAGE = re.compile(r"(?m)^\s*image:\s*\S+/(kube-[a-z-]+):v([\d.]+)\S*\s*$")


class Plan(NamedTuple):
    """`due`: the hosts that are upgraded. `applies`: the control plane that upgrades the cluster. `asks`: the one on
    which kubectl runs. `why`: for each due host what there is to do."""

    version: str
    due: List[str]
    applies: str
    asks: str
    why: Dict[str, str]

    def as_dict(self) -> Dict[str, Any]:
        return dict(self._asdict())


def servers(manifests: Sequence[str]) -> Dict[str, str]:
    """The versions that the manifests of a control plane name, by server."""
    return {name: version for text in manifests for name, version in _IMAGE.findall(text)}


def plan(
    control_planes: Sequence[str],
    workers: Sequence[str],
    seen: Mapping[str, Mapping[str, Any]],
    wanted: Mapping[str, str],
) -> Plan:
    """`seen`: what each host of this run said of itself; `wanted`: the version of each program of the bundle."""
    version = _one_version(wanted)
    unseen = [host for host in control_planes if host not in seen]
    if unseen:
        raise KubeadmError(
            f"{', '.join(unseen)} is no part of this run. Workers come after all control planes: run without --limit,"
            f" or with --limit control_plane and the workers that are wanted. Nothing was changed."
        )
    broken = [host for host in sorted(seen) if seen[host]["state"] == BEGUN]
    if broken:
        raise KubeadmError(
            f"{', '.join(broken)} is half way into the cluster, as a run was killed. Run playbooks/kubernetes.yml with"
            " the pins of the version that runs, then upgrade. Nothing was changed."
        )
    members = {host: seen[host] for host in sorted(seen) if seen[host]["state"] == MEMBER}
    asks = [host for host in sorted(control_planes) if host in members]
    if not asks:
        raise KubeadmError("no host of control_plane has a cluster. Wanted: playbooks/kubernetes.yml, which makes one")
    for host, found in members.items():
        _refuse(host, found, version)
    why = {host: _why(found, wanted) for host, found in members.items() if host in {*control_planes, *workers}}
    due = [host for host, reason in why.items() if reason]
    applies = next((host for host in due if host in control_planes), "")
    return Plan(version, due, applies, asks[0], {host: why[host] for host in due})


def _one_version(wanted: Mapping[str, str]) -> str:
    version = wanted["kubeadm"]
    others = [f"{part} {wanted[part]}" for part in PARTS if wanted[part] != version]
    if others:
        raise KubeadmError(
            f"the pins of kubeadm ({version}) and of {', '.join(others)} differ; wanted is one version for all. Nothing"
            " was changed."
        )
    return version


def _refuse(host: str, found: Mapping[str, Any], version: str) -> None:
    for name, runs in sorted({**found["servers"], "kubelet": found["kubelet"]}.items()):
        reason = kubernetes_versions.refusal(runs, version)
        if reason:
            raise KubeadmError(
                f"host {host}: {name} is {runs}, the pins say {version}. {reason}. Nothing was changed on any host."
            )


def _why(found: Mapping[str, Any], wanted: Mapping[str, str]) -> str:
    """What there is to do on a host; empty if nothing."""
    parts = {**found["servers"], "kubelet": found["kubelet"]}
    reasons = [f"{name} {runs} -> {wanted['kubeadm']}" for name, runs in parts.items() if runs != wanted["kubeadm"]]
    programs = found["programs"].items()
    reasons += [
        f"{name} {has} -> {wanted[name]}" for name, has in programs if has != wanted[name] and name not in PARTS
    ]
    if found["note"]:
        reasons.append("a run was killed here")
    return ", ".join(reasons)
