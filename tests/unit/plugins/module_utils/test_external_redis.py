"""What is said about a Redis from what it answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import external_redis as checked
from ansible_collections.onprem.dify.plugins.module_utils.external_model import Report, Service
from ansible_collections.onprem.dify.plugins.module_utils.redis_protocol import RedisError

WISH = {"user": "dify", "secret": "redis_dify", "databases": [0, 1, 2]}
INFO = "redis_version:7.0.15\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n"


class Server:
    """What a Redis does with the few commands of the check."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.content: dict[str, str] = {}
        self.message: list[str] = []
        self.commands: list[str] = []

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_error: Any) -> None:
        pass

    def login(self, user: str, password: str) -> Server:
        self.call("AUTH", user, password)
        return self

    def call(self, command: str, *words: Any) -> Any:
        self.commands.append(command)
        if command in self.answers:
            answer = self.answers[command]
            if isinstance(answer, Exception):
                raise answer
            return answer
        answered: Any = getattr(self, command.lower(), lambda *_words: "OK")(*words)
        return answered

    def info(self, part: str) -> str:
        return INFO if part == "server" else ""

    def set(self, name: str, content: str, _ex: str, _seconds: int) -> None:
        self.content[name] = content

    def get(self, name: str) -> str | None:
        return self.content.get(name)

    def ttl(self, _name: str) -> int:
        return 60

    def delete(self, name: str) -> int:
        return 1 if self.content.pop(name, None) else 0

    def publish(self, channel: str, content: str) -> None:
        self.message = ["message", channel, content]

    def ping(self) -> Any:
        return self.message or "PONG"


# `del` is a word of Python.
setattr(Server, "del", Server.delete)

Try = Callable[[Server], list[str]]


@pytest.fixture
def attempt(monkeypatch: pytest.MonkeyPatch) -> Try:
    def attempt(server: Server) -> list[str]:
        report = Report(Service("redis", "10.0.0.60", 6379, ["10.0.0.60"], "", "", 5))
        monkeypatch.setattr(checked, "_open", lambda _service: server)
        monkeypatch.setattr(checked.external_tls, "check", lambda *_args: True)
        checked.check(report, WISH, {"redis_dify": "a password of the test"}, False)
        return [str(finding).removeprefix("redis 10.0.0.60:6379: ") for finding in report.findings]

    return attempt


def test_a_good_server_keeps_nothing(attempt: Try) -> None:
    server = Server()
    assert attempt(server) == []
    assert server.content == {}


@pytest.mark.parametrize(
    ("info", "line"),
    [
        (
            "redis_version:6.0.16\r\nrole:master\r\n",
            "external_redis.host is Redis 6.0.16, wanted: 6.2 or newer [version]",
        ),
        ("role:master\r\n", "external_redis.host is Redis of an unknown version, wanted: 6.2 or newer [version]"),
        (
            "redis_version:7.2.4\r\nrole:slave\r\n",
            "external_redis.host is a replica, wanted: the master, which takes writes [read-write]",
        ),
        (
            INFO.replace("noeviction", "volatile-lru"),
            "maxmemory-policy is volatile-lru,"
            " wanted: noeviction, as what is queued must not be thrown away [eviction]",
        ),
    ],
)
def test_what_does_not_fit_is_named(attempt: Try, info: str, line: str) -> None:
    assert attempt(Server(INFO=info)) == [line]


def test_a_policy_that_cannot_be_read_is_no_finding(attempt: Try) -> None:
    assert attempt(Server(INFO="redis_version:7.0.15\r\nrole:master\r\n")) == []


@pytest.mark.parametrize(
    ("command", "answer", "check"),
    [
        ("AUTH", RedisError("WRONGPASS invalid username-password pair or user is disabled."), "login"),
        ("INFO", RedisError("NOPERM this user has no permissions to run the 'info' command"), "protocol"),
        ("SET", RedisError("NOPERM"), "keys"),
        ("GET", "other", "keys"),
        ("TTL", -1, "keys"),
        ("DEL", 0, "keys"),
        ("PUBLISH", RedisError("NOPERM"), "messages"),
        ("PING", "PONG", "messages"),
    ],
)
def test_what_dify_does_and_may_not_do_is_named(attempt: Try, command: str, answer: Any, check: str) -> None:
    [line] = attempt(Server(**{command: answer}))
    assert line.endswith(f"[{check}]")


def test_a_cluster_has_one_database_only(attempt: Try) -> None:
    lines = attempt(Server(SELECT=RedisError("ERR SELECT is not allowed in cluster mode")))
    assert len(lines) == 3
    assert "external_redis.databases is database 0, refused (ERR SELECT is not allowed in cluster mode)" in lines[0]


def test_a_key_that_was_written_goes_even_if_it_reads_wrong(attempt: Try) -> None:
    server = Server(TTL=-1)
    attempt(server)
    assert server.content == {}
