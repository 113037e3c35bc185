"""Whether a login would still work."""

from __future__ import annotations

import base64
import struct

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import sshd_login
from ansible_collections.onprem.dify.plugins.module_utils.sshd_login import Account, Key, KeyFile, Login, parse_key

ED25519 = Key("ssh-ed25519", 0, {})
FILE = "/home/ann/.ssh/authorized_keys"
EFFECTIVE = {
    "port": ["22"],
    "listenaddress": ["0.0.0.0:22", "[::]:22"],
    "permitrootlogin": ["no"],
    "allowgroups": ["sudo"],
    "pubkeyauthentication": ["yes"],
    "passwordauthentication": ["no"],
    "kbdinteractiveauthentication": ["no"],
    "pubkeyacceptedalgorithms": ["ssh-ed25519,rsa-sha2-512"],
    "requiredrsasize": ["3072"],
    "authorizedkeysfile": [".ssh/authorized_keys"],
    "authenticationmethods": ["any"],
    "usepam": ["yes"],
}


def account(**changes):
    values = {
        "name": "ann",
        "uid": 1000,
        "groups": ("ann", "sudo"),
        "shell": "/bin/bash",
        "shell_usable": True,
        "password": "set",
    }
    return Account(**{**values, **changes})


def login(keys=(ED25519,), **changes):
    values = {"client": "10.0.0.9", "server": "10.0.0.5", "port": 22, "account": account(), "today": "20250601120000"}
    return Login(key_files=(KeyFile(FILE, tuple(keys)),), **{**values, **changes})


def found(effective=None, **changes):
    return [str(f) for f in sshd_login.findings({**EFFECTIVE, **(effective or {})}, login(**changes))]


def rsa(bits: int) -> str:
    parts = [b"ssh-rsa", b"\1\0\1", b"\0" + (1 << (bits - 1)).to_bytes(bits // 8, "big")]
    return base64.b64encode(b"".join(struct.pack(">I", len(part)) + part for part in parts)).decode()


def test_a_good_login_has_no_findings():
    assert found() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shell": "/usr/sbin/nologin"}, "the shell of ann: found /usr/sbin/nologin"),
        ({"shell": "/bin/gone", "shell_usable": False}, "the shell of ann: found /bin/gone"),
        ({"expired": "the password has expired"}, "the account of ann: found the password has expired"),
        ({"nologin": "/etc/nologin"}, "/etc/nologin: found the file is there"),
        ({"groups": ("ann",)}, "sshd_allow_groups: found sudo, wanted one of the groups of ann: ann"),
    ],
)
def test_an_account_that_cannot_log_in(changes, words):
    assert words in "; ".join(found(account=account(**changes)))


def test_nologin_does_not_stop_root():
    assert found({"permitrootlogin": ["prohibit-password"]}, account=account(uid=0, nologin="/etc/nologin")) == []


def test_a_locked_password_matters_only_without_pam():
    assert found(account=account(password="locked")) == []
    assert "locked" in found({"usepam": ["no"]}, account=account(password="locked"))[0]


@pytest.mark.parametrize(
    ("effective", "words"),
    [
        ({"port": ["2222"], "listenaddress": ["0.0.0.0:2222"]}, "sshd_ports: found 2222, wanted 22 among them"),
        ({"listenaddress": ["10.0.1.5:22"]}, "sshd_listen_addresses: found 10.0.1.5:22, wanted 10.0.0.5"),
        ({"listenaddress": ["[::]:22"]}, "sshd_listen_addresses"),
        ({"denyusers": ["a*"]}, "DenyUsers"),
        ({"allowusers": ["bob"]}, "AllowUsers: found bob, wanted ann from 10.0.0.9 among them"),
        ({"allowusers": ["ann@192.0.2.0/24"]}, "AllowUsers"),
        ({"allowusers": ["*", "!ann"]}, "AllowUsers"),
        ({"allowusers": ["ann@10.0.0.300/33"]}, "AllowUsers"),
        ({"denygroups": ["sudo"]}, "DenyGroups"),
        ({"pubkeyauthentication": ["no"]}, "PubkeyAuthentication is off (passwords are refused)"),
        ({"pubkeyacceptedalgorithms": ["rsa-sha2-512"]}, "ssh-ed25519 is not in sshd_user_key_algorithms"),
        ({"authenticationmethods": ["publickey,password"]}, "a key of ann"),
    ],
)
def test_a_configuration_that_keeps_the_user_out(effective, words):
    assert words in "; ".join(found(effective))


