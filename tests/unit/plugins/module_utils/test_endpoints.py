"""Which endpoints a host serves, and what keeps them apart."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.endpoints import (
    EndpointError,
    host_endpoints,
    interface,
    members,
    router_id,
    sentinels,
)

DATA = ["database", "cache", "objects"]


def site(hosts=None, **endpoints):
    hosts = hosts or {"db1": DATA, "db2": DATA, "witness1": ["witness"]}
    return {
        "hosts": {
            name: {"address": f"10.0.3.{number}", "groups": groups}
            for number, (name, groups) in enumerate(hosts.items(), 11)
        },
        "endpoints": endpoints or {"kube-api": "10.0.2.10", "postgres": "10.0.3.10", "redis": "10.0.3.15"},
    }


def served(host, **changes):
    return {endpoint["name"]: endpoint for endpoint in host_endpoints(site(**changes), host)}


def test_a_host_serves_the_endpoints_of_its_groups_that_have_an_address():
    assert sorted(served("db1")) == ["postgres", "redis"]
    assert served("witness1") == {}


def test_the_other_hosts_of_the_group_are_peers():
    endpoint = served("db2")["redis"]
    assert endpoint["peers"] == ["10.0.3.11"]
    assert endpoint["source"] == "10.0.3.12"
    assert [host["name"] for host in endpoint["hosts"]] == ["db1", "db2"]


def test_priorities_settle_who_keeps_an_address_after_a_cut():
    assert served("db1")["redis"]["priority"] > served("db2")["redis"]["priority"]


def test_a_host_alone_owns_its_address():
    endpoint = served("db1", hosts={"db1": DATA})["redis"]
    assert endpoint["priority"] == 255
    assert endpoint["peers"] == []
    assert endpoint["voters"] == []
    assert not endpoint["fenced"]


def test_the_majority_of_the_sentinels_decides():
    endpoint = served("db1")["redis"]
    assert [voter["name"] for voter in endpoint["voters"]] == ["db1", "db2", "witness1"]
    assert endpoint["majority"] == 2
    assert endpoint["fenced"]
    assert served("db1")["postgres"]["voters"] == []


def test_two_voters_let_go_of_nothing():
    assert not served("db1", hosts={"db1": DATA, "db2": DATA})["redis"]["fenced"]


def test_a_database_host_that_is_cut_off_lets_go_of_the_address():
    assert served("db1")["postgres"]["fenced"]
    assert not served("db1", hosts={"db1": DATA})["postgres"]["fenced"]


S3 = {"s3": "10.0.3.16"}


def test_the_masters_of_the_store_decide_who_may_hold_its_address():
    endpoint = served("db1", **S3)["s3"]
    assert [voter["name"] for voter in endpoint["voters"]] == ["db1", "db2", "witness1"]
    assert endpoint["voters"][2]["address"] == "10.0.3.13"
    assert endpoint["majority"] == 2
    assert endpoint["fenced"]


def test_a_third_host_of_the_store_does_without_a_witness():
    hosts = {"db1": DATA, "db2": DATA, "db3": DATA, "db4": DATA}
    assert [voter["name"] for voter in served("db4", hosts=hosts, **S3)["s3"]["voters"]] == ["db1", "db2", "db3"]


def test_a_store_on_one_host_lets_go_of_nothing():
    assert not served("db1", hosts={"db1": DATA, "witness1": ["witness"]}, **S3)["s3"]["fenced"]


def test_a_store_of_two_hosts_without_a_witness_is_refused():
    with pytest.raises(EndpointError, match="no witness"):
        served("db1", hosts={"db1": DATA, "db2": DATA}, **S3)


def test_only_the_store_has_metrics_of_its_own():
    endpoints = served("db1", redis="10.0.3.15", **S3)
    assert endpoints["redis"]["metrics"] == {}
    assert endpoints["s3"]["metrics"]["s3"] == 9324


def test_a_gateway_takes_its_connections_itself():
    hosts = {"gateway1": ["gateway"], "gateway2": ["gateway"]}
    endpoint = served("gateway2", hosts=hosts, gateway="10.0.1.10")["gateway"]
    assert endpoint["alive"].startswith("/run/")
    assert (endpoint["ports"], endpoint["peers"], endpoint["fenced"]) == ({"gateway": 443}, ["10.0.3.11"], False)
    assert served("db1")["redis"]["alive"] == ""


def test_a_single_server_has_no_sentinel():
    assert sentinels(site({"db1": ["cache"], "witness1": ["witness"]})) == []


def test_members_of_several_groups_come_once():
    assert [host["name"] for host in members(site(), "cache", "objects", "witness")] == ["db1", "db2", "witness1"]


def test_the_router_id_is_the_last_number_of_the_address():
    assert router_id("10.0.3.15") == 15


def test_an_address_that_ends_in_zero_is_refused():
    with pytest.raises(EndpointError, match=r"10\.0\.4\.0"):
        router_id("10.0.4.0")


def test_endpoints_with_the_same_number_are_refused_by_name():
    with pytest.raises(EndpointError, match=r"postgres \(10\.0\.3\.10\) and redis \(10\.0\.4\.10\)"):
        served("db1", postgres="10.0.3.10", redis="10.0.4.10")


def test_an_endpoint_of_the_cluster_may_have_the_same_number():
    assert served("db1", **{"kube-api": "10.0.2.10", "postgres": "10.0.3.10"})


FACTS = {
    "interfaces": ["lo", "bond-0", "eth1"],
    "lo": {"device": "lo", "ipv4": {"address": "127.0.0.1"}},
    "bond_0": {
        "device": "bond-0",
        "ipv4": {"address": "10.0.3.11"},
        "ipv4_secondaries": [{"address": "10.0.3.10"}],
    },
    "eth1": {"device": "eth1"},
}


@pytest.mark.parametrize("address", ["10.0.3.11", "10.0.3.10"])
def test_the_interface_is_the_one_with_the_address(address):
    assert interface(FACTS, address) == "bond-0"


def test_an_address_that_no_interface_has_is_named():
    with pytest.raises(EndpointError, match=r"10\.0\.3\.99"):
        interface(FACTS, "10.0.3.99")


def test_missing_facts_are_named():
    with pytest.raises(EndpointError, match="subset network"):
        interface({}, "10.0.3.11")


def test_on_a_host_that_serves_both_no_number_may_be_the_same():
    everything = {"all1": ["control_plane", *DATA]}
    with pytest.raises(EndpointError, match=r"kube-api \(10\.0\.2\.10\) and postgres \(10\.0\.3\.10\)"):
        served("all1", hosts=everything, **{"kube-api": "10.0.2.10", "postgres": "10.0.3.10"})


def test_the_kubernetes_api_is_served_by_the_control_planes_on_a_port_of_its_own():
    hosts = {"cp1": ["control_plane"], "cp2": ["control_plane"], "worker1": ["workers"]}
    endpoint = served("cp1", hosts=hosts, **{"kube-api": "10.0.2.10"})["kube-api"]
    assert (endpoint["ports"], endpoint["port"]) == ({"kube-api": 8443}, 6443)
    assert [host["name"] for host in endpoint["hosts"]] == ["cp1", "cp2"]
    assert endpoint["fenced"]
    assert served("worker1", hosts=hosts, **{"kube-api": "10.0.2.10"}) == {}
