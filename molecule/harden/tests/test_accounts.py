"""Passwords are good, failures lock, idle shells end, and administrators can still work."""

from __future__ import annotations

import shlex

import pytest

GOOD = "Quince7!Lantern-Moss"


@pytest.fixture(scope="module")
def person(node, only_one):
    """A user with a password, who may use su."""
    group = "$(getent group sudo wheel | head -n 1 | cut -d: -f1)"
    node.root(f"useradd --create-home --shell /bin/bash --groups {group} tester")
    set_password(node, GOOD)
    yield "tester"
    node.root("faillock --user tester --reset; userdel --remove tester; sed -i /^tester:/d /etc/security/opasswd")


def set_password(node, password: str):
    return node.root(f"echo {shlex.quote('tester:' + password)} | chpasswd")


def become(node, password: str, caller: str = "operator"):
    """Become the tester as somebody who is not root, through su and PAM."""
    drop = f"setpriv --reuid={caller} --regid={caller} --init-groups"
    return node.root(f"cd /; echo {shlex.quote(password)} | {drop} su tester -c 'id -un'")


@pytest.mark.parametrize(
    "weak",
    [
        pytest.param("Aa1!Bq7?Xz", id="too short"),
        pytest.param("quince7!lantern-moss", id="no upper case"),
        pytest.param("QUINCE7!LANTERN-MOSS", id="no lower case"),
        pytest.param("Quince!Lantern-Moss", id="no digit"),
        pytest.param("Quince7Lantern9Moss", id="no symbol"),
        pytest.param("Quince7!tester-Moss", id="the name of the user"),
    ],
)
def test_a_weak_password_is_refused(node, person, weak):
    refused = set_password(node, weak)
    assert refused.returncode != 0
    assert "BAD PASSWORD" in refused.stderr


def test_a_good_password_opens_the_account(node, person):
    assert become(node, GOOD).stdout.strip() == person


def test_an_old_password_cannot_be_used_again(node, person):
    refused = set_password(node, GOOD)
    assert refused.returncode != 0
    assert "already used" in refused.stderr


def test_five_failures_lock_an_account_and_the_right_password_does_not_open_it(node, person):
    for _ in range(4):
        assert become(node, "wrong").returncode != 0
    assert become(node, GOOD).returncode == 0, "four failures must not lock"
    for _ in range(5):
        assert become(node, "wrong").returncode != 0
    assert become(node, GOOD).returncode != 0
    node.root(f"faillock --user {person} --reset")
    assert become(node, GOOD).returncode == 0


def test_only_administrators_become_another_user_with_su(node, person):
    node.root("useradd --create-home --shell /bin/bash plain")
    try:
        refused = become(node, GOOD, caller="plain")
    finally:
        node.root("userdel --remove plain")
    assert refused.returncode != 0


def test_new_passwords_grow_old(node, person):
    assert "90" in node.root(f"chage --list {person} | grep Maximum").stdout


@pytest.mark.parametrize("shell", ["sh -l", "bash -l", "bash -i", "zsh -l", "zsh -i"])
def test_idle_shells_end_and_nobody_can_change_that(node, shell):
    if node.run(f"command -v {shell.split()[0]}").returncode != 0:
        pytest.skip(f"{shell.split()[0]} is not installed")
    assert node.run(f"{shell} -c 'echo $TMOUT $(umask)'").stdout.split()[0] == "600"
    assert int(node.run(f"{shell} -c umask").stdout, 8) == 0o027
    assert node.run(f"{shell} -c '(TMOUT=0) && echo changed'").stdout == ""


def test_a_shell_in_a_login_shell_does_not_complain(node):
    assert "TMOUT" not in node.run("bash -l -i -c 'bash -i -c true' 2>&1").stdout


def test_what_sudo_makes_is_readable_as_ever(node):
    made = node.run("umask 027; sudo touch /run/by-sudo; stat -c %a /run/by-sudo; sudo rm /run/by-sudo")
    assert made.stdout.strip() == "644"


def test_sudo_writes_down_what_was_done(node):
    node.run("sudo test -e /written-down")
    assert "/written-down" in node.root("cat /var/log/sudo.log").stdout


def test_accounts_of_the_system_have_no_shell_and_no_password(node):
    script = "awk -F: '$3 > 0 && $3 < 1000 && $7 !~ /(nologin|false|sync)$/ {print $1}' /etc/passwd"
    assert set(node.root(script).stdout.split()) <= {"postgres"}
    assert node.root("awk -F: '$2 == \"\" {print $1}' /etc/shadow").stdout == ""


def test_homes_are_closed_to_others(node):
    assert node.root("find /home -mindepth 1 -maxdepth 1 -perm /027").stdout == ""
