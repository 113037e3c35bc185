"""The bundled object store: what runs where, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import seaweedfs

SETTINGS = {
    "program": "/opt/onprem-dify/seaweedfs-4.53/weed",
    "data": "/var/lib/seaweedfs",
    "certificates": "/etc/onprem-dify/pki/seaweedfs",
    "replication": "",
    "racks": {},
    "volume_size": 1024,
    "free_space": 7,
}


def site(**groups: list[str]) -> dict[str, Any]:
    names = sorted({name for members in groups.values() for name in members})
    return {
        "name": "prod",
        "domain": "dify.example.internal",
        "hosts": {
            name: {
                "address": f"10.20.3.{number}",
                "groups": [group for group, members in groups.items() if name in members],
            }
            for number, name in enumerate(names, 11)
        },
    }


TWO = site(objects=["db1", "db2"], witness=["witness1"])


@pytest.mark.parametrize(
    ("objects", "witnesses", "voters"),
    [
        (["a"], [], ["a"]),
        (["a"], ["w"], ["a"]),
        (["a", "b"], ["w"], ["a", "b", "w"]),
        (["a", "b", "c"], [], ["a", "b", "c"]),
        # The voters stay the same when a third host joins.
        (["a", "b", "c"], ["w"], ["a", "b", "w"]),
        (["a", "b", "w"], ["w"], ["a", "b", "w"]),
    ],
)
def test_one_or_three_hosts_vote(objects: list[str], witnesses: list[str], voters: list[str]) -> None:
    assert seaweedfs.masters(objects, witnesses) == voters


def test_two_hosts_alone_cannot_vote() -> None:
    with pytest.raises(seaweedfs.StoreError, match="no witness"):
        seaweedfs.masters(["a", "b"], [])


def test_a_host_runs_everything_and_the_witness_votes_only() -> None:
    assert list(seaweedfs.plan(TWO, "db1", SETTINGS)["processes"]) == ["master", "volume", "filer", "s3"]
    witness = seaweedfs.plan(TWO, "witness1", SETTINGS)
    assert list(witness["processes"]) == ["master"]
    assert witness["gateway"] == []
    assert witness["lifecycle"] == "10.20.3.11:18333"


def test_processes_listen_on_the_address_of_the_host_and_tell_nobody_outside() -> None:
    processes = seaweedfs.plan(TWO, "db2", SETTINGS)["processes"]
    assert all("-ip.bind=10.20.3.12 " in command for command in processes.values())
    assert all("-metricsIp=127.0.0.1 " in command for command in processes.values())
    assert "-telemetry=false" in processes["master"]
    assert "-iam=false" in processes["s3"]
    assert "-filer=10.20.3.12:8888,10.20.3.11:8888 " in processes["s3"]


def test_every_host_is_a_rack_unless_the_site_says_otherwise() -> None:
    assert "-rack=db1 " in seaweedfs.plan(TWO, "db1", SETTINGS)["processes"]["volume"]
    racks = {"db1": "left", "db2": "right"}
    assert "-rack=left " in seaweedfs.plan(TWO, "db1", {**SETTINGS, "racks": racks})["processes"]["volume"]


def test_two_copies_where_there_are_two_hosts() -> None:
    assert seaweedfs.plan(TWO, "db1", SETTINGS)["replication"] == "010"
    alone = seaweedfs.plan(site(objects=["one"]), "one", SETTINGS)
    assert alone["replication"] == "000"
    assert "-peers=none " in alone["processes"]["master"]


@pytest.mark.parametrize(
    ("replication", "racks", "message"),
    [
        ("10", {}, "wanted three digits"),
        ("020", {}, "3 copies on 2 hosts"),
        ("010", {"db1": "same", "db2": "same"}, "needs 2 racks, and 1"),
    ],
)
def test_a_replication_that_cannot_be_is_refused(replication: str, racks: dict[str, str], message: str) -> None:
    with pytest.raises(seaweedfs.StoreError, match=message):
        seaweedfs.plan(TWO, "db1", {**SETTINGS, "replication": replication, "racks": racks})


def test_a_gateway_for_the_moment_has_no_listener_and_no_users_of_the_site() -> None:
    gateway = " ".join(seaweedfs.plan(TWO, "db1", SETTINGS)["gateway"])
    assert "-filer=" in gateway
    assert not any(word in gateway for word in ("-ip.bind", "-port=", "-config=", "cert.file"))


def test_a_user_has_its_own_buckets_and_nothing_else() -> None:
    keys = {"access_key": "A", "secret_key": "B"}
    users = seaweedfs.identities(
        [
            {"name": "dify", **keys},
            {"name": "audit", "object_lock": True, "user": "dify", **keys},
            {"name": "backup", "access_key": "C", "secret_key": "D"},
        ]
    )["identities"]
    assert [user["name"] for user in users] == ["backup", "dify"]
    assert users[0]["actions"] == ["Read:backup", "Write:backup", "List:backup", "Tagging:backup"]
    assert all(action.partition(":")[2] in ("dify", "audit") for action in users[1]["actions"])
    assert "PutObjectRetention:audit" in users[1]["actions"]
    assert not any("Admin" in action for user in users for action in user["actions"])


def test_a_user_has_one_pair_of_keys() -> None:
    with pytest.raises(seaweedfs.StoreError, match="two pairs of keys"):
        seaweedfs.identities(
            [
                {"name": "one", "user": "u", "access_key": "A", "secret_key": "B"},
                {"name": "two", "user": "u", "access_key": "C", "secret_key": "D"},
            ]
        )


def pairs_of(wish: str, *known: str, retire: bool = False) -> list[str]:
    """The pairs of keys of a user, by access key, whose wish and found ones are named so."""
    before = {"identities": [{"name": "dify", "credentials": [{"accessKey": key, "secretKey": key} for key in known]}]}
    bucket = {"name": "dify", "access_key": wish, "secret_key": "new"}
    (user,) = seaweedfs.identities([bucket], before if known else None, retire)["identities"]
    return [pair["accessKey"] for pair in user["credentials"]]


def test_keys_that_are_replaced_stay_valid_until_they_are_retired() -> None:
    assert pairs_of("a") == ["a"]
    assert pairs_of("b", "a") == ["b", "a"]
    assert pairs_of("b", "b", "a") == ["b", "a"]
    assert pairs_of("b", "b", "a", retire=True) == ["b"]


def test_only_the_last_pair_of_keys_stays_valid() -> None:
    assert pairs_of("c", "b", "a") == ["c", "b"]


def test_another_secret_of_the_same_access_key_replaces_it_at_once() -> None:
    assert pairs_of("a", "a") == ["a"]


def test_the_user_of_a_bucket_that_left_the_list_stays_until_keys_are_retired() -> None:
    dify, plugin = ({"name": name, "access_key": name, "secret_key": "s"} for name in ("dify", "dify-plugin"))
    before = seaweedfs.identities([dify, plugin])
    assert seaweedfs.identities([dify], before) == before
    assert seaweedfs.identities([], before) == before
    assert seaweedfs.identities([dify], before, retire=True) == seaweedfs.identities([dify])
    renamed = {**plugin, "user": "other"}
    assert [user["name"] for user in seaweedfs.identities([dify, renamed], before)["identities"]] == ["dify", "other"]


def test_a_gateway_that_would_know_no_user_and_let_everybody_in_is_refused() -> None:
    for before in (None, {"identities": []}):
        with pytest.raises(seaweedfs.StoreError, match="objects_buckets: found no bucket"):
            seaweedfs.identities([], before)


# Guard rails

UNITS = {
    "volume": "[Service]\nExecStart=/usr/local/bin/weed volume -dir=/var/lib/seaweedfs/volume -max=0\n",
    "filer": "[Service]\nExecStart=/usr/local/bin/weed filer -defaultReplicaPlacement=010\n",
}
FOUND = seaweedfs.Found(UNITS, '[postgres2]\nhostname = "10.20.3.10"\n')


def refused(found: seaweedfs.Found = FOUND, has_data: bool = True, **wish: Any) -> list[str]:
    settings = {
        "host": "db1",
        "data": "/var/lib/seaweedfs",
        "replication": "010",
        "metadata": "postgresql",
        "less_safety": False,
        **wish,
    }
    return seaweedfs.refusals(found, has_data=has_data, **settings)


def test_the_same_wish_and_an_empty_host_are_not_refused() -> None:
    assert refused() == []
    assert refused(seaweedfs.Found({}, ""), has_data=False) == []
    assert refused(has_data=False, data="/srv", replication="000", metadata="local") == []


def test_data_does_not_move_by_a_run() -> None:
    assert "found data in /var/lib/seaweedfs/volume, wanted /srv/volume" in refused(data="/srv")[0]


def test_fewer_copies_have_to_be_meant() -> None:
    assert "found 010, wanted 000, which is less safe" in refused(replication="000")[0]
    assert refused(replication="000", less_safety=True) == []
    assert refused(replication="001")
    assert refused(replication="020") == []


def test_metadata_do_not_change_their_place_by_a_run() -> None:
    assert "found postgresql, wanted local" in refused(metadata="local")[0]
    assert "found local, wanted postgresql" in refused(FOUND._replace(filer="[leveldb2]\n"))[0]
