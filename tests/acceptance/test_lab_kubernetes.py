"""Nodes of the lab run Kubernetes: by hand, with kubeadm alone, as the ground that the collection is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import plain_kubeadm, pods, scratch
from lab.cgroups import members_of
from lab.cluster import Cluster
from lab.plain_kubeadm import Plain
from lab.system import wait_until

NODES = ["cp1", "worker1", "worker2"]
CLIENTS = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agnhost}
spec:
  selector: {matchLabels: {app: agnhost}}
  template:
    metadata: {labels: {app: agnhost}}
    spec:
      containers: [{name: agnhost, image: %s, args: [netexec, --http-port=8080]}]
---
apiVersion: v1
kind: Service
metadata: {name: agnhost}
spec: {selector: {app: agnhost}, ports: [{port: 80, targetPort: 8080}]}
"""


def of_the_computer() -> dict[str, str]:
    """What no node may change."""
    settings = {
        name: (Path("/proc/sys") / name).read_text() for name in (*pods.SETTINGS, "net/netfilter/nf_conntrack_max")
    }
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup" in line]
    return {**settings, "mounts of cgroups": "\n".join(mounts)}


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return of_the_computer()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, before: dict[str, str]) -> Iterator[scratch.Site]:
    folder = scratch.copy_of_example(tmp_path_factory.mktemp("plain"), "k8splain", "87", NODES)
    with scratch.running(scratch.with_kubernetes(folder)) as site:
        yield site


@pytest.fixture(scope="module")
def cluster(site: scratch.Site) -> Cluster:
    """A cluster that is Ready, and clients on its workers; how long it took stands in the logs of the lab."""
    cluster = Cluster(site.lab)
    plain = Plain(cluster)
    plain.prepare()
    plain_kubeadm.record(plain.start())
    cluster.apply(CLIENTS % plain.image("agnhost"))
    wait_until(lambda: not cluster.unfinished(), 60, "clients on the workers", pause=0.5)
    return cluster


@pytest.fixture(scope="module")
def clients(cluster: Cluster) -> dict[str, dict[str, str]]:
    """Pods of the clients by the host on which they run."""
    found = cluster.items("pods -l app=agnhost")
    return {
        pod["spec"]["nodeName"]: {"name": pod["metadata"]["name"], "address": pod["status"]["podIP"]} for pod in found
    }


def test_three_prepared_nodes_are_a_cluster_within_two_minutes(cluster: Cluster) -> None:
    assert cluster.ready() == len(NODES)
    assert plain_kubeadm.recorded()["seconds_to_ready"] < 120


def test_pods_reach_each_other_across_nodes(cluster: Cluster, clients: dict[str, dict[str, str]]) -> None:
    assert sorted(clients) == ["worker1", "worker2"]
    there = clients["worker2"]
    answer = cluster.exec(
        clients["worker1"]["name"], f"curl --silent --show-error --max-time 5 http://{there['address']}:8080/hostname"
    )
    assert answer == there["name"]


def test_a_service_is_found_by_its_name(cluster: Cluster, clients: dict[str, dict[str, str]]) -> None:
    answers = {
        cluster.exec(
            clients["worker1"]["name"],
            "curl --silent --show-error --max-time 5 http://agnhost.default.svc.cluster.local/hostname",
        )
        for _ in range(12)
    }
    assert answers == {pod["name"] for pod in clients.values()}


@pytest.mark.parametrize("how", ["kill", "systemctl poweroff"])
def test_a_worker_comes_back_after_a_boot(site: scratch.Site, cluster: Cluster, how: str) -> None:
    if how == "kill":
        assert site.command("kill", "worker2").returncode == 0
    else:
        cluster.run(site.lab.host("worker2"), how)
        wait_until(lambda: not members_of(site.lab.name).running("worker2"), 120, "worker2 is off", pause=0.5)
    assert site.command("start", "worker2").returncode == 0
    wait_until(lambda: cluster.ready_since_boot("worker2"), 90, "worker2 is Ready again", pause=1)
    wait_until(lambda: not cluster.unfinished(), 120, "its pods run", pause=1)


def test_the_computer_stays_as_it_is(cluster: Cluster, before: dict[str, str]) -> None:
    for host in cluster.hosts:
        assert cluster.run(host, "date --set=2030-01-01").returncode != 0
        assert cluster.run(host, "echo 1 > /proc/sys/kernel/sysrq").returncode != 0
    assert of_the_computer() == before


def test_nothing_of_the_pods_stays(site: scratch.Site, cluster: Cluster) -> None:
    members = members_of(site.lab.name)
    site.down()
    assert not any(members.running(name) for name in NODES)
    folders = [folder for name in NODES for folder in members.folders(name)]
    assert [str(folder) for folder in folders if folder.exists()] == []
    assert not site.lab.state.exists()
