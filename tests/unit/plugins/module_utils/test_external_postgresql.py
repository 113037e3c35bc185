"""What is said about a PostgreSQL from what it answered."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import external_postgresql as checked
from ansible_collections.onprem.dify.plugins.module_utils.external_model import CHECKS, Report, Service
from ansible_collections.onprem.dify.plugins.module_utils.postgresql_client import LoginMethodError, PostgresError

DIFY = {"name": "dify", "owner": "dify", "secret": "postgres_dify", "extensions": ["uuid-ossp"]}
VECTOR = {"name": "dify_vector", "owner": "dify_vector", "secret": "postgres_dify_vector", "extensions": ["vector"]}
GOOD = ["150018", "15.18", "f", "off", "400"]


@pytest.fixture
def report() -> Report:
    return Report(Service("postgres", "10.0.0.50", 5432, ["10.0.0.50"], "", "", 5))


def said(report: Report) -> list[str]:
    lines = [str(line).removeprefix("postgres 10.0.0.50:5432: ") for line in (*report.findings, *report.notes)]
    assert {line.rpartition("[")[2].rstrip("]") for line in lines} <= set(CHECKS)
    return lines


@pytest.mark.parametrize(
    ("place", "value", "line"),
    [
        (0, "140010", "external_postgresql.host is PostgreSQL 15.18, wanted: 15 or newer [version]"),
        (2, "t", "external_postgresql.host is a standby, wanted: the primary, which takes writes [read-write]"),
        (
            3,
            "on",
            "external_postgresql.host is read-only (default_transaction_read_only),"
            " wanted: the primary, which takes writes [read-write]",
        ),
        (
            4,
            "349",
            "max_connections is 349, wanted: 350 or more,"
            " which external_postgresql.expected_clients and its reserve come to [connections]",
        ),
    ],
)
def test_a_server_that_does_not_fit_is_named(report: Report, place: int, value: str, line: str) -> None:
    row: list[Any] = list(GOOD)
    row[place] = value
    checked.judge_server(report, checked.Server.of(row), 350)
    assert said(report) == [line]
    assert not report.notes


def test_a_good_server_is_good_and_a_newer_one_is_accepted(report: Report) -> None:
    checked.judge_server(report, checked.Server.of(list(GOOD)), 400)
    assert said(report) == []
    checked.judge_server(report, checked.Server.of(["180001", "18.1", *GOOD[2:]]), 400)
    assert report.findings == []
    assert said(report) == [
        "external_postgresql.host is PostgreSQL 18.1, accepted and not tested, wanted: 15 [version-other]"
    ]


def test_a_schema_must_take_tables_and_limits_are_told(report: Report) -> None:
    checked.judge_database(report, DIFY, ["public", "t", "-1", "-1"])
    assert said(report) == []
    checked.judge_database(report, DIFY, ["public", "f", "-1", "-1"])
    checked.judge_database(report, DIFY, [None, "f", "20", "-1"])
    assert said(report) == [
        "schema public of database dify is closed to dify,"
        " wanted: GRANT USAGE, CREATE ON SCHEMA public TO dify [schema]",
        "schema public of database dify is not in the search_path of dify,"
        " wanted: GRANT USAGE, CREATE ON SCHEMA public TO dify [schema]",
        "CONNECTION LIMIT of user dify is 20,"
        " wanted: no limit, or one that fits the planned clients [connections-limit]",
    ]


def test_an_extension_is_there_or_can_be_created_or_is_missing(report: Report) -> None:
    for found in ({"vector": checked.Extension(True, False)}, {"vector": checked.Extension(False, True)}):
        checked.judge_extensions(report, VECTOR, found)
    assert said(report) == []
    checked.judge_extensions(report, VECTOR, {"vector": checked.Extension(False, False)})
    checked.judge_extensions(report, VECTOR, {})
    assert said(report) == [
        "extension vector of database dify_vector is missing, and dify_vector may not create it,"
        ' wanted: CREATE EXTENSION "vector" by a superuser [extension]',
        "extension vector of database dify_vector is not installed on the server,"
        " wanted: its package, then CREATE EXTENSION [extension]",
    ]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("28P01", "site_secrets.postgres_dify is refused for user dify, wanted: its password [login]"),
        ("28000", "no entry"),
        ("3D000", "database dify is missing, wanted: CREATE DATABASE dify OWNER dify [database]"),
        ("53300", "[connections]"),
        ("57P03", "not ready"),
        ("XX000", "XX000 no entry"),
    ],
)
def test_a_refusal_is_said_in_the_words_of_the_user(report: Report, code: str, words: str) -> None:
    checked.refused(report, DIFY, PostgresError(code, "no entry"))
    [line] = said(report)
    assert words in line


class Session:
    """A connection that answers as the databases of a server would."""

    refusals: dict[str, Exception]

    def __init__(self, _tls: Any) -> None:
        self.database = ""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_error: Any) -> None:
        pass

    def login(self, _user: str, _password: str, database: str) -> None:
        self.database = database
        if database in self.refusals:
            raise self.refusals[database]

    def query(self, sql: str) -> list[list[str]]:
        answers = {
            checked.SERVER_QUERY: [list(GOOD)],
            checked.DATABASE_QUERY: [["public", "t", "-1", "-1"]],
            checked.EXTENSIONS_QUERY: [["uuid-ossp", "f", "t"]],
        }
        return answers.get(sql, [["1"]])


def test_one_bad_database_does_not_hide_another(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    third = {**DIFY, "name": "third", "secret": "postgres_third"}
    monkeypatch.setattr(checked, "Connection", Session)
    monkeypatch.setattr(checked.external_tls, "check", lambda *_args: True)
    monkeypatch.setattr(checked.external_tls, "connect", lambda *_args: None)
    refusals = {"dify": LoginMethodError("MD5"), "third": ConnectionResetError("closed the connection")}
    monkeypatch.setattr(Session, "refusals", refusals, raising=False)
    passwords = {"postgres_dify": "x" * 16, "postgres_third": "y" * 16, "postgres_dify_vector": "z" * 16}
    wish = {"connections": 350, "databases": [DIFY, third, VECTOR, {**DIFY, "secret": "postgres_none"}]}
    checked.check(report, wish, passwords, False)
    assert [finding.check for finding in report.findings] == ["login", "protocol", "extension", "secret"]
    assert report.facts["version"] == "15.18"
