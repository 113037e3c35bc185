"""Who reaches whom: pods, services, names, nodes, with firewalld running and policies enforced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"
NODES = ("cp1", "worker1")
PORT = 8080


def pod(name: str, node: str, arguments: list[str]) -> dict[str, Any]:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "tried", "labels": {"app": name.partition("-")[0]}},
        "spec": {
            "nodeName": node,
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65534,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{"name": "agnhost", "image": IMAGE, "args": arguments, "securityContext": security}],
        },
    }


def service(name: str, **more: Any) -> dict[str, Any]:
    spec = {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": PORT}], **more}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "tried"}, "spec": spec}


def policy(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "tried"},
        "spec": {"podSelector": {}, **spec},
    }


DENY = policy("deny", policyTypes=["Ingress"])
ALLOW = policy(
    "allow",
    podSelector={"matchLabels": {"app": "server"}},
    ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}],
)


@pytest.fixture(scope="module")
def pods(site) -> Iterator[dict[str, str]]:
    """Addresses of a server and a client on each node."""
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tried"}},
        *(pod(f"server-{node}", node, ["netexec", f"--http-port={PORT}"]) for node in NODES),
        *(pod(f"client-{node}", node, ["pause"]) for node in NODES),
        service("server"),
    ]
    site.kubectl("apply --filename=-", json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    try:
        site.kubectl("wait pod --all --namespace=tried --for=condition=Ready --timeout=120s")
        found = site.objects("pods --namespace=tried")
        yield {entry["metadata"]["name"]: entry["status"]["podIP"] for entry in found}
    finally:
        site.kubectl("delete namespace tried --timeout=60s")


def connects(site, client: str, address: str) -> bool:
    done = site.try_kubectl(f"exec --namespace=tried client-{client} -- /agnhost connect --timeout=3s {address}")
    assert done.returncode == 0 or any(word in done.stderr for word in ("TIMEOUT", "REFUSED")), done.stderr
    return bool(done.returncode == 0)


@pytest.mark.parametrize("client", NODES)
@pytest.mark.parametrize("server", NODES)
def test_pods_reach_each_other_on_the_same_and_on_another_node(site, pods, client, server):
    assert connects(site, client, f"{pods[f'server-{server}']}:{PORT}")


@pytest.mark.parametrize("client", NODES)
def test_a_service_is_found_by_its_name(site, pods, client):
    assert connects(site, client, "server.tried.svc.cluster.local:80")


@pytest.mark.parametrize("client", NODES)
def test_pods_reach_the_api(site, pods, client):
    assert connects(site, client, "kubernetes.default.svc.cluster.local:443")


@pytest.mark.parametrize("host", NODES)
@pytest.mark.parametrize("server", NODES)
def test_a_node_reaches_the_pods(site, pods, host, server):
    address = f"http://{pods[f'server-{server}']}:{PORT}/hostname"
    assert site.root(host, f"curl --silent --max-time 5 {address}") == f"server-{server}"


@pytest.mark.parametrize("client", NODES)
def test_pods_reach_neither_ssh_nor_etcd_of_a_node(site, pods, client):
    for node in NODES:
        assert not connects(site, client, f"{site.lab.host(node).address}:22")
    assert not connects(site, client, f"{site.lab.host('cp1').address}:2379")


@pytest.mark.parametrize("client", NODES)
def test_what_a_policy_denies_is_denied_on_every_node_and_what_it_allows_passes(site, pods, client):
    others = [f"{pods[f'client-{node}']}:{PORT}" for node in NODES]
    servers = [f"{pods[f'server-{node}']}:{PORT}" for node in NODES]
    assert all(connects(site, client, server) for server in servers)
    try:
        site.kubectl("apply --filename=-", json.dumps(DENY))
        wait_until(lambda: not any(connects(site, client, server) for server in servers))
        site.kubectl("apply --filename=-", json.dumps(ALLOW))
        wait_until(lambda: all(connects(site, client, server) for server in servers))
        # Nobody listens there; without the policy they would refuse, with it nothing comes back.
        assert not any(connects(site, client, other) for other in others)
    finally:
        site.kubectl("delete networkpolicy --all --namespace=tried")


def test_all_of_it_survives_a_reload_of_the_firewall(site, pods):
    for host in NODES:
        site.root(host, "firewall-cmd --reload")
    for client in NODES:
        for server in NODES:
            assert connects(site, client, f"{pods[f'server-{server}']}:{PORT}")
        assert connects(site, client, "server.tried.svc.cluster.local:80")


def wait_until(condition, attempts: int = 10) -> None:
    """A policy reaches the nodes within seconds."""
    assert any(condition() for _attempt in range(attempts))
