"""The rules of a host follow from the flows of the site, and from nothing else."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from ansible_collections.onprem.dify.plugins.module_utils import firewall, firewall_xml
from ansible_collections.onprem.dify.plugins.module_utils.site import site_from_inventory

TABLE = Path(__file__).resolve().parents[4] / "roles/site/defaults/main/flows.yml"
FLOWS = yaml.safe_load(TABLE.read_text(encoding="utf-8"))["site_flows"]
GROUPS = {
    "gateway": ["gateway1"],
    "control_plane": ["cp1"],
    "workers": ["worker1"],
    "database": ["db1", "db2"],
    "mirror": ["ops1"],
    "monitoring": ["ops1"],
}
ADDRESSES = {
    "gateway1": "10.0.1.11",
    "cp1": "10.0.2.11",
    "worker1": "10.0.2.21",
    "db1": "10.0.3.11",
    "db2": "10.0.3.12",
    "ops1": "10.0.4.11",
}


def make_site(**settings):
    return site_from_inventory(
        {host: {"ansible_host": address} for host, address in ADDRESSES.items()},
        dict(GROUPS, all=list(ADDRESSES)),
        {
            "name": "bank",
            "domain": "bank.internal",
            "admin_networks": ["10.0.0.0/24"],
            "user_networks": [],
            "zone_networks": {},
            "endpoints": {"postgres": "10.0.3.10"},
            "services": {},
            "pod_network": "10.244.0.0/16",
            "service_network": "10.96.0.0/16",
            "flows": FLOWS,
            **settings,
        },
    )


@pytest.fixture
def site():
    return make_site()


def admits(site, host, source, port, protocol="tcp"):
    return firewall.admits(firewall.rules_for_host(site, host), source, port, protocol)


def egress(rules, policy="site-egress"):
    return {
        (rule.get("destination"), rule.get("port"), rule.get("protocol")) for rule in rules["policies"][policy]["rules"]
    }


def test_the_database_is_open_to_workers_and_shut_to_the_gateway(site):
    assert admits(site, "db1", "10.0.2.21", "5432")
    assert not admits(site, "db1", "10.0.1.11", "5432")
    assert not admits(site, "db1", "10.0.2.21", "5432", "udp")


def test_only_the_admin_networks_reach_ssh(site):
    assert admits(site, "db1", "10.0.0.9", "22")
    assert not any(admits(site, "db1", address, "22") for address in ADDRESSES.values())


def test_a_range_of_ports_covers_its_ends_and_nothing_beyond(site):
    assert admits(site, "db1", "10.0.3.12", "2379")
    assert admits(site, "db1", "10.0.3.12", "2380")
    assert not admits(site, "db1", "10.0.3.12", "2381")


def test_egress_names_the_endpoint_with_its_virtual_address(site):
    rules = firewall.rules_for_host(site, "worker1")
    assert ("database", "5432", "tcp") in egress(rules)
    assert rules["sets"]["database"] == ["10.0.3.10", "10.0.3.11", "10.0.3.12"]


def test_everything_that_no_rule_accepts_is_dropped_both_ways(site):
    rules = firewall.rules_for_host(site, "db1")
    assert rules["settings"]["DefaultZone"] == "site"
    assert rules["zones"]["site"]["target"] == "DROP"
    policy = rules["policies"]["site-egress"]
    assert (policy["ingress"], policy["egress"], policy["target"]) == ("HOST", "ANY", "DROP")


def test_only_cluster_hosts_know_pods(site):
    assert "pods" in firewall.rules_for_host(site, "worker1")["zones"]
    assert "pods" not in firewall.rules_for_host(site, "db1")["zones"]
    assert "pods-egress" not in firewall.rules_for_host(site, "db1")["policies"]


def test_a_pod_may_do_what_workers_may_but_not_speak_for_its_node(site):
    allowed = egress(firewall.rules_for_host(site, "worker1"), "pods-egress")
    assert ("database", "5432", "tcp") in allowed
    assert ("pods", None, None) in allowed
    assert not any(port in ("8472", "2379-2380", "22") for _end, port, _protocol in allowed)


def test_a_pod_does_not_reach_ssh_of_its_node(site):
    ports = {rule.get("port") for rule in firewall.rules_for_host(site, "worker1")["zones"]["pods"]["rules"]}
    assert "10250" in ports
    assert "22" not in ports


def test_a_host_in_the_admin_networks_may_open_ssh_to_the_others():
    site = make_site(admin_networks=["10.0.0.0/24", "10.0.4.11/32"])
    assert ("all", "22", "tcp") in egress(firewall.rules_for_host(site, "ops1"))
    assert ("all", "22", "tcp") not in egress(firewall.rules_for_host(site, "db1"))


def test_overlapping_addresses_become_one_entry():
    assert firewall.addresses("admin", ["10.0.0.0/24", "10.0.0.9", "10.1.0.1/32"]) == ["10.0.0.0/24", "10.1.0.1"]


def test_an_address_that_is_not_ipv4_is_named():
    with pytest.raises(ValueError, match=r"admin: 'fd00::/8' is not an IPv4 address or network"):
        firewall.addresses("admin", ["fd00::/8"])


def test_the_same_packets_are_accepted_by_one_rule():
    extra = {"from": "workers", "to": "database", "port": "5432", "protocol": "tcp", "why": "once more"}
    rules = firewall.rules_for_host(make_site(flows=[*FLOWS, extra]), "db1")["zones"]["site"]["rules"]
    assert sum(rule.get("port") == "5432" and rule["source"] == "workers" for rule in rules) == 1


class TestRefusal:
    def test_a_controller_in_the_admin_networks_is_let_in(self, site):
        assert firewall.refusal(firewall.rules_for_host(site, "db1"), "10.0.0.9 51000 10.0.3.11 22") == ""

    def test_a_controller_outside_them_is_told_what_is_wrong(self, site):
        message = firewall.refusal(firewall.rules_for_host(site, "db1"), "192.168.7.7 51000 10.0.3.11 22")
        assert message == (
            "host db1: site_admin_networks: found 10.0.0.0/24; wanted: networks that contain 192.168.7.7, "
            "where this SSH connection comes from. Nothing was changed."
        )

    def test_ssh_on_another_port_needs_a_flow(self, site):
        message = firewall.refusal(firewall.rules_for_host(site, "db1"), "10.0.0.9 51000 10.0.3.11 2222")
        assert "host db1: site_flows: no flow lets `admin` reach tcp port 2222" in message

    def test_a_run_on_the_console_is_not_refused(self, site):
        assert firewall.refusal(firewall.rules_for_host(site, "db1"), None) == ""


class TestFiles:
    def test_every_file_is_well_formed(self, site):
        for host in ADDRESSES:
            for name, text in firewall_xml.files(firewall.rules_for_host(site, host)).items():
                if name.endswith(".xml"):
                    ElementTree.fromstring(text)

    def test_every_set_that_a_rule_names_has_a_file(self, site):
        for host in ADDRESSES:
            texts = firewall_xml.files(firewall.rules_for_host(site, host))
            named = {
                element.get("ipset")
                for name, text in texts.items()
                if name.endswith(".xml")
                for element in ElementTree.fromstring(text).iter()
                if element.get("ipset")
            }
            assert {f"ipsets/{end}.xml" for end in named} <= set(texts)

    def test_a_purpose_cannot_end_the_comment_it_stands_in(self):
        flow = {"from": "workers", "to": "database", "port": "99", "protocol": "tcp", "why": "a --> b & <c>"}
        texts = firewall_xml.files(firewall.rules_for_host(make_site(flows=[flow]), "db1"))
        ElementTree.fromstring(texts["zones/site.xml"])

    @pytest.mark.parametrize(
        ("rule", "text"),
        [
            (
                {"source": "workers", "port": "5432", "protocol": "tcp"},
                'rule family="ipv4" source ipset="workers" port port="5432" protocol="tcp" accept',
            ),
            (
                {"source": "all", "icmp": "echo-request"},
                'rule family="ipv4" source ipset="all" icmp-type name="echo-request" accept',
            ),
            (
                {"address": "224.0.0.18", "protocol": "vrrp"},
                'rule family="ipv4" destination address="224.0.0.18" protocol value="vrrp" accept',
            ),
            ({"destination": "pods"}, 'rule family="ipv4" destination ipset="pods" accept'),
        ],
    )
    def test_rich_rules_are_spelt_as_firewalld_spells_them(self, rule, text):
        assert firewall_xml.rich_rule(rule) == text


def test_what_firewalld_reports_equals_what_was_asked(site):
    zone = {
        "target": "DROP",
        "forward": False,
        "masquerade": False,
        "rules_str": ['rule family="ipv4" icmp-type name="echo-request" accept'],
        "sources": ["10.244.0.0/16"],
    }
    rules = {
        "settings": {"DefaultZone": "site", "LogDenied": "off"},
        "sets": {},
        "zones": {"pods": {"target": "DROP", "sources": ["10.244.0.0/16"], "rules": [{"icmp": "echo-request"}]}},
        "policies": {},
    }
    assert firewall_xml.reported_zone(zone) == firewall_xml.running(rules)["zone pods"]
    by_hand = dict(zone, ports=[["99", "tcp"]], services=["http"], masquerade=True)
    assert {"ports 99/tcp", "services http", "masquerade"} < set(firewall_xml.reported_zone(by_hand))