@pytest.mark.parametrize(
    "effective",
    [
        {"allowusers": ["ann@10.0.0.*"]},
        {"allowusers": ["ann@10.0.0.0/24"]},
        {"allowusers": ["a?n"]},
        {"allowgroups": []},
        {"listenaddress": ["10.0.0.5:22"]},
        {"listenaddress": ["some.name:22"]},
        {"authenticationmethods": ["publickey,hostbased", "publickey"]},
        {"authenticationmethods": ["publickey,unheard-of"]},
    ],
)
def test_a_configuration_that_lets_the_user_in(effective):
    assert found(effective) == []


def test_root_is_told_to_come_as_somebody_else():
    (finding,) = found(account=account(name="root", uid=0))
    assert finding.startswith("sshd_permit_root_login: found no, wanted a user other than root")


def test_root_needs_a_key_even_where_passwords_are_on():
    effective = {"permitrootlogin": ["without-password"], "passwordauthentication": ["yes"]}
    assert "a key of root" in found(effective, account=account(name="root", uid=0), keys=[])[0]


def test_a_password_is_enough_where_it_is_accepted():
    assert found({"passwordauthentication": ["yes"]}, keys=[]) == []
    assert found({"kbdinteractiveauthentication": ["yes"]}, keys=[]) == []
    assert (
        "passwords are refused"
        in found({"passwordauthentication": ["yes"]}, keys=[], account=account(password="none"))[0]
    )


def test_without_a_key_the_files_are_named():
    assert f"no key in {FILE}" in found(keys=[])[0]
    nowhere = sshd_login.findings(EFFECTIVE, login()._replace(key_files=()))
    assert "no key in any file" in str(nowhere[0])


def test_a_file_that_strict_modes_refuses_has_no_keys():
    file = KeyFile(FILE, (ED25519,), "/home/ann can be written by others (mode 0777)")
    assert "mode 0777" in str(sshd_login.findings(EFFECTIVE, login()._replace(key_files=(file,)))[0])


@pytest.mark.parametrize("keyword", ["authorizedkeyscommand", "trustedusercakeys"])
def test_keys_from_elsewhere_count_as_possible(keyword):
    assert found({keyword: ["/usr/bin/keys"]}, keys=[]) == []


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (Key("ssh-rsa", 2048, {}), "RSA with 2048 bits, sshd_rsa_min_bits is 3072"),
        (Key("ssh-dss", 0, {}), "ssh-dss is not in"),
        (Key("ssh-ed25519", 0, {"from": "192.0.2.1"}), 'from="192.0.2.1" does not hold 10.0.0.9'),
        (Key("ssh-ed25519", 0, {"from": "*,!10.0.0.9"}), "does not hold"),
        (Key("ssh-ed25519", 0, {"expiry-time": "20250101"}), "expired at 20250101"),
        (Key("ssh-ed25519", 0, {"cert-authority": ""}), "is not in sshd_user_key_algorithms"),
    ],
)
def test_a_key_that_would_not_be_accepted(key, words):
    assert words in found(keys=[key])[0]
    assert found(keys=[key, ED25519]) == []


@pytest.mark.parametrize(
    "key",
    [
        Key("ssh-rsa", 3072, {}),
        Key("ssh-rsa", 0, {}),
        Key("ssh-ed25519", 0, {"from": "10.0.0.0/8"}),
        Key("ssh-ed25519", 0, {"expiry-time": "20260101Z"}),
    ],
)
def test_a_key_that_would_be_accepted(key):
    assert found(keys=[key]) == []


def test_keys_are_read_with_their_options():
    line = 'from="10.0.0.0/8,!10.1.*",command="echo \\"a, b\\"",no-pty ssh-ed25519 AAAA ann@desk'
    assert parse_key(line) == Key(
        "ssh-ed25519", 0, {"from": "10.0.0.0/8,!10.1.*", "command": 'echo "a, b"', "no-pty": ""}
    )
    assert parse_key(f"ssh-rsa {rsa(4096)} x") == Key("ssh-rsa", 4096, {})
    assert parse_key("ssh-rsa garbage").bits == 0
    assert [parse_key(text) for text in ("", "# ssh-ed25519 AAAA", "nonsense", "no-pty", "a b c")] == [None] * 5


def test_the_places_of_keys_are_expanded():
    effective = {"authorizedkeysfile": [".ssh/authorized_keys /etc/keys/%u %h/k none /%U%%"]}
    assert sshd_login.key_paths(effective, "ann", 1000, "/home/ann") == [
        FILE,
        "/etc/keys/ann",
        "/home/ann/k",
        "/1000%",
    ]
