"""Which services a site gives, what they need, and how findings about them read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.onprem.dify.plugins.module_utils.external_model import (
    CHECKS,
    VARIABLES,
    Report,
    Service,
    describe,
    given,
    secret_names,
)
from ansible_collections.onprem.dify.plugins.module_utils.postgresql_access import AccessError
from ansible_collections.onprem.dify.plugins.module_utils.site import ENDPOINT_GROUPS
from ansible_collections.onprem.dify.plugins.module_utils.site_secrets import needed, table
from ansible_collections.onprem.dify.plugins.module_utils.storage import PURPOSES

ROOT = Path(__file__).resolve().parents[4]
SERVICES = {"time": ["10.0.0.5"], "postgres": ["10.0.0.50"], "redis": ["10.0.0.60"], "s3": ["10.0.0.70"]}


def site(*groups: str, **services: list[str]) -> dict[str, Any]:
    storage = dict.fromkeys(PURPOSES, "s3")
    return {"hosts": {"one": {"groups": list(groups)}}, "services": services or SERVICES, "storage": storage}


def options(role: str, variable: str) -> dict[str, Any]:
    text = (ROOT / f"roles/{role}/meta/argument_specs.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["argument_specs"]["main"]["options"][variable]
    return found


def described(name: str, **settings: Any) -> dict[str, Any]:
    return describe(name, site(), options("external", VARIABLES[name])["options"], settings)


def report() -> Report:
    return Report(Service("redis", "10.0.0.60", 6379, ["10.0.0.60"], "", "", 5))


def test_a_service_is_given_unless_the_site_runs_it_itself() -> None:
    assert given(site("workers")) == ["postgres", "redis", "s3"]
    assert given(site("workers", "database", "objects")) == ["redis"]
    assert given(site("workers", time=["10.0.0.5"], postgres=[])) == []


def test_what_is_left_out_has_its_default() -> None:
    postgres = described("postgres", port=5433)
    assert (postgres["host"], postgres["port"], postgres["connections"]) == ("10.0.0.50", 5433, 350)
    assert postgres["addresses"] == ["10.0.0.50"]
    assert [database["name"] for database in postgres["databases"]] == ["dify", "dify_plugin", "dify_vector"]
    assert described("redis", host="redis.corp.internal")["host"] == "redis.corp.internal"
    assert described("postgres", databases=[{"name": "d", "owner": "o", "secret": "s"}])["databases"] == [
        {"name": "d", "owner": "o", "secret": "s", "extensions": []}
    ]


def test_a_plan_without_numbers_is_refused() -> None:
    with pytest.raises(AccessError, match="whole numbers"):
        described("postgres", expected_clients={"api": {"pods": "two"}})


def test_only_the_secrets_of_the_given_services_leave_the_controller() -> None:
    services = {name: described(name) for name in VARIABLES}
    assert secret_names({"redis": services["redis"]}) == ["redis_dify"]
    assert secret_names({}) == []
    # The secrets that a site needs for given services are the ones that the check asks for.
    assert sorted(secret_names(services)) == sorted(needed({}, services))


def test_databases_users_and_clients_are_those_of_the_bundled_services() -> None:
    ours = options("external", "external_postgresql")["options"]
    bundled = options("postgresql", "postgresql_databases")["default"]
    assert ours["databases"]["default"] == [entry for entry in bundled if not entry.get("optional")]
    clients = options("postgresql", "postgresql_expected_clients")["default"]
    assert ours["expected_clients"]["default"] == {key: clients[key] for key in clients if key != "object_store"}
    assert ours["connection_reserve"]["default"] == options("postgresql", "postgresql_connection_reserve")["default"]
    buckets = options("objects", "objects_buckets")["default"]
    ours = options("external", "external_s3")["options"]
    keys = ("name", "purpose", "secret")
    assert ours["buckets"]["default"] == [{key: entry[key] for key in keys} for entry in buckets]


def test_every_secret_of_an_application_is_in_the_table() -> None:
    assert set(VARIABLES) <= set(ENDPOINT_GROUPS)
    assert len([secret for secret in table() if secret.application]) == 10


def test_a_finding_is_one_line_that_names_service_variable_found_and_wanted() -> None:
    told = report()
    told.finding("eviction", "maxmemory-policy", "all\nkeys", "noeviction")
    assert str(told.findings[0]) == (
        "redis 10.0.0.60:6379: maxmemory-policy is all keys, wanted: noeviction [eviction]"
    )


def test_a_missing_password_is_a_finding() -> None:
    told = report()
    assert told.password({"redis_dify": "found"}, "redis_dify") == "found"
    assert told.password({}, "redis_dify") == ""
    assert str(told.findings[0]).startswith("redis 10.0.0.60:6379: site_secrets.redis_dify is not set")


def test_a_service_far_away_is_a_note() -> None:
    told = report()
    told.round_trip([0.5, 0.001, 0.002])
    assert (told.facts["milliseconds"], told.notes) == (2.0, [])
    told.round_trip([0.02, 0.02, 0.001])
    assert [note.check for note in told.notes] == ["slow"]
    assert told.findings == []


def test_the_page_explains_every_check() -> None:
    page = (ROOT / "docs/external.md").read_text(encoding="utf-8")
    assert [f"| `{name}` | {text} |" for name, text in CHECKS.items() if f"| `{name}` | {text} |" not in page] == []
