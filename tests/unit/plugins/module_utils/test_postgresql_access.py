"""Who may log in to PostgreSQL, and how many connections that makes."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import postgresql_access as access

SITE: dict[str, Any] = {
    "addresses": {"database": ["10.0.3.10", "10.0.3.11"], "workers": ["10.0.2.21"], "objects": [], "monitoring": []}
}
DATABASES = [
    {"name": "dify", "owner": "dify", "secret": "postgres_dify", "extensions": ["uuid-ossp"]},
    {"name": "seaweedfs", "owner": "seaweedfs", "secret": "s", "clients": ["objects"], "optional": True},
]


def rules() -> list[str]:
    return access.rules(SITE, access.databases_of_site(SITE, DATABASES))


def test_an_optional_database_goes_with_its_clients() -> None:
    assert [database["name"] for database in access.databases_of_site(SITE, DATABASES)] == ["dify"]
    stored = {"addresses": {**SITE["addresses"], "objects": ["10.0.3.31"]}}
    assert [database["name"] for database in access.databases_of_site(stored, DATABASES)] == ["dify", "seaweedfs"]


def test_the_superuser_comes_over_the_socket_only() -> None:
    assert [line for line in rules() if " postgres " in line and line.startswith("local all postgres")] == [
        "local all postgres peer map=members"
    ]
    assert not [line for line in rules() if line.startswith("host") and line.split()[2] == "postgres"]


def test_clients_come_from_their_hosts_and_the_endpoint_into_their_database_only() -> None:
    assert [line for line in rules() if line.split()[2] == "dify"] == [
        "hostssl dify dify 10.0.2.21/32 scram-sha-256",
        "hostssl dify dify 10.0.3.10/32 scram-sha-256",
        "hostssl dify dify 10.0.3.11/32 scram-sha-256",
    ]


def test_replication_needs_a_certificate_and_a_password() -> None:
    lines = [line for line in rules() if line.split()[1] == "replication" and line.startswith("hostssl")]
    assert lines and all(line.endswith("scram-sha-256 clientcert=verify-full") for line in lines)


def test_no_rule_lets_in_without_tls_and_the_last_ones_refuse_all_others() -> None:
    assert rules()[-3:] == ["local all all reject", "host all all all reject", "host replication all all reject"]
    assert {line.split()[0] for line in rules()[:-3]} == {"local", "hostssl"}
    assert not [line for line in rules() if "trust" in line or "md5" in line]


EXPECTED = {"api": {"pods": 2, "processes": 1, "connections": 45}, "worker": {"pods": 3, "connections": 45}}


def test_connections_follow_the_planned_clients() -> None:
    assert access.connections(EXPECTED, 50, 0) == 300
    assert access.connections({}, 5, 0) == 100
    assert access.connections(EXPECTED, 50, 275) == 275


def test_fewer_connections_than_planned_are_refused_with_the_sum() -> None:
    with pytest.raises(access.AccessError, match="is 200, and the planned clients may open 275: api 90, worker 135"):
        access.connections(EXPECTED, 50, 200)


def test_a_client_without_numbers_is_refused() -> None:
    with pytest.raises(access.AccessError, match="api needs whole numbers"):
        access.connections({"api": {"pods": 2}}, 0, 0)
