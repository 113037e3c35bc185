"""Who reaches whom: pods, services, names, nodes, with firewalld running and policies enforced."""

from __future__ import annotations

import socket

import pytest
from traffic import NODE_PORT, NODES, PORT, Traffic, policy

from lab.system import wait_until

DENY = policy("deny", policyTypes=["Ingress"])
ALLOW = policy(
    "allow",
    podSelector={"matchLabels": {"app": "server"}},
    ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}],
)


@pytest.mark.parametrize("client", NODES)
@pytest.mark.parametrize("server", NODES)
def test_pods_reach_each_other_on_the_same_and_on_another_node(traffic: Traffic, client: str, server: str) -> None:
    assert traffic.connects(client, traffic.server(server))


@pytest.mark.parametrize("client", NODES)
def test_a_service_is_found_by_its_name(traffic: Traffic, client: str) -> None:
    assert traffic.connects(client, "server.tried.svc.cluster.local:80")


@pytest.mark.parametrize("client", NODES)
def test_pods_reach_the_api(traffic: Traffic, client: str) -> None:
    assert traffic.connects(client, "kubernetes.default.svc.cluster.local:443")


@pytest.mark.parametrize("host", NODES)
@pytest.mark.parametrize("server", NODES)
def test_a_node_reaches_the_pods(traffic: Traffic, host: str, server: str) -> None:
    assert traffic.curl(host, traffic.server(server)) == f"server-{server}"


@pytest.mark.parametrize("client", NODES)
def test_pods_reach_neither_ssh_nor_etcd_of_a_node(site, traffic: Traffic, client: str) -> None:
    for node in NODES:
        assert not traffic.connects(client, f"{site.lab.host(node).address}:22")
    assert not traffic.connects(client, f"{site.lab.host('cp1').address}:2379")


@pytest.mark.parametrize("client", NODES)
def test_what_a_policy_denies_is_denied_on_every_node_and_what_it_allows_passes(traffic: Traffic, client: str) -> None:
    found = traffic.addresses
    others = [f"{found[f'client-{node}']}:{PORT}" for node in NODES]
    servers = [f"{found[f'server-{node}']}:{PORT}" for node in NODES]
    assert all(traffic.connects(client, server) for server in servers)
    with traffic.policies(DENY):
        wait_until(lambda: not any(traffic.connects(client, server) for server in servers), 60, "denied")
        with traffic.policies(ALLOW, DENY):
            wait_until(lambda: all(traffic.connects(client, server) for server in servers), 60, "allowed")
            # Nobody listens there; without the policy they would refuse, with it nothing comes back.
            assert not any(traffic.connects(client, other) for other in others)


def opens(address: str) -> bool:
    """Whether a machine outside of the site gets in."""
    try:
        with socket.create_connection((address, NODE_PORT), timeout=3):
            return True
    except (TimeoutError, ConnectionRefusedError):
        return False


def test_whoever_reaches_a_node_reaches_its_node_ports_unless_a_policy_says_who(site, traffic: Traffic) -> None:
    nodes = [site.lab.host(node).address for node in NODES]
    assert all(opens(node) for node in nodes)

    def let_in(address: str) -> dict:
        return policy("outside", policyTypes=["Ingress"], ingress=[{"from": [{"ipBlock": {"cidr": f"{address}/32"}}]}])

    with traffic.policies(let_in("192.0.2.9")):
        wait_until(lambda: not any(opens(node) for node in nodes), 60, "shut")
    with traffic.policies(let_in(site.lab.bridge_address)):
        wait_until(lambda: all(opens(node) for node in nodes), 60, "open")
        # Not everybody: a pod of the other node stays outside.
        assert not traffic.connects("cp1", traffic.server("worker1"))


def test_a_host_that_no_flow_leads_to_a_node_does_not_reach_its_node_ports(site, traffic: Traffic) -> None:
    for node in NODES:
        assert "timed out" in traffic.curl("ops1", f"{site.lab.host(node).address}:{NODE_PORT}")


def test_kube_proxy_and_flannel_write_rules_of_the_wished_kind(site, proxy: str) -> None:
    for host in NODES:
        tables = site.root(host, "nft list tables")
        assert ("table ip kube-proxy" in tables) == (proxy == "nftables"), tables
        assert ("table ip flannel-ipv4" in tables) == (proxy == "nftables"), tables
        of_iptables = site.try_root(host, "nft list chain ip nat KUBE-SERVICES")
        assert (of_iptables.returncode == 0) == (proxy == "iptables"), of_iptables.stderr
