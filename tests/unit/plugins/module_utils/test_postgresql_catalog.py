"""What must be said to PostgreSQL so that its roles and databases are as wished."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import postgresql_catalog as catalog
from ansible_collections.onprem.dify.plugins.module_utils import scram
from ansible_collections.onprem.dify.plugins.module_utils.postgresql_catalog import Database, Role

PASSWORD = "correct-horse-battery"
ROLES = [Role("dify", PASSWORD)]
DATABASES = [Database("dify", "dify", ["uuid-ossp"])]
EMPTY: dict[str, Any] = {"roles": {}, "databases": {}}


def role(**changes: Any) -> dict[str, Any]:
    as_wished = {
        "login": True,
        "privileged": False,
        "replication": False,
        "verifier": scram.verifier(PASSWORD),
        "member_of": [],
    }
    return {**as_wished, **changes}


def server(**changes: Any) -> dict[str, Any]:
    return {"roles": {"dify": role(**changes)}, "databases": {"dify": {"owner": "dify", "public": False}}}


CONTENT = {"dify": {"extensions": ["plpgsql", "uuid-ossp"], "public_create": False}}


def shown(*arguments: Any) -> list[str]:
    return [line for step in catalog.plan(*arguments) for line in step.shown]


def test_an_empty_server_gets_everything_in_order() -> None:
    steps = catalog.plan(ROLES, DATABASES, EMPTY, {})
    assert [(step.database, step.alone) for step in steps] == [("postgres", False), ("postgres", True), ("dify", False)]
    assert [line for step in steps for line in step.shown] == [
        'CREATE ROLE "dify" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION',
        'ALTER ROLE "dify" PASSWORD (not shown)',
        'CREATE DATABASE "dify" OWNER "dify" TEMPLATE template0 ENCODING \'UTF8\'',
        'REVOKE ALL ON DATABASE "dify" FROM PUBLIC',
        'CREATE EXTENSION "uuid-ossp" SCHEMA public',
    ]


def test_nothing_is_said_when_all_is_as_wished() -> None:
    assert catalog.plan(ROLES, DATABASES, server(), CONTENT) == []


def test_a_changed_password_is_replaced_and_never_sent_as_such() -> None:
    steps = catalog.plan([Role("dify", "another-password-now")], DATABASES, server(), CONTENT)
    assert [line for step in steps for line in step.shown] == ['ALTER ROLE "dify" PASSWORD (not shown)']
    assert "another-password-now" not in steps[0].script()
    assert "SCRAM-SHA-256$" in steps[0].script()
    assert "SET LOCAL log_statement = 'none';" in steps[0].script()


@pytest.mark.parametrize("change", [{"login": False}, {"privileged": True}, {"replication": True}])
def test_rights_over_the_server_are_taken_away(change: dict[str, bool]) -> None:
    assert shown(ROLES, DATABASES, server(**change), CONTENT) == [
        'ALTER ROLE "dify" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION'
    ]


def test_membership_is_granted_once() -> None:
    monitor = [Role("dify", PASSWORD, member_of=["pg_monitor"])]
    assert shown(monitor, [], server(), {}) == ['GRANT "pg_monitor" TO "dify"']
    assert shown(monitor, [], server(member_of=["pg_monitor"]), {}) == []


def test_everybody_else_loses_their_rights_on_a_database() -> None:
    found = {**server(), "databases": {"dify": {"owner": "postgres", "public": True}}}
    content = {"dify": {"extensions": ["uuid-ossp"], "public_create": True}}
    assert shown(ROLES, DATABASES, found, content) == [
        'ALTER DATABASE "dify" OWNER TO "dify"',
        'REVOKE ALL ON DATABASE "dify" FROM PUBLIC',
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    ]


def test_what_nobody_wished_stays() -> None:
    found = server()
    found["roles"]["old"], found["databases"]["old"] = role(), {"owner": "old", "public": True}
    assert catalog.plan(ROLES, DATABASES, found, CONTENT) == []


@pytest.mark.parametrize("name", ["postgres", "Dify", "a b", "x;drop", "pg_x", "template1", ""])
def test_names_that_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(catalog.CatalogError, match="no name for a role or a database"):
        catalog.plan([Role(name, PASSWORD)], [], EMPTY, {})


def test_a_database_needs_its_owner() -> None:
    with pytest.raises(catalog.CatalogError, match="database dify: there is no role dify"):
        catalog.plan([], DATABASES, EMPTY, {})


def test_roles_are_those_with_a_password() -> None:
    assert catalog.roles({"b": "1", "a": "2"}, [{"name": "b", "replication": True}]) == [
        Role("a", "2"),
        Role("b", "1", replication=True),
    ]
    with pytest.raises(catalog.CatalogError, match="role c has no password"):
        catalog.roles({}, [{"name": "c"}])


def test_quotes_are_doubled() -> None:
    assert catalog.quote_name('a"b') == '"a""b"'
    assert catalog.quote_text("a'b") == "'a''b'"
