"""What changes in a cluster, and what is left to others."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.kubernetes_objects import (
    NodeWish,
    as_list,
    diff,
    differences,
    failed,
    key_of,
    node_patch,
    own_rollouts,
    ready,
    rolled_out,
    with_certificate,
)

WORKER = {"node-role.kubernetes.io/worker": ""}
TAINT = {"key": "dify", "value": "only", "effect": "NoSchedule"}


def item(kind: str = "ConfigMap", **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "one", "namespace": "here", **fields.pop("metadata", {})}, **fields}


def test_what_the_server_notes_is_no_difference() -> None:
    before = item(metadata={"resourceVersion": "1", "managedFields": []}, status={"ready": 1})
    assert differences([before], [item(metadata={"resourceVersion": "2", "generation": 3})]) == []


def test_what_is_missing_or_different_is_named() -> None:
    found = differences([item(data={"a": "1"})], [item(data={"a": "2"}), item("Secret", metadata={"name": "two"})])
    assert [(str(key), old is None) for key, old, _new in found] == [
        ("here/configmap/one", False),
        ("here/secret/two", True),
    ]


def test_a_secret_is_not_shown() -> None:
    secret = item("Secret", data={"password": "cGFzcw=="})
    shown = diff(key_of(secret), None, secret)
    assert "cGFzcw" not in shown["after"]
    assert shown["before_header"] == "here/secret/one (absent)"


def test_objects_go_in_one_call() -> None:
    assert json.loads(as_list([item()]))["items"] == [item()]


def node(has: Any = None, tainted: Any = None, **notes: str) -> dict[str, Any]:
    annotations = {f"onprem.dify/{name}": value for name, value in notes.items()}
    return {"metadata": {"labels": has or {}, "annotations": annotations}, "spec": {"taints": tainted or []}}


def patched(found: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    metadata = patch.get("metadata", {})
    labels = {**found["metadata"]["labels"], **metadata.get("labels", {})}
    notes = {**found["metadata"]["annotations"], **metadata.get("annotations", {})}
    kept = {name: value for name, value in labels.items() if value is not None}
    taints = patch.get("spec", found["spec"])["taints"]
    return {"metadata": {"labels": kept, "annotations": notes}, "spec": {"taints": taints}}


def test_a_node_gets_its_labels_and_taints_once() -> None:
    found = node({"kubernetes.io/os": "linux"})
    wish = NodeWish(WORKER, [TAINT])
    after = patched(found, node_patch(found, wish))
    assert after["metadata"]["labels"] == {"kubernetes.io/os": "linux", **WORKER}
    assert after["spec"]["taints"] == [TAINT]
    assert node_patch(after, wish) == {}


def test_what_nobody_wants_any_more_goes_and_what_others_set_stays() -> None:
    theirs = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}
    found = node({"disk": "ssd", "mine": "1"}, [theirs, TAINT], labels="mine", taints="dify:NoSchedule")
    after = patched(found, node_patch(found, NodeWish({}, [])))
    assert after["metadata"]["labels"] == {"disk": "ssd"}
    assert after["spec"]["taints"] == [theirs]


def test_a_taint_that_kubernetes_adds_is_no_reason_to_change_anything() -> None:
    wish = NodeWish(WORKER, [TAINT])
    found = node()
    settled = patched(found, node_patch(found, wish))
    settled["spec"]["taints"].append(
        {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule", "timeAdded": "now"}
    )
    assert node_patch(settled, wish) == {}


def test_a_changed_value_is_set() -> None:
    found = node({"tier": "a"}, [TAINT], labels="tier", taints="dify:NoSchedule")
    patch = node_patch(found, NodeWish({"tier": "b"}, [{**TAINT, "value": "other"}]))
    assert patch["metadata"]["labels"] == {"tier": "b"}
    assert patch["spec"]["taints"] == [{**TAINT, "value": "other"}]


def test_a_node_is_ready_when_it_says_so() -> None:
    assert ready({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    assert not ready({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})
    assert not ready({})


def deployment(**status: int) -> dict[str, Any]:
    return {"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status}


DONE = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


def test_a_deployment_is_there_when_all_its_new_pods_are() -> None:
    assert rolled_out(deployment(**DONE))
    assert not rolled_out(deployment(**{**DONE, "observedGeneration": 1}))
    assert not rolled_out(deployment(**{**DONE, "availableReplicas": 1}))
    # An old pod is still there.
    assert not rolled_out(deployment(**{**DONE, "replicas": 3}))
    assert not rolled_out(deployment())


def test_a_daemonset_is_there_when_it_is_on_every_node() -> None:
    status = {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}
    daemon = {"kind": "DaemonSet", "metadata": {"generation": 2}, "status": status}
    assert rolled_out(daemon)
    assert not rolled_out({**daemon, "status": {**status, "numberAvailable": 1}})


def job(*conditions: str) -> dict[str, Any]:
    said = [{"type": condition, "status": "True"} for condition in conditions]
    return {"kind": "Job", "metadata": {"namespace": "dify", "name": "migration-1"}, "status": {"conditions": said}}


def test_a_job_is_there_when_it_is_done_and_has_failed_when_it_says_so() -> None:
    assert rolled_out(job("SuccessCriteriaMet", "Complete"))
    assert not rolled_out(job())
    assert not rolled_out(job("Failed"))
    assert failed(job("FailureTarget", "Failed"))
    assert not failed(job("Complete"))
    assert not failed(deployment(**DONE))


def test_what_has_pods_is_waited_for() -> None:
    kinds = ("Namespace", "Deployment", "Job", "PodDisruptionBudget")
    items = [{"kind": kind, "metadata": {"namespace": "dify", "name": "api"}} for kind in kinds]
    assert own_rollouts(items) == ["dify/deployment/api", "dify/job/api"]


def workload(name: str) -> dict[str, Any]:
    template = {"metadata": {"annotations": {"onprem.dify/settings": "1"}}}
    return {"kind": "Deployment", "metadata": {"namespace": "dify", "name": name}, "spec": {"template": template}}


def test_a_certificate_becomes_a_secret_and_starts_those_anew_that_use_it() -> None:
    given = [workload("router"), workload("api")]

    def certified(certificate: str) -> list[dict[str, Any]]:
        files = {"tls.crt": certificate, "tls.key": "key"}
        return with_certificate(given, "dify/router-tls", "dify/deployment/router", files)

    secret, router, api = certified("one")
    assert (secret["metadata"], secret["type"]) == ({"namespace": "dify", "name": "router-tls"}, "kubernetes.io/tls")
    assert secret["data"] == {"tls.crt": "b25l", "tls.key": "a2V5"}
    assert api == given[1]
    assert router["spec"]["template"]["metadata"]["annotations"]["onprem.dify/settings"] == "1"
    assert router == certified("one")[1] != certified("two")[1]
    assert given[0] == workload("router")
