"""What a site is, worked out from its inventory."""

from pathlib import Path

import pytest
import yaml

from ansible_collections.onprem.dify.plugins.module_utils.site import (
    GROUPS,
    ends_of_host,
    site_from_inventory,
)

ROOT = Path(__file__).resolve().parents[4]
FLOWS = yaml.safe_load((ROOT / "roles/site/defaults/main/flows.yml").read_text(encoding="utf-8"))["site_flows"]

HOSTS = {
    "gateway1": ("10.0.1.11", ["gateway"]),
    "worker1": ("10.0.2.21", ["workers"]),
    "db1": ("10.0.3.11", ["database", "cache"]),
    "ops1": ("10.0.4.11", ["mirror", "monitoring", "backup"]),
}


def settings(**changes):
    return {
        "name": "test",
        "domain": "test.internal",
        "admin_networks": ["10.0.0.0/24"],
        "user_networks": [],
        "zone_networks": {"dmz": "10.0.1.0/24"},
        "endpoints": {"postgres": "10.0.3.10", "s3": "10.0.3.9"},
        "services": {"time": ["10.0.0.5"]},
        "pod_network": "10.244.0.0/16",
        "service_network": "10.96.0.0/16",
        "flows": FLOWS,
        **changes,
    }


def site(**changes):
    hostvars = {name: {"ansible_host": address} for name, (address, _groups) in HOSTS.items()}
    groups = {"all": list(HOSTS)}
    for name, (_address, member_of) in HOSTS.items():
        for group in member_of:
            groups.setdefault(group, []).append(name)
    return site_from_inventory(hostvars, groups, settings(**changes))


def test_a_host_knows_its_groups_and_zones():
    assert site()["hosts"]["db1"] == {
        "address": "10.0.3.11",
        "groups": ["database", "cache"],
        "zones": ["data"],
        "cluster": False,
    }
    assert site()["hosts"]["worker1"]["cluster"] is True


def overlays(**changes):
    return [flow["port"] for flow in site(**changes)["flows"] if flow["why"].startswith("Flannel")]


def test_only_the_overlay_of_the_site_gets_through():
    assert overlays(pod_overlay="vxlan") == ["8472"]
    assert overlays(pod_overlay="wireguard") == ["51820"]
    assert overlays(pod_overlay="host-gw") == []


def test_a_host_is_meant_by_its_groups_its_zones_and_all():
    assert ends_of_host(site(), "db1") == ["database", "cache", "data", "all"]


def test_site_address_wins_over_the_address_that_ansible_connects_to():
    hostvars = {"db1": {"ansible_host": "192.0.2.7", "site_address": "10.0.3.11"}}
    found = site_from_inventory(hostvars, {"all": ["db1"], "database": ["db1"]}, settings())
    assert found["hosts"]["db1"]["address"] == "10.0.3.11"


def test_an_endpoint_belongs_to_the_group_on_whose_hosts_it_lives():
    addresses = site()["addresses"]
    assert addresses["database"] == ["10.0.3.10", "10.0.3.11"]
    assert addresses["cache"] == ["10.0.3.11"]
    assert "10.0.3.10" in addresses["all"]


def test_an_endpoint_of_an_absent_group_is_nowhere():
    assert "10.0.3.9" not in site()["addresses"]["all"]


def test_a_flow_without_one_of_its_ends_is_left_out():
    flows = site()["flows"]
    assert not [flow for flow in flows if flow["to"] == "control_plane"]
    assert not [flow for flow in flows if flow["to"] == "dns"]
    assert [flow["destinations"] for flow in flows if flow["to"] == "time"] == [["10.0.0.5"]]


def test_a_flow_names_the_addresses_of_both_ends():
    (flow,) = [flow for flow in site()["flows"] if flow["from"] == "workers" and flow["port"] == "5432"]
    assert flow["sources"] == ["10.0.2.21"]
    assert flow["destinations"] == ["10.0.3.10", "10.0.3.11"]


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: f"{flow['from']}-{flow['to']}-{flow['port']}")
def test_each_flow_of_the_table_names_known_ends_and_a_purpose(flow):
    operation = ["repositories", "time", "dns", "syslog", "identity", "ldap"]
    services = [*operation, "kube-api", "postgres", "redis", "s3", "nfs", "models", "smtp"]
    zones = ["dmz", "app", "data", "ops"]
    assert flow["from"] in [*GROUPS, *zones, "all", "admin", "users"]
    assert flow["to"] in [*GROUPS, *zones, *services, "all"]
    assert flow["protocol"] in ("tcp", "udp", "vrrp")
    assert (flow["port"] == "") == (flow["protocol"] == "vrrp")
    assert flow["why"]


def test_no_flow_of_the_table_stands_twice():
    keys = [(flow["from"], flow["to"], str(flow["port"]), flow["protocol"]) for flow in FLOWS]
    assert len(keys) == len(set(keys))
