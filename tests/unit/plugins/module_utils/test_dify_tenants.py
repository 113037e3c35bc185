"""Tenants: what follows from one, and one clear message for each thing that is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils.dify_tenants import TenantError, all_complete, faults

DOMAIN = "dify.bank.internal"
FINANCE = {"name": "finance", "number": 2, "hostname": "ai.bank.internal"}


def lines(*tenants: Any, redis: int = 16) -> list[str]:
    found = faults(tenants, DOMAIN, redis)
    return [f"{fault.place} is {fault.found}, wanted: {fault.wanted} [{fault.check}]" for fault in found]


def test_one_tenant_needs_a_name_only() -> None:
    assert lines({"name": "dify"}) == []
    (tenant,) = all_complete([{"name": "dify"}], difys.site())
    assert tenant["hostname"] == "dify.example.internal"
    assert (tenant["namespace"], tenant["sandbox_namespace"]) == ("dify", "dify-sandbox")
    assert tenant["databases"] == {"main": "dify", "plugin": "dify_plugin", "vector": "dify_vector"}
    assert tenant["buckets"] == {"uploads": "dify", "packages": "dify-plugin"}
    assert tenant["redis"] == {"user": "dify", "database": 0, "celery": 1, "agents": 2}
    assert (tenant["node_port"], tenant["proxy_address"]) == (30443, "10.96.0.32")


def test_the_first_tenant_has_what_the_data_tier_delivers() -> None:
    (tenant,) = all_complete([{"name": "dify"}], difys.site())
    databases = {entry["name"] for entry in difys.load("roles/postgresql/defaults/main.yml")["postgresql_databases"]}
    buckets = {entry["name"] for entry in difys.load("roles/objects/defaults/main.yml")["objects_buckets"]}
    users = {entry["name"] for entry in difys.load("roles/redis/defaults/main.yml")["redis_applications"]}
    assert set(tenant["databases"].values()) <= databases
    assert set(tenant["buckets"].values()) <= buckets
    assert tenant["redis"]["user"] in users


def test_two_tenants_share_nothing() -> None:
    assert lines({"name": "dify"}, FINANCE) == []
    _first, second = all_complete([{"name": "dify"}, FINANCE], difys.site())
    assert second["redis"] == {"user": "finance", "database": 3, "celery": 4, "agents": 5}
    assert (second["node_port"], second["proxy_address"]) == (30444, "10.96.0.33")


def test_the_order_of_the_tenants_means_nothing() -> None:
    forth = all_complete([{"name": "dify"}, FINANCE], difys.site())
    assert all_complete([FINANCE, {"name": "dify"}], difys.site()) == forth[::-1]


def test_names_of_databases_may_be_those_of_another_team() -> None:
    (tenant,) = all_complete([{**FINANCE, "databases": {"main": "d0815"}}], difys.site())
    assert tenant["databases"] == {"main": "d0815", "plugin": "finance_plugin", "vector": "finance_vector"}


LETTERS = "a name of a-z, 0-9 and -, with a letter first [tenant-namespace]"
SHORT = "a short name of a-z, 0-9 and -, with a letter first [tenant-name]"
OWN = "which is not a tenant's, wanted: one of its own [tenant-store]"
TAKEN = "[1].{} is {}, which dify has, wanted: one of its own [tenant-duplicate]"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hostname": DOMAIN}, TAKEN.format("hostname", DOMAIN)),
        ({"hostname": None}, TAKEN.format("hostname", DOMAIN)),
        ({"number": 1}, TAKEN.format("number", "1")),
        ({"name": "dify"}, TAKEN.format("name", "dify")),
        ({"namespace": "dify"}, TAKEN.format("namespace", "dify")),
        ({"namespace": "dify-sandbox"}, TAKEN.format("namespace", "dify-sandbox")),
        ({"databases": {"main": "dify_vector"}}, TAKEN.format("databases.main", "dify_vector")),
        ({"buckets": {"uploads": "dify-plugin"}}, TAKEN.format("buckets.uploads", "dify-plugin")),
        (
            {"databases": {"main": "one", "plugin": "one"}},
            "[1].databases.plugin is one, which finance has, wanted: one of its own [tenant-duplicate]",
        ),
        ({"name": "Finance"}, f"[1].name is Finance, wanted: {SHORT}"),
        ({"name": "7up"}, f"[1].name is 7up, wanted: {SHORT}"),
        (
            {"namespace": "n" * 56},
            "[1].namespace is 56 characters long, wanted: 55 or fewer, as -sandbox comes behind it [tenant-namespace]",
        ),
        ({"namespace": "a.b"}, f"[1].namespace is a.b, wanted: {LETTERS}"),
        (
            {"namespace": "kube-system"},
            "[1].namespace is kube-system, which is the cluster's, wanted: one of its own [tenant-namespace]",
        ),
        (
            {"hostname": "AI.bank.internal"},
            "[1].hostname is AI.bank.internal, wanted: a full host name in lower case [tenant-hostname]",
        ),
        ({"hostname": "ai"}, "[1].hostname is ai, wanted: a full host name in lower case [tenant-hostname]"),
        (
            {"hostname": f"s3.{DOMAIN}"},
            f"[1].hostname is s3.{DOMAIN}, an endpoint of the site, wanted: one of its own [tenant-hostname]",
        ),
        (
            {"number": 6},
            "[1].number is 6, wanted: 1 to 5, as each tenant has 3 of the 16 databases of Redis [tenant-number]",
        ),
        ({"databases": {"main": "seaweedfs"}}, f"[1].databases.main is seaweedfs, {OWN}"),
        (
            {"databases": {"main": "a-b"}},
            "[1].databases.main is a-b, wanted: a name of 1 to 63 of a-z, 0-9 and _ [tenant-store]",
        ),
        ({"buckets": {"uploads": "backup"}}, f"[1].buckets.uploads is backup, {OWN}"),
        (
            {"buckets": {"uploads": "hr"}},
            "[1].buckets.uploads is hr, wanted: a name of 3 to 63 of a-z, 0-9 and - [tenant-store]",
        ),
        (
            {"quota": {"limits.memory": "8 GB"}},
            "[1].quota.limits.memory is 8 GB, wanted: a quantity of Kubernetes, as 500m or 8Gi [tenant-quota]",
        ),
    ],
)
def test_each_fault_of_a_tenant_has_one_message(change: dict[str, Any], message: str) -> None:
    assert lines({"name": "dify"}, {**FINANCE, **change}) == [message]


def test_more_databases_of_redis_make_room_for_more_tenants() -> None:
    assert lines({**FINANCE, "number": 6}, redis=18) == []


def test_what_preflight_says_of_types_is_not_said_again() -> None:
    assert lines("dify", {"hostname": "x"}, {"name": "dify", "number": "one"}) == []


def test_tenants_with_faults_are_not_built() -> None:
    with pytest.raises(TenantError) as refused:
        all_complete([{"name": "dify"}, {"name": "finance"}], difys.site())
    assert str(refused.value).splitlines() == [
        "dify_tenants[1].number is 1, which dify has, wanted: one of its own",
        "dify_tenants[1].hostname is dify.example.internal, which dify has, wanted: one of its own",
    ]
