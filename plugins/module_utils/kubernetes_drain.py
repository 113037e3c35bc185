# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods leave a node, and the node takes pods again: who has to go, who stands in the way. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_objects

# On the node, so that the next run knows of a run that was killed, and whether somebody else had cordoned it before.
NOTE = "onprem.dify/emptied"
OURS, THEIRS = "cordoned-by-this-run", "cordoned-before"
MIRROR = "kubernetes.io/config.mirror"

Object = Mapping[str, Any]


def note_of(node: Object) -> str:
    return str((node["metadata"].get("annotations") or {}).get(NOTE, ""))


def leave_patch(node: Object) -> Dict[str, Any]:
    """The merge patch that cordons a node and notes by whom; empty if that is done."""
    if not node["spec"].get("unschedulable"):
        return {"metadata": {"annotations": {NOTE: OURS}}, "spec": {"unschedulable": True}}
    return {} if note_of(node) else {"metadata": {"annotations": {NOTE: THEIRS}}}


def return_patch(node: Object) -> Dict[str, Any]:
    """The merge patch after which a node takes pods again, unless it took none before; empty if that is done."""
    note = note_of(node)
    patch: Dict[str, Any] = {"metadata": {"annotations": {NOTE: None}}} if note else {}
    return {**patch, "spec": {"unschedulable": None}} if note == OURS else patch


# Pods


def title(item: Object) -> str:
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def owner(pod: Object) -> str:
    """The kind of what made a pod, and makes it again elsewhere; empty if nobody does."""
    owners = pod["metadata"].get("ownerReferences") or []
    return next((str(one["kind"]) for one in owners if one.get("controller")), "")


def stays(pod: Object) -> bool:
    """Whether a pod belongs to its node, or has ended."""
    mirror = MIRROR in (pod["metadata"].get("annotations") or {})
    return mirror or owner(pod) == "DaemonSet" or pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def leaving(pods: Sequence[Object]) -> List[Object]:
    return [pod for pod in pods if not stays(pod)]


def unmanaged(pods: Sequence[Object]) -> List[str]:
    """Pods that would be gone for good."""
    return sorted(title(pod) for pod in leaving(pods) if not owner(pod))


def in_the_way(pods: Sequence[Object], budgets: Sequence[Object]) -> List[str]:
    """Each pod that has not left, and why."""
    return sorted(f"{title(pod)} ({_why(pod, budgets)})" for pod in leaving(pods))


def _why(pod: Object, budgets: Sequence[Object]) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return f"it is told to end since {pod['metadata']['deletionTimestamp']} and does not"
    for budget in budgets:
        status = budget.get("status") or {}
        if covers(budget, pod) and status.get("disruptionsAllowed", 0) < 1:
            healthy, needed = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
            return (
                f"PodDisruptionBudget {budget['metadata']['name']} wants {needed} healthy pods and has {healthy},"
                " so none may go"
            )
    return "not evicted yet"


def covers(budget: Object, pod: Object) -> bool:
    selector = budget["spec"].get("selector")
    if selector is None or budget["metadata"].get("namespace") != pod["metadata"].get("namespace"):
        return False
    labels = pod["metadata"].get("labels") or {}
    wanted = selector.get("matchLabels") or {}
    rules = selector.get("matchExpressions") or []
    return all(labels.get(name) == value for name, value in wanted.items()) and all(
        _fits(rule, labels) for rule in rules
    )


def _fits(rule: Object, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(rule["key"]), rule.get("values") or []
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[str(rule["operator"])]


# Health


def amiss(node: Object, pods: Sequence[Object], version: str) -> List[str]:
    """What a node lacks that is to take pods again. Without a version, any will do."""
    name = node["metadata"]["name"]
    found = [] if kubernetes_objects.ready(node) else [f"node {name} is not Ready"]
    runs = str(node["status"]["nodeInfo"]["kubeletVersion"]).lstrip("v")
    if version and runs != version:
        found.append(f"the kubelet of {name} says {runs}, wanted {version}")
    own = [pod for pod in pods if stays(pod) and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
    return found + sorted(f"pod {title(pod)} is not ready" for pod in own if not kubernetes_objects.ready(pod))


def short_of(workloads: Sequence[Object]) -> List[str]:
    """Deployments, StatefulSets and DaemonSets of which not all pods are available."""
    return sorted(f"{item['kind']} {title(item)}" for item in workloads if not _whole(item))


def _whole(item: Object) -> bool:
    status = item.get("status") or {}
    if item["kind"] != "DaemonSet":
        return bool(status.get("availableReplicas", 0) >= item["spec"].get("replicas", 1))
    if (item["spec"].get("updateStrategy") or {}).get("type") != "OnDelete":
        return kubernetes_objects.rolled_out(item)
    return bool(status.get("numberAvailable", 0) >= status.get("desiredNumberScheduled", 0))
