"""What has to start anew on a control plane whose settings have changed."""

from __future__ import annotations

import json

from ansible_collections.onprem.dify.plugins.module_utils import kubeadm_manifests as manifests

AS_THEY_ARE = dict.fromkeys(manifests.PODS, "as it is\n")


def test_nothing_starts_anew_where_nothing_has_changed() -> None:
    assert manifests.differing(AS_THEY_ARE, {**AS_THEY_ARE, "etcd": "of its own"}) == []


def test_the_api_server_starts_before_those_that_work_by_it() -> None:
    wanted = dict.fromkeys(manifests.PODS, "another\n")
    assert manifests.differing(wanted, AS_THEY_ARE) == ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    assert manifests.differing({**AS_THEY_ARE, "kube-scheduler": "another\n"}, AS_THEY_ARE) == ["kube-scheduler"]


def test_a_pod_that_is_missing_comes_back() -> None:
    found = {pod: text for pod, text in AS_THEY_ARE.items() if pod != "kube-scheduler"}
    assert manifests.differing(AS_THEY_ARE, found) == ["kube-scheduler"]
    assert manifests.diff("kube-scheduler", found, AS_THEY_ARE)["before"] == ""


def test_what_kubeadm_remembered_is_written_over_what_it_remembers_now() -> None:
    metadata = {"name": "kubeadm-config", "namespace": "kube-system", "resourceVersion": "7", "uid": "1"}
    printed = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}})
    written = json.loads(manifests.again(printed))
    assert written["metadata"] == {"name": "kubeadm-config", "namespace": "kube-system"}
    assert written["data"] == {"a": "b"}
