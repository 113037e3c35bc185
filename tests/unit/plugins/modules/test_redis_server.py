"""What the module does to a server, and in which order; the server and systemd are played."""

from __future__ import annotations

import getpass
import grp
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.redis_protocol import RedisError
from ansible_collections.onprem.dify.plugins.module_utils.redis_server import Peer, ServerError
from ansible_collections.onprem.dify.plugins.modules import redis_server

ME = getpass.getuser()


class Played:
    """A server with its unit: `log` is all that happened to it."""

    def __init__(self):
        self.log: list[str] = []
        self.running = False
        self.stale = False
        self.settings = {"maxmemory": "100", "databases": "16", "masteruser": "replication", "masterauth": "of-members"}
        self.replication = "role:master\r\nconnected_slaves:0\r\n"
        self.peers: list[Peer] = []
        self.sentinel_lets_in = True
        self.refusals: list[str] = []

    # As a systemd unit
    def look(self):
        return SimpleNamespace(running=self.running, stale=lambda _newest: self.stale)

    def bring(self, action):
        self.log.append(action)
        self.running = action in ("start", "restart", "reload")
        if action == "restart" and "databases" in self.settings:
            self.settings["databases"] = "17"

    def last_words(self):
        return ""

    # As a connection
    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    def close(self):
        pass

    def login(self, user, _password):
        if user == "sentinel" and not self.sentinel_lets_in:
            raise RedisError("WRONGPASS")
        self.log += [f"login of {user}"] if user != "admin" else []
        return self

    def call(self, *words):
        text = " ".join(str(word) for word in words[:3])
        if text.startswith("CONFIG GET"):
            return [part for pair in self.settings.items() for part in pair]
        if text.startswith("INFO"):
            return self.replication
        if text == "PING":
            return "PONG"
        if text.startswith("SENTINEL GET-MASTER"):
            return ["10.0.3.11", "6379"]
        self.log.append(text)
        if text.startswith("SENTINEL FAILOVER"):
            if self.refusals:
                raise RedisError(self.refusals.pop())
            self.replication = "role:slave\r\nmaster_link_status:up\r\n"
        if text.startswith("CONFIG SET"):
            if words[2] == "databases":
                raise RedisError("ERR CONFIG SET failed - can't set immutable config")
            self.settings[words[2]] = words[3]
        return "OK"


@pytest.fixture
def played(monkeypatch):
    server = Played()

    def connect(*_place):
        if not server.running:
            raise ConnectionRefusedError
        return server

    monkeypatch.setattr(redis_server, "Service", lambda *_words: server)
    monkeypatch.setattr(redis_server.Connection, "local", connect)
    monkeypatch.setattr(redis_server.Connection, "over_tls", lambda *_words: server)
    monkeypatch.setattr(redis_server, "ask", lambda *_words: server.peers)
    monkeypatch.setattr(redis_server, "serves_newest_certificate", lambda *_words: True)
    return server


@pytest.fixture
def run(tmp_path, played, monkeypatch):
    for name in ("etc", "data"):
        (tmp_path / name).mkdir()
    group = grp.getgrgid(os.getgid()).gr_name
    # Ownership is that of root in the module; whoever runs the tests stands in for it.
    parse = redis_server.configure.parse_files
    monkeypatch.setattr(
        redis_server.configure,
        "parse_files",
        lambda folders, entries: parse(folders, [{**entry, "owner": ME, "group": group} for entry in entries]),
    )

    def start(check=False, **changes):
        params = {
            "name": "db1",
            "address": "10.0.3.11",
            "port": 6379,
            "peers": [],
            "first_master": "",
            "settings": {"maxmemory": 100, "databases": 16},
            "replication": {"user": "replication", "password": "of-members"},
            "users": [{"name": "check", "password": "of-check", "rules": "+ping +info"}],
            "retire": False,
            "users_only": False,
            "check_user": "check",
            "sentinel": {"port": 26379, "user": "sentinel", "password": "of-sentinel", "master": "dify"},
            "tls": {"certificate": "/c", "key": "/k", "authorities": "/a"},
            "directory": str(tmp_path / "etc"),
            "data": str(tmp_path / "data"),
            "socket": "/socket",
            "unit": "redis-server.service",
            "unit_files": [],
            "owner": ME,
            "seconds": 1,
            **changes,
        }
        module = SimpleNamespace(
            params=params,
            check_mode=check,
            set_default_selinux_context=lambda *_words: None,
            atomic_move=lambda source, target, **_options: Path(source).replace(target),
        )
        played.log.clear()
        return redis_server.Server(module).run()

    return start


