"""What tenants need of the data tier is what its roles deliver, for the first tenant and for others."""

from __future__ import annotations

from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils import dify_data
from ansible_collections.onprem.dify.plugins.module_utils.dify_tenants import all_complete
from ansible_collections.onprem.dify.plugins.module_utils.postgresql_access import connections
from ansible_collections.onprem.dify.plugins.module_utils.site_secrets import complete, table

TENANTS = [{"name": "dify"}, {"name": "dify-finance", "number": 2, "hostname": "ai.bank.internal"}]
BOTH = all_complete(TENANTS, difys.site())
FIRST = BOTH[:1]


def test_the_first_tenant_is_what_the_roles_deliver() -> None:
    delivered = difys.load("roles/postgresql/defaults/main.yml")["postgresql_databases"]
    assert dify_data.databases(FIRST) == [entry for entry in delivered if not entry.get("optional")]
    delivered = difys.load("roles/objects/defaults/main.yml")["objects_buckets"]
    assert dify_data.buckets(FIRST) == [entry for entry in delivered if entry["name"] != "backup"]
    delivered = difys.load("roles/redis/defaults/main.yml")["redis_applications"]
    assert [entry["name"] for entry in dify_data.redis_users(FIRST, complete({}, {"cache": ["db1"]}))] == [
        entry["name"] for entry in delivered
    ]


def test_the_secrets_of_another_tenant_are_those_that_the_site_makes() -> None:
    names = {secret.name for secret in table(["dify", "dify-finance"])}
    second = BOTH[1:]
    assert {entry["secret"] for entry in dify_data.databases(second)} <= names
    assert {f"{entry['secret']}_access_key" for entry in dify_data.buckets(second)} <= names
    assert dify_data.redis_users(second, {"redis_dify_finance": "its own"}) == [
        {"name": "dify-finance", "password": "its own"}
    ]


def test_the_pods_of_the_first_tenant_open_no_more_connections_than_are_planned() -> None:
    planned = difys.load("roles/postgresql/defaults/main.yml")["postgresql_expected_clients"]
    planned.pop("object_store")
    wanted = dify_data.clients(difys.build())
    assert sum(_sum(entry) for entry in wanted.values()) == sum(_sum(entry) for entry in planned.values())
    assert wanted["dify_api"] == {"pods": 2, "processes": 1, "connections": 45}
    assert wanted["dify_plugin_daemon"] == {"pods": 1, "processes": 1, "connections": 30}
    assert connections(wanted, 60, 0) == 350


def test_pools_and_processes_of_a_tenant_count() -> None:
    build = difys.build(
        {
            "settings": {"api": {"SQLALCHEMY_POOL_SIZE": 10, "SERVER_WORKER_AMOUNT": 3}},
            "workloads": {"api": {"replicas": 4}},
        }
    )
    wanted = dify_data.clients(build)
    assert wanted["dify_api"] == {"pods": 4, "processes": 3, "connections": 25}
    # One process by its own environment, whatever the tenant says of the API.
    assert wanted["dify_websocket"] == {"pods": 1, "processes": 1, "connections": 25}
    assert wanted["dify_worker"] == {"pods": 2, "processes": 1, "connections": 25}


def _sum(client: dict[str, int]) -> int:
    return client["pods"] * client["processes"] * client["connections"]
