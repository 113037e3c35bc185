"""How members of etcd come into their cluster, and when they must not."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import etcd
from ansible_collections.onprem.dify.plugins.module_utils.etcd import Action, Member, View

WANTED = {name: f"https://10.0.3.{number}:2380" for name, number in (("db1", 11), ("db2", 12), ("witness1", 21))}


def site(**groups: list[str]) -> dict[str, Any]:
    hosts = sorted({host for members in groups.values() for host in members})
    return {
        "hosts": {
            host: {"address": f"10.0.3.{number}", "groups": [g for g, members in groups.items() if host in members]}
            for number, host in enumerate(hosts, 11)
        }
    }


def member(name: str, number: int, started: bool = True, known: bool = True) -> Member:
    return Member(number, name if known else "", (WANTED.get(name, f"https://{name}:2380"),), started)


ALL = [member("db1", 1), member("db2", 2), member("witness1", 3)]
WAITING = [member(name, number, started=False) for number, name in enumerate(WANTED, 1)]


def test_a_witness_completes_two_databases() -> None:
    members = etcd.members_of_site(site(database=["db1", "db2"], witness=["w1"]))
    assert [entry["name"] for entry in members] == ["db1", "db2", "w1"]
    assert members[0]["client"] == "https://10.0.3.11:2379"
    assert members[0]["peer"] == "https://10.0.3.11:2380"


@pytest.mark.parametrize(
    ("groups", "names"),
    [
        # A witness of Redis or of the object store alone.
        ({"database": [], "witness": ["w1"]}, []),
        ({"database": ["db1"]}, ["db1"]),
        ({"database": ["db1"], "witness": ["w1"]}, ["db1"]),
        ({"database": ["db1", "db2", "db3"], "witness": ["w1"]}, ["db1", "db2", "db3"]),
        ({"database": ["db1", "db2", "db3"], "witness": ["db3"]}, ["db1", "db2", "db3"]),
        ({"database": ["db1", "db2", "db3"], "witness": ["w1", "w2"]}, ["db1", "db2", "db3", "w1", "w2"]),
    ],
)
def test_databases_and_the_witnesses_that_they_need_are_members(groups: dict[str, list[str]], names: list[str]) -> None:
    assert [entry["name"] for entry in etcd.members_of_site(site(**groups))] == names


def test_an_even_number_is_refused_with_the_way_out() -> None:
    with pytest.raises(etcd.EtcdError, match=r"wanted are 1, 3 or 5 hosts .* one more host into the group witness"):
        etcd.members_of_site(site(database=["db1", "db2"]))


def test_both_ways_to_list_members_are_understood() -> None:
    listed = [{"ID": 255, "name": "db1", "peerURLs": ["https://a:2380"], "clientURLs": ["https://a:2379"]}]
    told = [{"id": 255, "name": "db1", "peerURLs": ["https://a:2380"]}]
    assert etcd.parse_members(listed) == [Member(255, "db1", ("https://a:2380",), True)]
    assert etcd.parse_members(told) == [Member(255, "db1", ("https://a:2380",), False)]
    assert etcd.parse_members(listed)[0].hex_id == "ff"


def test_the_first_members_found_a_cluster() -> None:
    assert etcd.plan("db1", WANTED, View(False, None)) == etcd.Plan([], "new")


def test_an_interrupted_foundation_is_finished() -> None:
    assert etcd.plan("db2", WANTED, View(False, WAITING, holders=["db1"])) == etcd.Plan([], "new")


def test_a_member_with_data_goes_on_by_itself() -> None:
    assert etcd.plan("db1", WANTED, View(True, ALL, quorum=True)) == etcd.Plan([], "")
    assert etcd.plan("db1", WANTED, View(True, None)) == etcd.Plan([], "")


def test_a_lost_member_is_replaced_under_a_new_identity() -> None:
    plan = etcd.plan("witness1", WANTED, View(False, ALL, quorum=True, holders=["db1", "db2"]))
    assert plan == etcd.Plan([Action("remove", "3", "witness1"), Action("add", "witness1", "witness1")], "existing")


def test_an_interrupted_replacement_is_finished() -> None:
    found = [*ALL[:2], member("witness1", 9, started=False, known=False)]
    assert etcd.plan("witness1", WANTED, View(False, found, quorum=True, holders=["db1"])) == etcd.Plan([], "existing")


def test_a_new_host_is_added() -> None:
    plan = etcd.plan("witness1", WANTED, View(False, ALL[:2], quorum=True, holders=["db1"]))
    assert plan == etcd.Plan([Action("add", "witness1", "witness1")], "existing")


def test_a_member_that_was_added_comes_also_while_the_quorum_waits_for_it() -> None:
    found = [ALL[0], member("witness1", 9, started=False, known=False)]
    assert etcd.plan("witness1", WANTED, View(False, found, holders=["db1"])) == etcd.Plan([], "existing")


def test_a_host_that_left_is_removed_when_all_others_run() -> None:
    found = [*ALL, member("db9", 9)]
    assert etcd.plan("db1", WANTED, View(True, found, quorum=True)).actions == [Action("remove", "9", "db9")]
    waiting = [*ALL[:2], member("witness1", 3, started=False), member("db9", 9)]
    assert etcd.plan("db1", WANTED, View(True, waiting, quorum=True)).actions == []


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (View(False, None, holders=["db1"]), "db1 has and does not answer"),
        (View(False, None, unseen=["db1", "db2"]), "Whether db1, db2 hold data is not known"),
        (View(False, ALL, holders=["db1", "db2"]), "has no quorum"),
        (View(True, ALL[:2], quorum=True), "the cluster does not know it any more"),
    ],
)
def test_what_could_lose_the_cluster_is_refused(view: View, message: str) -> None:
    with pytest.raises(etcd.EtcdError, match=message):
        etcd.plan("witness1", WANTED, view)


def test_the_first_start_names_all_members() -> None:
    text = etcd.first_start("db1", "bank", WANTED, None, "new")
    assert text == (
        "ETCD_INITIAL_CLUSTER=db1=https://10.0.3.11:2380,db2=https://10.0.3.12:2380,witness1=https://10.0.3.21:2380\n"
        "ETCD_INITIAL_CLUSTER_STATE=new\n"
        "ETCD_INITIAL_CLUSTER_TOKEN=bank\n"
    )


def test_the_start_of_a_joining_member_names_those_it_will_find() -> None:
    text = etcd.first_start("db2", "bank", WANTED, ALL[:1], "existing")
    assert "ETCD_INITIAL_CLUSTER=db1=https://10.0.3.11:2380,db2=https://10.0.3.12:2380\n" in text
    unnamed = [ALL[0], member("db2", 7, started=False, known=False)]
    assert etcd.first_start("db2", "bank", WANTED, unnamed, "existing") == text
