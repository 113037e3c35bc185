"""What preflight says of a cluster before any host is asked."""

from __future__ import annotations

import datetime
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.preflight_kubernetes import findings
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import Inventory

KNOWN = {name: {"type": "dict", "default": {}} for name in ("site_endpoints", "site_services", "site_pins")}
DELIVERED = dict.fromkeys(("kubeadm", "kubectl", "kubelet", "kubernetes"), "1.36.4")


def said(groups: dict[str, list[str]], **variables: Any) -> list[str]:
    hosts = {host: variables for members in groups.values() for host in members}
    inventory = Inventory(groups, hosts, KNOWN, [], datetime.date(2026, 11, 28), pins=DELIVERED)
    return [str(finding) for finding in findings(inventory)]


THREE = {"control_plane": ["cp1", "cp2", "cp3"]}


def test_several_control_planes_need_one_address() -> None:
    assert [line.split(" is ")[0] for line in said(THREE)] == ["site: site_endpoints.kube-api"]
    assert said(THREE, site_endpoints={"kube-api": "10.20.2.10"}) == []
    assert said(THREE, site_services={"kube-api": ["10.9.9.9"]}) == []
    assert said({"control_plane": ["cp1"]}) == []


def test_a_host_has_one_etcd() -> None:
    found = said({"control_plane": ["one"], "database": ["one"]})
    assert found == [
        "one: its groups is control_plane beside database or witness, wanted: one of the two, as each has an etcd of"
        " its own at the same ports [kubernetes-etcd]"
    ]


def test_all_parts_move_together() -> None:
    single = {"control_plane": ["cp1"]}
    assert said(single, site_pins={part: {"version": "1.36.5"} for part in DELIVERED}) == []
    found = said(single, site_pins={"kubelet": {"version": "1.35.8"}})
    assert found == [
        "site: site_pins.kubelet.version is 1.35.8, wanted: 1.36.4, the version of kubeadm [kubernetes-pins]"
    ]


def test_a_site_without_a_cluster_is_not_asked() -> None:
    assert said({"database": ["db1"]}, site_pins={"kubelet": {"version": "1.35.8"}}) == []
