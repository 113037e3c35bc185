"""What sshd reads of the files of a user, and where a drop-in has it listen."""

from __future__ import annotations

import os
import pwd

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import sshd_host
from ansible_collections.onprem.dify.plugins.module_utils.sshd import Finding


@pytest.fixture
def user(tmp_path):
    tmp_path.chmod(0o700)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    keys = tmp_path / ".ssh" / "authorized_keys"
    keys.write_text("# mine\nssh-ed25519 AAAA ann\n")
    keys.chmod(0o600)
    return pwd.struct_passwd(("ann", "x", os.getuid(), 54321, "", str(tmp_path), "/bin/bash"))


def keys_of(user, strict=True):
    return sshd_host.read_keys(f"{user.pw_dir}/.ssh/authorized_keys", user, strict)


def test_keys_that_only_the_user_can_change_are_read(user):
    found = keys_of(user)
    assert (len(found.keys), found.refused) == (1, "")


@pytest.mark.parametrize("path", [".ssh/authorized_keys", ".ssh", ""])
def test_keys_that_others_can_change_are_refused(user, tmp_path, path):
    (tmp_path / path).chmod(0o777)
    assert "can be written by others (mode 0777)" in keys_of(user).refused
    assert keys_of(user, strict=False).refused == ""


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_keys_of_somebody_else_are_refused(user, tmp_path):
    os.chown(tmp_path / ".ssh", 12345, 12345)
    assert "belongs to another user" in keys_of(user).refused


def test_keys_that_cannot_be_read_are_refused(user, tmp_path):
    (tmp_path / ".ssh" / "authorized_keys").unlink()
    assert "No such file" in keys_of(user).refused


def test_a_group_without_others_may_write(user, monkeypatch):
    monkeypatch.setattr(sshd_host.grp, "getgrgid", lambda gid: sshd_host.grp.struct_group(("g", "x", gid, ["ann"])))
    assert sshd_host.private_group(54321, user)
    assert not sshd_host.private_group(7, user)
    monkeypatch.setattr(sshd_host.grp, "getgrgid", lambda gid: sshd_host.grp.struct_group(("g", "x", gid, ["bob"])))
    assert not sshd_host.private_group(54321, user)


def test_an_unknown_group_is_nobodys_and_goes_by_its_number(user):
    assert not sshd_host.private_group(54321, user)
    assert sshd_host.group_name(54321) == "54321"


def test_ports_and_addresses_are_what_a_socket_cares_about():
    assert sshd_host.ports("Port 22\nUseDNS no\nListenAddress ::1\n") == [("22",), ("::1",)]


def test_a_finding_is_told_once():
    finding = Finding("a", "b", "c")
    assert sshd_host.sentences([finding, finding]) == "a: found b, wanted c"
