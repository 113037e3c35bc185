"""Volumes that the inventory declares: each has its node, and nothing is taken for a volume that is none."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.filter.storage_volumes import FilterModule
from ansible_collections.onprem.dify.plugins.module_utils.kubernetes_volumes import problems

DIRECTORY = "/var/lib/onprem-dify/volumes"
HOSTVARS: dict[str, dict[str, Any]] = {
    "worker2": {"storage_local_volumes": [{"name": "data", "size": "50Gi", "path": "/mnt/disk1/data"}]},
    "worker1": {"storage_local_volumes": [{"name": "data", "size": "1Ti"}, {"name": "logs", "size": "10Gi"}]},
    "cp1": {},
}


def volumes() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = FilterModule().filters()["storage_volumes"](HOSTVARS, list(HOSTVARS), DIRECTORY)
    return found


def test_every_declared_volume_is_one_of_the_cluster_under_a_name_of_its_own() -> None:
    names = [volume["metadata"]["name"] for volume in volumes()]
    assert names == ["local-worker1-data", "local-worker1-logs", "local-worker2-data"]


def test_a_volume_is_bound_to_its_node_and_lies_where_the_site_says() -> None:
    for volume, (node, path) in zip(
        volumes(),
        [("worker1", f"{DIRECTORY}/data"), ("worker1", f"{DIRECTORY}/logs"), ("worker2", "/mnt/disk1/data")],
        strict=True,
    ):
        (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
        (rule,) = term["matchExpressions"]
        assert (rule["key"], rule["operator"], rule["values"]) == ("kubernetes.io/hostname", "In", [node])
        assert volume["spec"]["local"] == {"path": path}


def test_what_is_in_a_volume_stays_when_its_claim_goes() -> None:
    assert {volume["spec"]["persistentVolumeReclaimPolicy"] for volume in volumes()} == {"Retain"}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([{"name": "Data", "size": "1Gi"}], "storage_local_volumes[0].name"),
        ([{"name": "data", "size": "50G"}], "storage_local_volumes[0].size"),
        ([{"name": "data", "size": "0Gi"}], "storage_local_volumes[0].size"),
        ([{"name": "data", "size": "1Gi", "path": "mnt/data"}], "storage_local_volumes[0].path"),
        ([{"name": "data", "size": "1Gi", "path": "/"}], "storage_local_volumes[0].path"),
        ([{"name": "data", "size": "1Gi", "path": "/mnt/../etc"}], "storage_local_volumes[0].path"),
        ([{"name": "data", "size": "1Gi"}, {"name": "data", "size": "2Gi"}], "storage_local_volumes[1].name"),
        (
            [{"name": "a", "size": "1Gi", "path": "/mnt/a"}, {"name": "b", "size": "1Gi", "path": "/mnt/a/"}],
            "storage_local_volumes[1].path",
        ),
    ],
)
def test_a_wrong_volume_is_named(given: list[dict[str, Any]], found: str) -> None:
    assert [problem.variable for problem in problems(given)] == [found]


def test_volumes_that_are_right_are_left_in_peace() -> None:
    assert [list(problems(host.get("storage_local_volumes", []))) for host in HOSTVARS.values()] == [[], [], []]
