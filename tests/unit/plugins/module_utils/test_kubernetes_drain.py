"""Who has to leave a node, who stands in the way, and when it may be used again."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_drain as drain


def node(note: str = "", cordoned: bool = False, ready: bool = True, version: str = "1.36.4") -> dict[str, Any]:
    return {
        "metadata": {"name": "worker1", "annotations": {drain.NOTE: note} if note else {}},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {
            "nodeInfo": {"kubeletVersion": f"v{version}"},
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def pod(name: str = "web-1", owner: str = "ReplicaSet", ready: bool = True, **more: Any) -> dict[str, Any]:
    owners = [{"kind": owner, "controller": True}] if owner else []
    return {
        "metadata": {"namespace": "shop", "name": name, "labels": {"app": "web"}, "ownerReferences": owners, **more},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


def budget(allowed: int, **selector: Any) -> dict[str, Any]:
    status = {"disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1}
    return {
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"selector": selector or {"matchLabels": {"app": "web"}}},
        "status": status,
    }


def after(one: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The node as the API makes it of a merge patch."""
    notes = {**one["metadata"]["annotations"], **patch.get("metadata", {}).get("annotations", {})}
    spec = {**one["spec"], **patch.get("spec", {})}
    return {
        **one,
        "metadata": {**one["metadata"], "annotations": {key: value for key, value in notes.items() if value}},
        "spec": {key: value for key, value in spec.items() if value},
    }


@pytest.mark.parametrize("cordoned", [False, True])
def test_a_node_is_afterwards_what_it_was_before(cordoned: bool) -> None:
    before = node(cordoned=cordoned)
    emptied = after(before, drain.leave_patch(before))
    assert emptied["spec"] == {"unschedulable": True}
    assert drain.leave_patch(emptied) == {}
    assert after(emptied, drain.return_patch(emptied)) == before


def test_a_node_that_a_killed_run_left_empty_is_used_again() -> None:
    left = node(note=drain.OURS, cordoned=True)
    assert drain.leave_patch(left) == {}
    assert after(left, drain.return_patch(left)) == node()


def test_a_node_that_somebody_uncordoned_in_between_is_emptied_again_and_comes_back() -> None:
    touched = node(note=drain.THEIRS)
    emptied = after(touched, drain.leave_patch(touched))
    assert emptied["spec"] == {"unschedulable": True}
    assert after(emptied, drain.return_patch(emptied))["spec"] == {}


def test_a_node_without_a_note_is_not_touched_when_it_is_to_be_used() -> None:
    assert drain.return_patch(node(cordoned=True)) == {}


def test_pods_of_the_node_itself_and_those_that_ended_stay() -> None:
    ended = pod("job")
    ended["status"]["phase"] = "Succeeded"
    mirror = pod("etcd", owner="Node", annotations={drain.MIRROR: "x"})
    assert drain.leaving([pod("flannel", owner="DaemonSet"), mirror, ended, pod()]) == [pod()]


def test_a_pod_that_nobody_makes_again_is_named() -> None:
    assert drain.unmanaged([pod(), pod("alone", owner=""), pod("flannel", owner="DaemonSet")]) == ["shop/alone"]


def test_the_budget_that_keeps_a_pod_is_named_with_its_figures() -> None:
    (line,) = drain.in_the_way([pod()], [budget(0)])
    assert line == "shop/web-1 (PodDisruptionBudget web wants 1 healthy pods and has 1, so none may go)"
    assert drain.in_the_way([pod()], [budget(1)]) == ["shop/web-1 (not evicted yet)"]


def test_a_pod_that_does_not_end_is_named_with_the_time() -> None:
    (line,) = drain.in_the_way([pod(deletionTimestamp="2026-01-01T00:00:00Z")], [budget(0)])
    assert "told to end since 2026-01-01T00:00:00Z" in line


@pytest.mark.parametrize(
    ("operator", "values", "covered"),
    [("In", ["web"], True), ("NotIn", ["web"], False), ("Exists", None, True), ("DoesNotExist", None, False)],
)
def test_budgets_select_by_expressions_too(operator: str, values: Any, covered: bool) -> None:
    rule = {"key": "app", "operator": operator, **({"values": values} if values else {})}
    assert drain.covers(budget(0, matchExpressions=[rule]), pod()) is covered


def test_a_budget_covers_its_own_namespace_only() -> None:
    assert not drain.covers({**budget(0), "metadata": {"namespace": "other", "name": "web"}}, pod())


def test_a_node_is_well_when_it_and_its_own_pods_are_ready_in_the_wanted_version() -> None:
    own = pod("flannel", owner="DaemonSet")
    assert drain.amiss(node(), [own, pod(ready=False)], "1.36.4") == []
    assert drain.amiss(node(), [], "") == []
    assert drain.amiss(node(ready=False), [], "1.36.4") == ["node worker1 is not Ready"]
    assert drain.amiss(node(version="1.35.8"), [], "1.36.4") == ["the kubelet of worker1 says 1.35.8, wanted 1.36.4"]
    broken = pod("flannel", owner="DaemonSet", ready=False)
    assert drain.amiss(node(), [broken], "") == ["pod shop/flannel is not ready"]


def test_workloads_that_are_short_of_pods_are_named() -> None:
    def workload(wished: int, available: int) -> dict[str, Any]:
        return {
            "kind": "Deployment",
            "metadata": {"namespace": "shop", "name": f"web{wished}"},
            "spec": {"replicas": wished},
            "status": {"availableReplicas": available} if available else {},
        }

    assert drain.short_of([workload(2, 1), workload(0, 0), workload(3, 3)]) == ["Deployment shop/web2"]


def test_a_daemonset_is_whole_when_its_new_pods_are_there_unless_they_wait_to_be_deleted() -> None:
    def daemons(strategy: str, updated: int, available: int) -> dict[str, Any]:
        status = {"desiredNumberScheduled": 2, "updatedNumberScheduled": updated, "numberAvailable": available}
        spec = {"updateStrategy": {"type": strategy}}
        metadata = {"namespace": "kube-system", "name": "kube-proxy"}
        return {"kind": "DaemonSet", "metadata": metadata, "spec": spec, "status": status}

    named = ["DaemonSet kube-system/kube-proxy"]
    assert drain.short_of([daemons("RollingUpdate", 2, 2)]) == []
    assert drain.short_of([daemons("RollingUpdate", 1, 2)]) == named
    assert drain.short_of([daemons("OnDelete", 0, 2)]) == []
    assert drain.short_of([daemons("OnDelete", 2, 1)]) == named
