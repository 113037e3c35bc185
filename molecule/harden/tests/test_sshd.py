"""sshd lets in whom it should, and nobody else."""

from __future__ import annotations

import pytest


@pytest.fixture
def key_of(node):
    """Give a user the operator's key, and take it away again."""
    given = []

    def give(user: str) -> None:
        home = f"$(getent passwd {user} | cut -d: -f6)"
        node.root(f"install -d -m 0700 -o {user} {home}/.ssh")
        node.root(f"install -m 0600 -o {user} /home/operator/.ssh/authorized_keys {home}/.ssh/authorized_keys")
        given.append(user)

    yield give
    for user in given:
        node.root(f"rm -f $(getent passwd {user} | cut -d: -f6)/.ssh/authorized_keys")


def test_the_operator_logs_in_with_a_key(node):
    assert node.login().returncode == 0


def test_root_cannot_log_in_even_with_a_key(node, key_of):
    key_of("root")
    refused = node.login("-lroot", "-oUser=root")
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr


def test_a_user_outside_the_allowed_groups_cannot_log_in(node, key_of):
    node.root("useradd --create-home outsider")
    try:
        key_of("outsider")
        refused = node.login("-oUser=outsider")
    finally:
        node.root("userdel --remove outsider")
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr


def test_passwords_are_not_even_asked_for(node):
    refused = node.login("-oPubkeyAuthentication=no")
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["-oCiphers=aes128-cbc"],
        # A cipher that authenticates by itself would need no MAC.
        ["-oMACs=hmac-sha1", "-oCiphers=aes256-ctr"],
        ["-oKexAlgorithms=diffie-hellman-group14-sha1"],
        ["-oKexAlgorithms=ecdh-sha2-nistp256"],
        ["-oHostKeyAlgorithms=ecdsa-sha2-nistp256"],
    ],
    ids=lambda options: options[0],
)
def test_weak_algorithms_are_refused(node, options):
    refused = node.login("-oLogLevel=INFO", *options)
    assert refused.returncode == 255
    assert "no matching" in refused.stderr


def test_the_session_is_safe_against_quantum_computers(node):
    spoken = node.login("-v", "-oLogLevel=DEBUG1").stderr
    assert "kex: algorithm: sntrup761x25519" in spoken or "kex: algorithm: mlkem768x25519" in spoken


def test_no_tunnel_leads_through_the_host(node):
    refused = node.login("-oExitOnForwardFailure=yes", "-R127.0.0.1:2200:127.0.0.1:22")
    assert refused.returncode == 255


def test_the_banner_is_shown(node):
    assert "Authorized users only" in node.login("-oLogLevel=INFO").stderr


def test_the_files_of_the_distribution_do_not_win(node):
    node.root("echo PermitRootLogin yes > /etc/ssh/sshd_config.d/50-distribution.conf")
    try:
        effective = node.root("sshd -T -C user=operator,host=controller,addr=192.0.2.1").stdout
    finally:
        node.root("rm /etc/ssh/sshd_config.d/50-distribution.conf")
    assert "permitrootlogin no" in effective.splitlines()


def test_nothing_waits_to_be_rolled_back(node):
    assert node.root("find /run/onprem-dify/rollback -name armed").stdout == ""
