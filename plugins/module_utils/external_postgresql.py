# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the PostgreSQL that a site gives have what Dify needs?"""

from __future__ import annotations

import time
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import external_tls
from ansible_collections.onprem.dify.plugins.module_utils.external_model import Report
from ansible_collections.onprem.dify.plugins.module_utils.postgresql_client import (
    Connection,
    LoginMethodError,
    PostgresError,
    ProtocolError,
    Row,
    offers_tls,
)

OLDEST, TESTED = 15, 15

SERVER_QUERY = """
SELECT current_setting('server_version_num'), current_setting('server_version'), pg_is_in_recovery(),
       current_setting('transaction_read_only'), current_setting('max_connections')
"""
DATABASE_QUERY = """
SELECT current_schema(), coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
       (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),
       (SELECT datconnlimit FROM pg_database WHERE datname = current_database())
"""
# Whoever may create in the database may create trusted extensions, and those that need no superuser.
EXTENSIONS_QUERY = """
SELECT e.name, e.installed_version IS NOT NULL,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
       OR bool_or((v.trusted OR NOT v.superuser) AND has_database_privilege(current_database(), 'CREATE'))
FROM pg_available_extensions e
JOIN pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version
GROUP BY 1, 2
"""


class Server(NamedTuple):
    number: int
    version: str
    recovery: bool
    read_only: bool
    max_connections: int

    @classmethod
    def of(cls, row: Row) -> Server:
        number, version, recovery, read_only, limit = (value or "" for value in row)
        return cls(int(number), version, recovery == "t", read_only == "on", int(limit))

    @property
    def major(self) -> int:
        return self.number // 10000


class Extension(NamedTuple):
    installed: bool
    creatable: bool


def check(report: Report, wish: Mapping[str, Any], passwords: Mapping[str, str], require_tls13: bool) -> None:
    if not external_tls.check(report, offers_tls, require_tls13):
        return
    server: Optional[Server] = None
    for database in wish["databases"]:
        password = report.password(passwords, database["secret"])
        if not password:
            continue
        try:
            with Connection(external_tls.connect(report.service, offers_tls)) as connection:
                connection.login(database["owner"], password, database["name"])
                if server is None:
                    server = _server(report, connection, int(wish["connections"]))
                if server.major >= OLDEST:
                    _database(report, connection, database)
        except PostgresError as error:
            refused(report, database, error)
        except LoginMethodError as error:
            judge_method(report, database, str(error))
        except (OSError, ProtocolError) as error:
            found = f"{report.service.port}, where the service {error}"
            report.finding("protocol", report.service.variable("port"), found, "PostgreSQL")


def _server(report: Report, connection: Connection, wanted: int) -> Server:
    server = Server.of(connection.query(SERVER_QUERY)[0])
    judge_server(report, server, wanted)
    seconds = []
    for _question in range(5):
        started = time.monotonic()
        connection.query("SELECT 1")
        seconds.append(time.monotonic() - started)
    report.round_trip(seconds)
    return server


def _database(report: Report, connection: Connection, database: Mapping[str, Any]) -> None:
    judge_database(report, database, connection.query(DATABASE_QUERY)[0])
    extensions = {
        str(name): Extension(installed == "t", creatable == "t")
        for name, installed, creatable in connection.query(EXTENSIONS_QUERY)
    }
    judge_extensions(report, database, extensions)


def judge_server(report: Report, server: Server, wanted: int) -> None:
    variable = report.service.variable
    report.facts["version"] = server.version
    found = f"PostgreSQL {server.version}"
    if server.major < OLDEST:
        report.finding("version", variable("host"), found, f"{OLDEST} or newer")
    elif server.major != TESTED:
        report.note("version-other", variable("host"), f"{found}, accepted and not tested", f"{TESTED}")
    if server.recovery or server.read_only:
        what = "a standby" if server.recovery else "read-only (default_transaction_read_only)"
        report.finding("read-write", variable("host"), what, "the primary, which takes writes")
    if server.max_connections < wanted:
        report.finding(
            "connections",
            "max_connections",
            str(server.max_connections),
            f"{wanted} or more, which {variable('expected_clients')} and its reserve come to",
        )


def judge_database(report: Report, database: Mapping[str, Any], row: Row) -> None:
    schema, may_create, of_user, of_database = row
    name, owner = database["name"], database["owner"]
    if may_create != "t":
        found = f"closed to {owner}" if schema else f"not in the search_path of {owner}"
        wanted = f"GRANT USAGE, CREATE ON SCHEMA {schema or 'public'} TO {owner}"
        report.finding("schema", f"schema {schema or 'public'} of database {name}", found, wanted)
    for what, limit in ((f"user {owner}", of_user), (f"database {name}", of_database)):
        if limit and limit != "-1":
            wanted = "no limit, or one that fits the planned clients"
            report.note("connections-limit", f"CONNECTION LIMIT of {what}", limit, wanted)


def judge_extensions(report: Report, database: Mapping[str, Any], found: Mapping[str, Extension]) -> None:
    for name in database["extensions"]:
        extension = found.get(name)
        variable = f"extension {name} of database {database['name']}"
        if extension is None:
            report.finding("extension", variable, "not installed on the server", "its package, then CREATE EXTENSION")
        elif not extension.installed and not extension.creatable:
            found_as = f"missing, and {database['owner']} may not create it"
            report.finding("extension", variable, found_as, f'CREATE EXTENSION "{name}" by a superuser')


def judge_method(report: Report, database: Mapping[str, Any], method: str) -> None:
    report.finding(
        "login",
        f"login of {database['owner']}",
        f"by {method}",
        "scram-sha-256 in pg_hba.conf, and a password that was set with password_encryption = scram-sha-256",
    )


def refused(report: Report, database: Mapping[str, Any], error: PostgresError) -> None:
    """Say in the user's words what the server said no to."""
    name, owner = database["name"], database["owner"]
    meanings: Dict[str, Sequence[str]] = {
        "28P01": ("login", f"site_secrets.{database['secret']}", f"refused for user {owner}", "its password"),
        "28000": ("login", f"login of {owner} to {name}", f"refused ({error})", "hostssl for it in pg_hba.conf"),
        "3D000": ("database", f"database {name}", "missing", f"CREATE DATABASE {name} OWNER {owner}"),
        "42501": ("login", f"login of {owner} to {name}", f"refused ({error})", f"GRANT CONNECT to {owner}"),
        "53300": ("connections", f"login of {owner} to {name}", f"refused ({error})", "connections that are free"),
        "57P03": ("protocol", report.service.variable("host"), f"not ready ({error})", "a server that is up"),
    }
    unknown = ("protocol", f"login of {owner} to {name}", f"refused ({error.code} {error})", "an answer")
    report.finding(*meanings.get(error.code, unknown))
