"""The SSH login through which a module runs."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import login_session
from ansible_collections.onprem.dify.plugins.module_utils.login_session import Session, Stamp, find_session

ME = pwd.getpwuid(os.getuid()).pw_name
TICKS = os.sysconf("SC_CLK_TCK")
CONNECTION = b"SSH_CONNECTION=10.0.0.9 50000 10.0.0.5 22"


@pytest.fixture
def proc(tmp_path):
    def process(pid: int, parent: int, command: str, environ: bytes = b"", seconds: int = 10) -> None:
        directory = tmp_path / str(pid)
        directory.mkdir()
        fields = ["S", str(parent), *["0"] * 17, str(seconds * TICKS), "0"]
        (directory / "stat").write_text(f"{pid} ({command}) {' '.join(fields)}\n")
        (directory / "environ").write_bytes(environ)

    process.path = str(tmp_path)
    return process


def test_the_login_is_found_above_sudo(proc):
    proc(50, 40, "python3", b"HOME=/root\0")
    proc(40, 30, "sudo", b"\0")
    proc(30, 20, "sh", b"A=1\0" + CONNECTION + b"\0")
    proc(20, 10, "sshd", seconds=7)
    proc(10, 1, "sshd", seconds=3)
    assert find_session(50, proc.path) == Session(ME, "10.0.0.9", "10.0.0.5", 22, 7.0)


def test_newer_servers_call_their_processes_otherwise(proc):
    proc(30, 20, "sh) (odd", CONNECTION)
    proc(20, 10, "sshd-session", seconds=7)
    assert find_session(30, proc.path).started == 7.0


def test_the_nearest_login_counts_where_one_runs_in_another(proc):
    proc(50, 40, "sh", CONNECTION)
    proc(40, 30, "sshd", seconds=9)
    proc(30, 20, "sh", b"SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22")
    proc(20, 1, "sshd", seconds=1)
    assert find_session(50, proc.path).client == "10.0.0.9"


def test_another_server_than_openssh_is_fine(proc):
    proc(30, 20, "sh", CONNECTION, seconds=5)
    proc(20, 1, "dropbear")
    assert find_session(30, proc.path).started == 5.0


def test_a_console_is_no_login_over_ssh(proc):
    proc(30, 20, "bash", b"HOME=/root\0")
    proc(20, 1, "login")
    assert find_session(30, proc.path) is None
    assert find_session(99, proc.path) is None


@pytest.mark.parametrize("value", [b"", b"10.0.0.9 50000", b"a b c port"])
def test_nonsense_is_no_login(proc, value):
    proc(30, 1, "sh", b"SSH_CONNECTION=" + value)
    assert find_session(30, proc.path) is None


def test_an_unknown_user_is_no_login(proc, monkeypatch):
    proc(30, 1, "sh", CONNECTION)
    monkeypatch.setattr(login_session.pwd, "getpwuid", lambda uid: {}[uid])
    assert find_session(30, proc.path) is None


def test_only_a_login_after_the_change_counts(tmp_path: Path):
    stamp = Stamp("sshd_config", str(tmp_path / "run"))
    later = Session(ME, "", "", 22, 1e12)
    assert not stamp.is_before(later)
    stamp.set()
    assert stamp.is_before(later)
    assert not stamp.is_before(later._replace(started=0.0))