def test_a_new_server_is_started_with_its_place_in_the_replication(run, played, tmp_path):
    played.peers = [Peer("db2", "10.0.3.12", "up", "master")]
    result = run()
    assert (tmp_path / "data/role.conf").read_text() == "replicaof 10.0.3.12 6379\n"
    assert played.log == ["start"]
    assert result["changed"]


def test_the_second_run_changes_nothing(run, played):
    run()
    result = run()
    assert not result["changed"]
    assert played.log == []
    assert result["role"] == "master"


def test_the_place_in_the_replication_is_never_written_again(run, played, tmp_path):
    run()
    (tmp_path / "data/role.conf").write_text("replicaof 10.0.3.13 6379\n")
    played.peers = [Peer("db2", "10.0.3.12", "up", "master")]
    assert not run()["changed"]
    assert (tmp_path / "data/role.conf").read_text() == "replicaof 10.0.3.13 6379\n"


def test_data_of_somebody_else_is_refused(run, tmp_path):
    (tmp_path / "data/appendonlydir").mkdir()
    with pytest.raises(ServerError, match="was not written by this server"):
        run()
    assert list((tmp_path / "etc").iterdir()) == []


def test_users_and_settings_change_in_the_running_server(run, played):
    run()
    run(settings={"maxmemory": 200, "databases": 16}, users=[{"name": "check", "password": "new", "rules": "+ping"}])
    assert played.log == ["ACL SETUSER check", "CONFIG SET maxmemory"]


def test_users_can_be_changed_alone_before_anything_else(run, played, tmp_path):
    assert not run(users_only=True)["changed"]
    assert list((tmp_path / "etc").iterdir()) == []
    run()
    new = {"users": [{"name": "check", "password": "new", "rules": "+ping"}]}
    assert run(users_only=True, settings={"maxmemory": 200, "databases": 16}, **new)["changed"]
    assert played.log == ["ACL SETUSER check"]
    assert not run(users_only=True, **new)["changed"]
    assert not run(**new)["changed"]


def test_a_master_with_replicas_hands_over_before_its_restart(run, played):
    run()
    played.replication = "role:master\r\nconnected_slaves:1\r\n"
    run(settings={"maxmemory": 100, "databases": 17})
    assert [step for step in played.log if "login" not in step] == [
        *("CONFIG SET databases", "SENTINEL FAILOVER dify", "restart")
    ]


def test_a_busy_sentinel_is_asked_again(run, played):
    run()
    played.replication = "role:master\r\nconnected_slaves:1\r\n"
    played.refusals = ["NOGOODSLAVE", "INPROG"]
    run(settings={"maxmemory": 100, "databases": 17})
    assert played.log.count("SENTINEL FAILOVER dify") == 3
    assert played.log[-1] == "restart"


def test_a_master_without_replicas_is_restarted_where_it_is(run, played):
    run()
    run(settings={"maxmemory": 100, "databases": 17})
    assert played.log == ["CONFIG SET databases", "restart"]


def test_a_sentinel_whose_password_changes_in_this_run_blocks_nothing(run, played):
    run()
    played.replication = "role:master\r\nconnected_slaves:1\r\n"
    played.sentinel_lets_in = False
    result = run(settings={"maxmemory": 100, "databases": 17})
    assert played.log == ["CONFIG SET databases", "restart"]
    assert "not handed over" in " ".join(result["actions"])


def test_a_changed_unit_is_restarted(run, played):
    run()
    played.stale = True
    run()
    assert played.log == ["restart"]


def test_a_new_certificate_is_a_reload(run, played, monkeypatch):
    run()
    monkeypatch.setattr(redis_server, "serves_newest_certificate", lambda *_words: False)
    run()
    assert played.log == ["reload"]


def test_check_mode_says_what_would_happen_and_does_nothing(run, played, tmp_path):
    assert run(check=True)["changed"]
    assert played.log == []
    assert list((tmp_path / "etc").iterdir()) == []
    run()
    result = run(check=True, settings={"maxmemory": 200, "databases": 16})
    assert result["actions"] == ["CONFIG SET maxmemory"]
    assert played.log == []


def test_no_secret_is_returned(run):
    shown = repr(run()) + repr(run(users=[{"name": "check", "password": "another", "rules": "+ping"}]))
    assert "of-members" not in shown
    assert "another" not in shown
