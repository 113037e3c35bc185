"""What a reload of the firewall leaves of the traffic, and what there is without the rules for the pods."""

from __future__ import annotations

from traffic import NODES, Traffic


def reload(site) -> None:
    for host in NODES:
        site.root(host, "firewall-cmd --reload")


def test_all_of_it_survives_a_reload_of_the_firewall(site, traffic: Traffic) -> None:
    reload(site)
    assert traffic.failures() == []


def test_without_the_rules_for_the_pods_their_traffic_between_nodes_fails(site, traffic: Traffic) -> None:
    take_away = "firewall-cmd --zone=pods --remove-source=$(firewall-cmd --zone=pods --list-sources)"
    try:
        for host in NODES:
            site.root(host, take_away)
        assert not traffic.connects("cp1", traffic.server("worker1"))
        assert not traffic.connects("worker1", traffic.server("cp1"))
    finally:
        reload(site)
    assert traffic.failures() == []
