"""Which hosts are upgraded, and what is refused before anything is touched."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_upgrade import PARTS, Plan, plan, servers

OLD, NEW = "1.35.8", "1.36.4"
WANTED = {**dict.fromkeys(PARTS, NEW), "containerd": "2.3.4"}


def host(version: str = OLD, control_plane: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "state": "member",
        "kubelet": version,
        "servers": {"kube-apiserver": version, "kube-scheduler": version} if control_plane else {},
        "programs": {"containerd": "2.3.4", "kubelet": version},
        "note": "",
        **more,
    }


def cluster(**hosts: Any) -> dict[str, Any]:
    return {"cp1": host(control_plane=True), "worker1": host(), "worker2": host(), **hosts}


def planned(seen: Any = None, wanted: Any = None, control_planes: Any = ("cp1",)) -> Plan:
    workers = ["worker1", "worker2"]
    return plan(control_planes, workers, cluster() if seen is None else seen, wanted or WANTED)


def test_a_cluster_of_the_version_before_is_upgraded_on_every_host() -> None:
    found = planned()
    assert (found.version, found.due) == (NEW, ["cp1", "worker1", "worker2"])
    assert (found.applies, found.asks) == ("cp1", "cp1")
    assert found.why["worker1"] == "kubelet 1.35.8 -> 1.36.4"


def test_a_cluster_of_the_wanted_version_is_left_alone() -> None:
    done = {"cp1": host(NEW, control_plane=True), "worker1": host(NEW), "worker2": host(NEW)}
    assert planned(done).due == []


def test_the_rest_of_a_killed_run_is_done() -> None:
    seen = cluster(cp1=host(NEW, control_plane=True), worker1=host(NEW, note="cordoned-by-this-run"))
    found = planned(seen)
    assert (found.due, found.applies) == (["worker1", "worker2"], "")
    assert found.why["worker1"] == "a run was killed here"


def test_a_control_plane_whose_servers_are_of_two_versions_is_due() -> None:
    half = host(NEW, control_plane=True, servers={"kube-apiserver": NEW, "kube-scheduler": OLD})
    assert planned(cluster(cp1=half)).why["cp1"] == "kube-scheduler 1.35.8 -> 1.36.4"


def test_a_new_containerd_alone_is_a_reason() -> None:
    found = planned(cluster(cp1=host(NEW, control_plane=True), worker1=host(NEW), worker2=host(NEW)))
    assert found.due == []
    older = host(NEW, programs={"containerd": "2.3.3", "kubelet": NEW})
    found = planned({"cp1": host(NEW, control_plane=True), "worker1": older, "worker2": host(NEW)})
    assert found.why == {"worker1": "containerd 2.3.3 -> 2.3.4"}


def test_the_first_control_plane_that_is_due_upgrades_the_cluster() -> None:
    seen = cluster(cp1=host(NEW, control_plane=True), cp2=host(control_plane=True), cp3=host(control_plane=True))
    assert planned(seen, control_planes=("cp1", "cp2", "cp3")).applies == "cp2"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("1.37.0", r"host cp1: kube-apiserver is 1.37.0, the pins say 1.36.4. Kubernetes does not go back"),
        ("1.34.9", r"host cp1: kube-apiserver is 1.34.9, .* one minor version at a time: 1.35 comes next"),
    ],
)
def test_a_downgrade_and_too_large_a_step_are_refused(found: str, said: str) -> None:
    with pytest.raises(KubeadmError, match=said):
        planned(cluster(cp1=host(found, control_plane=True)))


def test_pins_that_differ_are_refused() -> None:
    with pytest.raises(KubeadmError, match=r"the pins of kubeadm \(1.36.4\) and of kubelet 1.36.3 differ"):
        planned(wanted={**WANTED, "kubelet": "1.36.3"})


def test_a_run_without_all_control_planes_is_refused() -> None:
    with pytest.raises(KubeadmError, match=r"cp2 is no part of this run"):
        planned(control_planes=("cp1", "cp2"))


def test_a_join_that_was_broken_off_comes_first() -> None:
    with pytest.raises(KubeadmError, match=r"worker2 is half way into the cluster"):
        planned(cluster(worker2=host(state="begun")))


def test_without_a_cluster_there_is_nothing_to_upgrade() -> None:
    fresh = {"state": "fresh", "kubelet": "", "servers": {}, "programs": {}, "note": ""}
    with pytest.raises(KubeadmError, match="no host of control_plane has a cluster"):
        planned({"cp1": fresh})


def test_a_host_that_is_still_to_come_in_is_left_out() -> None:
    fresh = {"state": "fresh", "kubelet": "", "servers": {}, "programs": {}, "note": ""}
    assert planned(cluster(worker2=fresh)).due == ["cp1", "worker1"]


def test_versions_of_servers_are_read_from_their_manifests() -> None:
    api = "spec:\n  containers:\n    image: registry.k8s.io/kube-apiserver:v1.35.8\n"
    etcd = "    image: registry.k8s.io/etcd:3.6.14-0\n"
    assert servers([api, etcd]) == {"kube-apiserver": "1.35.8"}
