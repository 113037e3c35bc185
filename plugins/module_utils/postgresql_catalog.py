# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles and databases of PostgreSQL as they are wished and found, and the statements in between. No Ansible, no I/O."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import scram

# Asked in the database `postgres`. The answer holds verifiers of passwords and goes nowhere.
SERVER_QUERY = """
SELECT json_build_object(
  'standby', pg_is_in_recovery(),
  'roles', (SELECT coalesce(json_object_agg(r.rolname, json_build_object(
      'login', r.rolcanlogin,
      'privileged', r.rolsuper OR r.rolcreatedb OR r.rolcreaterole OR r.rolbypassrls,
      'replication', r.rolreplication,
      'verifier', coalesce(r.rolpassword, ''),
      'member_of', (SELECT coalesce(json_agg(g.rolname), '[]') FROM pg_auth_members m
                    JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid))), '{}')
    FROM pg_authid r WHERE r.rolname !~ '^pg_'),
  'databases', (SELECT coalesce(json_object_agg(d.datname, json_build_object(
      'owner', pg_get_userbyid(d.datdba),
      'public', EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) WHERE grantee = 0))),
    '{}') FROM pg_database d))
"""
# Asked in each wished database that exists.
DATABASE_QUERY = """
SELECT json_build_object(
  'extensions', (SELECT coalesce(json_agg(extname), '[]') FROM pg_extension),
  'public_create', EXISTS (SELECT FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
    WHERE n.nspname = 'public' AND a.grantee = 0 AND a.privilege_type = 'CREATE'))
"""
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_MAINTENANCE = "postgres"


class CatalogError(Exception):
    """The wish cannot be fulfilled; the text is for the user."""


class Role(NamedTuple):
    """Somebody who logs in with a password and has no rights over the server."""

    name: str
    password: str
    replication: bool = False
    member_of: Sequence[str] = ()


class Database(NamedTuple):
    name: str
    owner: str
    extensions: Sequence[str] = ()


class Step(NamedTuple):
    """Statements for one database, in one transaction unless `alone`. `shown` is the same without secrets."""

    database: str
    statements: Sequence[str]
    shown: Sequence[str]
    alone: bool = False

    def script(self) -> str:
        lines = [f"{statement};" for statement in self.statements]
        if self.alone:
            return "\n".join(lines)
        # Not even verifiers belong into the log.
        return "\n".join(["BEGIN;", "SET LOCAL log_statement = 'none';", *lines, "COMMIT;"])


def roles(passwords: Mapping[str, str], special: Sequence[Mapping[str, Any]]) -> List[Role]:
    """Every role that has a password, with what is special about some."""
    by_name = {entry["name"]: entry for entry in special}
    without = sorted(set(by_name) - set(passwords))
    if without:
        raise CatalogError(f"role {without[0]} has no password")
    return [Role(**{"name": name, "password": passwords[name], **by_name.get(name, {})}) for name in sorted(passwords)]


def check(roles: Sequence[Role], databases: Sequence[Database]) -> None:
    for name in [role.name for role in roles] + [database.name for database in databases]:
        if not _NAME.fullmatch(name) or name in ("postgres", "template0", "template1") or name.startswith("pg_"):
            raise CatalogError(
                f"{name!r} is no name for a role or a database of a site: lower case letters, digits, _ and -"
            )
    known = {role.name for role in roles}
    for database in databases:
        if database.owner not in known:
            raise CatalogError(f"database {database.name}: there is no role {database.owner} to own it")


def plan(
    roles: Sequence[Role],
    databases: Sequence[Database],
    server: Mapping[str, Any],
    contents: Mapping[str, Mapping[str, Any]],
) -> List[Step]:
    """The steps in their order. `server` and `contents` (by database) answer the queries; nothing is dropped."""
    check(roles, databases)
    steps = []
    in_server = _Statements()
    for role in roles:
        _role(role, server["roles"].get(role.name), in_server)
    steps += in_server.step(_MAINTENANCE)
    for database in databases:
        found = server["databases"].get(database.name)
        name = quote_name(database.name)
        if found is None:
            create = f"CREATE DATABASE {name} OWNER {quote_name(database.owner)} TEMPLATE template0 ENCODING 'UTF8'"
            steps.append(Step(_MAINTENANCE, [create], [create], alone=True))
            found = {"owner": database.owner, "public": True}
        inside = _Statements()
        if found["owner"] != database.owner:
            inside.add(f"ALTER DATABASE {name} OWNER TO {quote_name(database.owner)}")
        if found["public"]:
            inside.add(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        content = contents.get(database.name, {"extensions": [], "public_create": False})
        if content["public_create"]:
            inside.add("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        for extension in database.extensions:
            if extension not in content["extensions"]:
                inside.add(f"CREATE EXTENSION {quote_name(extension)} SCHEMA public")
        steps += inside.step(database.name)
    return steps


class _Statements:
    def __init__(self) -> None:
        self._real: List[str] = []
        self._shown: List[str] = []

    def add(self, statement: str, shown: str = "") -> None:
        self._real.append(statement)
        self._shown.append(shown or statement)

    def step(self, database: str) -> List[Step]:
        return [Step(database, self._real, self._shown)] if self._real else []


def _role(role: Role, found: Any, statements: _Statements) -> None:
    name = quote_name(role.name)
    attributes = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS " + (
        "REPLICATION" if role.replication else "NOREPLICATION"
    )
    if found is None:
        statements.add(f"CREATE ROLE {name} {attributes}")
        found = {"login": True, "privileged": False, "replication": role.replication, "verifier": "", "member_of": []}
    elif not found["login"] or found["privileged"] or found["replication"] != role.replication:
        statements.add(f"ALTER ROLE {name} {attributes}")
    if not scram.matches(role.password, found["verifier"]):
        statements.add(
            f"ALTER ROLE {name} PASSWORD {quote_text(scram.verifier(role.password))}",
            shown=f"ALTER ROLE {name} PASSWORD (not shown)",
        )
    for group in sorted(set(role.member_of) - set(found["member_of"])):
        statements.add(f"GRANT {quote_name(group)} TO {name}")


def quote_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def diff(steps: Sequence[Step]) -> Dict[str, str]:
    after = "".join(f"{step.database}: {line}\n" for step in steps for line in step.shown)
    return {"before_header": "PostgreSQL", "before": "", "after_header": "PostgreSQL", "after": after}
