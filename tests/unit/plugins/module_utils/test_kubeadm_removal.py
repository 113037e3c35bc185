"""What it takes to remove a node, and when it may not go."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_removal import (
    CONTROL_PLANE,
    Member,
    Removal,
    members,
    plan,
)
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError

HOSTS = ("cp1", "cp2", "cp3", "worker1")


def node(name: str, ready: bool = True) -> dict[str, Any]:
    labels = {CONTROL_PLANE: ""} if name.startswith("cp") else {}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": name, "labels": labels}, "status": {"conditions": conditions}}


def etcd(*healthy: bool) -> list[Member]:
    return [Member(f"{number}a", f"cp{number}", well) for number, well in enumerate(healthy, 1)]


NODES = [node(name) for name in HOSTS]
WELL = etcd(True, True, True)


def test_a_worker_is_emptied_and_deleted() -> None:
    assert plan("worker1", HOSTS, NODES, WELL) == Removal(empty=True, member="", node=True)


def test_the_first_control_plane_goes_like_any_other() -> None:
    assert plan("cp1", HOSTS, NODES, WELL) == Removal(empty=True, member="1a", node=True)


def test_nobody_waits_for_the_pods_of_a_node_that_does_not_answer() -> None:
    nodes = [node("worker1", ready=False), *NODES[:3]]
    assert plan("worker1", HOSTS, nodes, WELL) == Removal(empty=False, member="", node=True)


def test_a_run_that_was_killed_half_way_is_finished() -> None:
    gone_from_etcd = WELL[1:]
    assert plan("cp1", HOSTS, NODES, gone_from_etcd) == Removal(empty=True, member="", node=True)
    assert plan("cp1", HOSTS, NODES[1:], gone_from_etcd) == Removal(empty=False, member="", node=False)


def test_a_host_that_the_inventory_has_and_the_cluster_not_is_gone_already() -> None:
    assert plan("worker1", HOSTS, NODES[:3], WELL) == Removal(False, "", False)


def test_a_name_that_nobody_knows_is_refused_with_those_there_are() -> None:
    with pytest.raises(KubeadmError, match=r"no host of this name .* there are cp1, cp2, cp3, worker1"):
        plan("wroker1", HOSTS, NODES, WELL)


def test_the_last_control_plane_is_refused() -> None:
    with pytest.raises(KubeadmError, match="it is the last control plane"):
        plan("cp1", HOSTS, [node("cp1"), node("worker1")], etcd(True))


def test_a_healthy_member_stays_while_another_is_broken() -> None:
    with pytest.raises(KubeadmError, match=r"of the 2 members that stay 1 are healthy, wanted are 2. .* remove cp3"):
        plan("cp1", HOSTS, NODES, etcd(True, True, False))


def test_the_broken_member_may_go() -> None:
    assert plan("cp3", HOSTS, NODES, etcd(True, True, False)).member == "3a"


def test_of_two_members_one_may_go() -> None:
    assert plan("cp2", HOSTS, NODES[:2], etcd(True, True)).member == "2a"
    with pytest.raises(KubeadmError, match="quorum"):
        plan("cp2", HOSTS, NODES[:2], etcd(False, True))


def test_members_are_joined_with_their_health_by_address() -> None:
    listed = {
        "members": [
            {"ID": 10276657743932975437, "name": "cp1", "clientURLs": ["https://10.0.2.11:2379"]},
            {"ID": 2, "name": "cp2", "clientURLs": ["https://10.0.2.12:2379"]},
        ]
    }
    health = [{"endpoint": "https://10.0.2.11:2379", "health": True}, {"endpoint": "https://10.0.2.12:2379"}]
    assert members(listed, health) == [Member("8e9e05c52164694d", "cp1", True), Member("2", "cp2", False)]
