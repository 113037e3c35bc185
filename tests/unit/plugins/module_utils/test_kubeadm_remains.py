"""What pods left in the kernel goes, what others have there stays."""

from __future__ import annotations

import struct
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils import kernel_sets
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_remains import mounts, nft_commands, routes, sets


def table(name: str, family: str = "ip") -> dict[str, Any]:
    return {"table": {"family": family, "name": name, "handle": 1}}


def chain(name: str, where: str = "nat", **more: Any) -> dict[str, Any]:
    return {"chain": {"family": "ip", "table": where, "name": name, "handle": 2, **more}}


def rule(where: str, target: str, handle: int, verdict: str = "jump") -> dict[str, Any]:
    expr = [{"match": {}}, {verdict: {"target": target}}] if target else [{"counter": {}}, {"accept": None}]
    return {"rule": {"family": "ip", "table": "nat", "chain": where, "handle": handle, "expr": expr}}


SERVICES = [table("nat"), chain("PREROUTING", policy="accept"), chain("KUBE-SERVICES")]


def test_a_table_with_nothing_but_their_rules_goes_as_a_whole() -> None:
    rules = [rule("PREROUTING", "KUBE-SERVICES", 7), rule("KUBE-SERVICES", "", 8)]
    assert nft_commands([*SERVICES, *rules]) == [{"delete": {"table": {"family": "ip", "name": "nat"}}}]


def test_rules_of_others_in_the_same_table_stay() -> None:
    rules = [rule("PREROUTING", "KUBE-SERVICES", 7), rule("PREROUTING", "", 9)]
    place = {"family": "ip", "table": "nat"}
    assert nft_commands([*SERVICES, *rules]) == [
        {"delete": {"rule": {**place, "chain": "PREROUTING", "handle": 7}}},
        {"flush": {"chain": {**place, "name": "KUBE-SERVICES"}}},
        {"delete": {"chain": {**place, "name": "KUBE-SERVICES"}}},
    ]


def test_a_table_in_which_others_drop_stays() -> None:
    commands = nft_commands([table("nat"), chain("INPUT", policy="drop"), chain("FLANNEL-FWD")])
    assert [next(iter(command)) for command in commands] == ["flush", "delete"]
    assert all("table" not in command["delete"] for command in commands if "delete" in command)


def test_tables_of_others_are_not_touched() -> None:
    others = [table("firewalld", "inet"), table("filter"), chain("INPUT", "filter"), table("nat", "inet")]
    assert nft_commands(others) == []


def test_their_own_tables_go() -> None:
    commands = nft_commands([table("kube-proxy", "ip6"), table("flannel-ipv4")])
    assert [command["delete"]["table"]["name"] for command in commands] == ["kube-proxy", "flannel-ipv4"]


def test_sets_of_others_stay() -> None:
    assert sets(["mine", "KUBE-SRC-A", "inet6:kube-router-pod-subnets", "KUBE-SRC-A"]) == [
        "KUBE-SRC-A",
        "inet6:kube-router-pod-subnets",
    ]


def test_only_routes_to_pods_go() -> None:
    found = [{"dst": "default"}, {"dst": "10.244.1.0/24"}, {"dst": "10.24.0.0/16"}, {"dst": "fd00::/64"}]
    assert routes(found, "10.244.0.0/16") == ["10.244.1.0/24"]


def test_mounts_are_undone_from_the_inside_and_a_disk_of_its_own_stays() -> None:
    info = "\n".join(
        f"1 2 0:3 / {point} rw - tmpfs x rw"
        for point in (
            "/",
            "/var/lib/kubelet",
            "/var/lib/kubelet/pods/a\\040b",
            "/var/lib/kubelet/pods/a\\040b/c",
            "/home",
        )
    )
    assert mounts(info, ["/var/lib/kubelet"]) == ["/var/lib/kubelet/pods/a b/c", "/var/lib/kubelet/pods/a b"]


def test_names_of_sets_are_read_from_what_the_kernel_sends() -> None:
    body = struct.pack("=BBH", 2, 0, 0) + kernel_sets.attribute(1, b"\x07") + kernel_sets.attribute(2, b"KUBE-A\0")
    sent = kernel_sets.message(7, 0x300, kernel_sets.attribute(2, b"KUBE-A\0"))
    ((kind, payload),) = kernel_sets.parts(sent)
    assert kind == 6 << 8 | 7
    assert len(sent) % 4 == 0
    assert list(kernel_sets._names_in(payload)) == ["KUBE-A"]
    assert list(kernel_sets._names_in(body)) == ["KUBE-A"]
