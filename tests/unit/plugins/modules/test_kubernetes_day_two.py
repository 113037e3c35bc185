"""What is asked and told when a host is emptied, upgraded and removed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_drain, kubernetes_evict
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import Access, Found, KubeadmError
from ansible_collections.onprem.dify.plugins.modules import (
    kubeadm_reset,
    kubeadm_upgrade,
    kubeadm_version,
    kubernetes_remove,
)

OURS = Access("bank", "https://10.0.2.10:8443", "aa")
NODE = {
    "kind": "Node",
    "metadata": {"name": "worker1"},
    "spec": {},
    "status": {
        "nodeInfo": {"kubeletVersion": "v1.36.4"},
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}
POD = {
    "kind": "Pod",
    "metadata": {
        "namespace": "shop",
        "name": "web-1",
        "labels": {"app": "web"},
        "ownerReferences": [{"kind": "ReplicaSet", "controller": True}],
    },
    "status": {"phase": "Running"},
}
BUDGET = {
    "kind": "PodDisruptionBudget",
    "metadata": {"namespace": "shop", "name": "web"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}},
    "status": {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1},
}


def items(*found: Any) -> str:
    return json.dumps({"kind": "List", "items": list(found)})


class Api:
    """Instead of a host with kubectl: answers by the first words that fit, and writes down what is changed."""

    installed = True

    def __init__(self, **answers: Any) -> None:
        self.answers = {"get node ": json.dumps(NODE), "get nodes": items(NODE), **answers}
        self.done: list[str] = []
        self.refuses: tuple[str, ...] = ()
        self.now = Found(kubelet=OURS)

    def found(self) -> Found:
        return self.now

    def try_kubectl(self, *words: str, access: Any = None, data: str = "") -> tuple[int, str, str]:
        line = " ".join(words)
        if words[0] != "get":
            self.done.append(line)
        if line.startswith("drain") and not self.refuses:
            self.answers["get pods"] = items()
        if any(part in line for part in self.refuses):
            return 1, "", f"refused: {line}"
        return 0, next((text for part, text in self.answers.items() if part in line), items()), ""

    def kubectl(self, *words: str, access: Any = None, data: str = "") -> str:
        code, out, err = self.try_kubectl(*words)
        if code:
            raise KubeadmError(err)
        return out

    def kubeadm(self, *words: str) -> str:
        self.done.append(f"kubeadm {' '.join(words)}")
        return ""

    def wait_for(self, what: str, seconds: float, *words: str, access: Any = None) -> None:
        self.done.append(f"wait {words[-1]}")

    @contextlib.contextmanager
    def configuration(self, documents: Any) -> Iterator[Path]:
        yield Path("/run/configuration")


def empty(api: Api, **more: Any) -> dict[str, Any]:
    return kubernetes_evict.empty(api, "worker1", **{"patience": 5, "settle": 0, **more})


def test_a_node_is_cordoned_before_its_pods_are_evicted() -> None:
    api = Api(**{"get pods": items(POD)})
    assert empty(api)["evicted"] == ["shop/web-1"]
    assert [line.split()[0] for line in api.done] == ["patch", "drain"]
    assert kubernetes_drain.OURS in api.done[0]


def test_the_pod_that_stands_in_the_way_is_named_when_the_time_is_over() -> None:
    api = Api(**{"get pods": items(POD), "get poddisruptionbudgets": items(BUDGET)})
    with pytest.raises(KubeadmError, match=r"after 0 s .*shop/web-1 \(PodDisruptionBudget web wants 1 .*run again"):
        empty(api, patience=0)


def test_nothing_is_touched_where_a_pod_would_be_gone_for_good() -> None:
    alone = {**POD, "metadata": {"namespace": "shop", "name": "alone"}}
    api = Api(**{"get pods": items(alone)})
    with pytest.raises(KubeadmError, match="nobody would make shop/alone again"):
        empty(api)
    assert api.done == []


def test_check_mode_touches_nothing() -> None:
    api = Api(**{"get pods": items(POD)})
    assert empty(api, check_mode=True)["changed"]
    kubernetes_evict.use(api, "worker1", 0, "1.36.4", [], check_mode=True)
    assert api.done == []
    cluster = Api(**ETCD)
    assert kubernetes_remove.remove(cluster, PARAMS, check_mode=True)
    assert not [line for line in cluster.done if "remove" in line or line.startswith(("delete", "patch"))]


def test_an_empty_node_is_used_again_once_it_is_well() -> None:
    emptied = {
        **NODE,
        "metadata": {"name": "worker1", "annotations": {kubernetes_drain.NOTE: kubernetes_drain.OURS}},
        "spec": {"unschedulable": True},
    }
    api = Api(**{"get node ": json.dumps(emptied)})
    assert kubernetes_evict.use(api, "worker1", 0, "1.36.4", [])["changed"]
    with pytest.raises(KubeadmError, match=r"after 0 s the kubelet of worker1 says 1.36.4, wanted 1.36.5. No further"):
        kubernetes_evict.use(api, "worker1", 0, "1.36.5", [])


def test_an_api_that_is_on_its_way_back_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    api.refuses = ("get nodes",)
    monkeypatch.setattr(kubernetes_evict.time, "sleep", lambda _seconds: setattr(api, "refuses", ()))
    assert json.loads(kubernetes_evict.ask(api, "get", "nodes"))["kind"] == "List"
    api.refuses = ("get nodes",)
    with pytest.raises(KubeadmError, match=r"kubectl get nodes: refused"):
        kubernetes_evict.ask(api, "get", "nodes", away=0)


def test_workloads_that_were_short_before_are_not_waited_for() -> None:
    deployment = {"kind": "Deployment", "metadata": {"namespace": "shop", "name": "web"}, "spec": {"replicas": 2}}
    api = Api(**{"get daemonsets,deployments": items(deployment)})
    assert empty(api)["short"] == ["Deployment shop/web"]
    kubernetes_evict.use(api, "worker1", 0, "", ["Deployment shop/web"])
    with pytest.raises(KubeadmError, match="Deployment shop/web has not all its pods"):
        kubernetes_evict.use(api, "worker1", 0, "", [])


def upgrade(api: Api, **more: Any) -> list[str]:
    params = {"version": "1.36.4", "control_plane": True, "documents": [], "ignore_preflight_errors": ["Swap"]}
    kubeadm_upgrade.run(api, {**params, "patience": 1, **more})
    return [" ".join(line.split()[:3]) for line in api.done]


def test_the_first_control_plane_upgrades_the_cluster_and_the_others_themselves() -> None:
    wait = "wait --raw=/readyz"
    assert upgrade(Api(), documents=[{}]) == ["kubeadm init phase", "kubeadm upgrade apply", wait]
    assert upgrade(Api()) == ["kubeadm upgrade node", wait]
    assert upgrade(Api(), control_plane=False) == ["kubeadm upgrade node"]


def test_a_host_says_what_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeadm_version, "KUBERNETES", tmp_path)
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/kube-apiserver.yaml").write_text("    image: registry.k8s.io/kube-apiserver:v1.35.8\n")
    api = Api()
    api.now = Found(kubelet=OURS, manifests=["kube-apiserver.yaml"])
    seen = kubeadm_version.see(api, {"name": "worker1", "programs": [], "patience": 1})
    assert (seen["state"], seen["kubelet"], seen["note"]) == ("member", "1.36.4", "")
    assert seen["servers"] == {"kube-apiserver": "1.35.8"}
    api.now = Found(record="join", kubelet=OURS)
    assert kubeadm_version.see(api, {"name": "worker1", "programs": [], "patience": 1})["state"] == "begun"


PARAMS = {"name": "cp2", "asks": "cp1", "hosts": ["cp1", "cp2"], "patience": 5}
PLANES = [
    {**NODE, "metadata": {"name": name, "labels": {"node-role.kubernetes.io/control-plane": ""}}}
    for name in ("cp1", "cp2")
]
URLS = {name: f"https://{name}:2379" for name in ("cp1", "cp2")}
ETCD = {
    "get nodes": items(*PLANES),
    "member list": json.dumps(
        {
            "members": [
                {"ID": number, "name": name, "clientURLs": [url]} for number, (name, url) in enumerate(URLS.items(), 10)
            ]
        }
    ),
    "endpoint health": json.dumps([{"endpoint": url, "health": True} for url in URLS.values()]),
}


def test_a_control_plane_leaves_etcd_before_its_node_is_deleted() -> None:
    api = Api(**ETCD)
    done = kubernetes_remove.remove(api, PARAMS, check_mode=False)
    assert done == ["pods evicted", "removed from etcd", "removed from the cluster"]
    changes = [line for line in api.done if "member remove" in line or line.startswith(("delete", "patch"))]
    assert [line.split()[0] for line in changes] == ["patch", "exec", "delete"]
    assert changes[1].endswith("member remove b")


def test_a_control_plane_does_not_remove_itself() -> None:
    with pytest.raises(KubeadmError, match="only this host itself could be asked"):
        kubernetes_remove.remove(Api(**ETCD), {**PARAMS, "name": "cp1"}, check_mode=False)


def test_a_host_that_is_still_a_node_is_not_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeadm_reset, "KUBELET", tmp_path / "kubelet.conf")
    kubeadm_reset.refuse_member(Api(), "worker1")
    (tmp_path / "kubelet.conf").touch()
    with pytest.raises(KubeadmError, match="it is a node of its cluster"):
        kubeadm_reset.refuse_member(Api(), "worker1")
    gone = Api()
    gone.refuses = ("get node worker1",)
    kubeadm_reset.refuse_member(gone, "worker1")


def test_links_that_lead_nowhere_are_found_and_directories_go_with_all_in_them(tmp_path: Path) -> None:
    (tmp_path / "kubelet").symlink_to("kubelet-1.36.4")
    (tmp_path / "kubelet-1.35.8/bin").mkdir(parents=True)
    assert kubeadm_reset.matching(tmp_path / "kubelet") == [tmp_path / "kubelet"]
    assert kubeadm_reset.matching(tmp_path / "kubelet-*") == [tmp_path / "kubelet-1.35.8"]
    assert kubeadm_reset.matching(tmp_path / "containerd") == []
    for path in (tmp_path / "kubelet", tmp_path / "kubelet-1.35.8"):
        kubeadm_reset.remove(path)
    assert list(tmp_path.iterdir()) == []
