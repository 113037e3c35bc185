# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to remove a node from a cluster, and when it may not go. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, List, Mapping, NamedTuple, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_objects
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


class Member(NamedTuple):
    """A member of etcd. `id` is hexadecimal, as etcdctl takes it."""

    id: str
    name: str
    healthy: bool


class Removal(NamedTuple):
    """`empty`: its pods leave first. `member`: the id in etcd that goes. `node`: there is an object to delete."""

    empty: bool
    member: str
    node: bool


def members(listed: Mapping[str, Any], health: Sequence[Mapping[str, Any]]) -> List[Member]:
    """What `etcdctl member list` and `etcdctl endpoint health --cluster` say, joined by address."""
    healthy = {str(one["endpoint"]) for one in health if one.get("health")}
    return [
        Member(f"{member['ID']:x}", str(member.get("name", "")), not healthy.isdisjoint(member.get("clientURLs") or []))
        for member in listed["members"]
    ]


def plan(name: str, hosts: Sequence[str], nodes: Sequence[Mapping[str, Any]], etcd: Sequence[Member]) -> Removal:
    """`hosts`: the control planes and workers of the inventory."""
    by_name = {node["metadata"]["name"]: node for node in nodes}
    node = by_name.get(name)
    member = next((one for one in etcd if one.name == name), None)
    if node is None and member is None:
        if name not in hosts:
            known = ", ".join(sorted({*hosts, *by_name}))
            raise KubeadmError(f"no host of this name is in the inventory or in the cluster; there are {known}")
        return Removal(False, "", False)
    rest = [one for one in control_planes(nodes) if one != name]
    if not rest:
        raise KubeadmError(
            "it is the last control plane: without it there is no cluster. Wanted: another host in control_plane, which"
            " playbooks/kubernetes.yml brings in. Nothing was changed"
        )
    if member:
        _refuse_loss(member, etcd)
    return Removal(node is not None and kubernetes_objects.ready(node), member.id if member else "", node is not None)


def control_planes(nodes: Sequence[Mapping[str, Any]]) -> List[str]:
    return [node["metadata"]["name"] for node in nodes if CONTROL_PLANE in (node["metadata"].get("labels") or {})]


def _refuse_loss(member: Member, etcd: Sequence[Member]) -> None:
    """Etcd has to have more than half of its members, of those that stay."""
    stay = [one for one in etcd if one.id != member.id]
    healthy = [one for one in stay if one.healthy]
    quorum = len(stay) // 2 + 1
    if len(healthy) < quorum:
        broken = ", ".join(one.name or one.id for one in stay if not one.healthy)
        raise KubeadmError(
            f"etcd would lose its quorum: of the {len(stay)} members that stay {len(healthy)} are healthy, wanted are"
            f" {quorum}. Repair or remove {broken} first. Nothing was changed"
        )
