# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the Redis that a site gives do what Dify needs?"""

from __future__ import annotations

import re
import secrets
import time
from functools import partial
from typing import Any, Callable, List, Mapping, Tuple

from ansible_collections.onprem.dify.plugins.module_utils import external_tls
from ansible_collections.onprem.dify.plugins.module_utils.external_model import Report, Service
from ansible_collections.onprem.dify.plugins.module_utils.redis_protocol import Connection, RedisError
from ansible_collections.onprem.dify.plugins.module_utils.redis_server import parse_info

OLDEST = (6, 2)
SECONDS_TO_LIVE = 60


def check(report: Report, wish: Mapping[str, Any], passwords: Mapping[str, str], require_tls13: bool) -> None:
    password = report.password(passwords, wish["secret"])
    if not external_tls.check(report, external_tls.at_once, require_tls13) or not password:
        return
    try:
        with _open(report.service) as connection:
            if _login(report, connection, wish, password):
                _ask(report, connection, wish, password)
    except (OSError, ValueError) as error:
        found = f"{report.service.port}, where the service gives no proper answer ({error})"
        report.finding("protocol", report.service.variable("port"), found, "Redis or Valkey")


def _open(service: Service) -> Connection:
    return Connection(external_tls.connect(service, external_tls.at_once))


def _login(report: Report, connection: Connection, wish: Mapping[str, Any], password: str) -> bool:
    try:
        connection.login(wish["user"], password)
    except RedisError as error:
        found = f"refused for user {wish['user']} ({shown(error)})"
        report.finding("login", f"site_secrets.{wish['secret']}", found, "its password")
        return False
    return True


def _ask(report: Report, connection: Connection, wish: Mapping[str, Any], password: str) -> None:
    variable, user = report.service.variable, wish["user"]
    try:
        info = "".join(connection.call("INFO", part) for part in ("server", "replication", "memory"))
        judge_info(report, parse_info(info))
    except RedisError as error:
        report.finding("protocol", f"INFO for user {user}", f"refused ({shown(error)})", f"ACL SETUSER {user} +info")
    for number in wish["databases"]:
        attempt(report, "database", variable("databases"), f"database {number}", partial(select, connection, number))
    if not any(finding.check == "read-write" for finding in report.findings):
        attempt(report, "keys", variable("user"), user, partial(keys, connection))
    attempt(report, "messages", variable("user"), user, partial(messages, report, connection, user, password))
    seconds: List[float] = []
    for _question in range(5):
        started = time.monotonic()
        connection.call("PING")
        seconds.append(time.monotonic() - started)
    report.round_trip(seconds)


def attempt(report: Report, check_id: str, variable: str, what: str, action: Callable[[], str]) -> None:
    """Do what Dify does; `action` returns what went wrong."""
    try:
        wrong = action()
    except RedisError as error:
        wrong = f"refused ({shown(error)})"
    if wrong:
        wanted = {
            "database": "databases that can be selected, so no cluster",
            "keys": "a user that may use all keys: ~* +@all -@admin -@dangerous +info +keys",
            "messages": "a user that may use all channels: &* +@pubsub",
        }[check_id]
        report.finding(check_id, variable, f"{what}, {wrong}", wanted)


def select(connection: Connection, number: int) -> str:
    connection.call("SELECT", number)
    return ""


def keys(connection: Connection) -> str:
    name, content = f"onprem-dify-check:{secrets.token_hex(8)}", secrets.token_hex(8)
    connection.call("SET", name, content, "EX", SECONDS_TO_LIVE)
    try:
        if connection.call("GET", name) != content:
            return "which reads other than it wrote"
        if not 0 < connection.call("TTL", name) <= SECONDS_TO_LIVE:
            return "whose keys do not expire"
    finally:
        deleted = connection.call("DEL", name)
    return "" if deleted == 1 else "which does not delete"


def messages(report: Report, connection: Connection, user: str, password: str) -> str:
    channel, content = f"onprem-dify-check:{secrets.token_hex(8)}", secrets.token_hex(8)
    with _open(report.service) as subscriber:
        subscriber.login(user, password)
        subscriber.call("SUBSCRIBE", channel)
        connection.call("PUBLISH", channel, content)
        # The message stands before the answer to whatever is asked next.
        received = subscriber.call("PING")
    return "" if received == ["message", channel, content] else "whose message does not arrive"


def judge_info(report: Report, info: Mapping[str, str]) -> None:
    variable = report.service.variable
    version = info.get("redis_version", "")
    report.facts["version"] = version
    if numbers(version) < OLDEST:
        report.finding("version", variable("host"), f"Redis {version or 'of an unknown version'}", "6.2 or newer")
    role = info.get("role", "of an unknown role")
    if role != "master":
        found = "a replica" if role == "slave" else role
        report.finding("read-write", variable("host"), found, "the master, which takes writes")
    policy = info.get("maxmemory_policy", "")
    if policy and policy != "noeviction":
        report.finding("eviction", "maxmemory-policy", policy, "noeviction, as what is queued must not be thrown away")


def numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def shown(error: RedisError) -> str:
    """The server's own words, without the hint at its documentation."""
    return str(error).split(".", maxsplit=1)[0]
