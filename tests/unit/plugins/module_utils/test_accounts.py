"""What has to change in the accounts of a host."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import accounts
from ansible_collections.onprem.dify.plugins.module_utils.local_users import (
    Shadow,
    User,
    parse_passwd,
    parse_shadow,
)

TODAY = 20000
POLICY = accounts.Policy(
    maximum=90,
    minimum=1,
    warning=7,
    inactive=30,
    ageing_exempt=frozenset({"backup-robot"}),
    shell_exempt=frozenset({"postgres"}),
    lock_root=False,
    home_mode=0o750,
    nologin="/usr/sbin/nologin",
    first_uid=1000,
)
ANN = User("ann", "x", 1000, 1000, "/home/ann", "/bin/bash")
OLD = Shadow("ann", "$y$hash", TODAY - 10, 0, 99999, 7, None)
GOOD = Shadow("ann", "$y$hash", TODAY - 10, 1, 90, 7, 30)


def plan(user=ANN, entry=GOOD, homes=None, policy=POLICY, connecting="operator"):
    shadow = {entry.name: entry} if entry else {}
    return accounts.plan([user], shadow, homes or {}, policy, connecting, TODAY)


def test_an_account_in_order_is_left_alone():
    assert plan() == []
    assert plan(entry=None) == []


def test_the_password_of_a_person_grows_old():
    assert [change.command for change in plan(entry=OLD)] == [
        ("chage", "-M", "90", "ann"),
        ("chage", "-m", "1", "ann"),
        ("chage", "-I", "30", "ann"),
    ]


def test_who_was_away_for_long_is_not_closed_out():
    away = OLD._replace(changed=TODAY - 90 - 31)
    assert "-I" not in [change.command[1] for change in plan(entry=away)]
    just = OLD._replace(changed=TODAY - 90 - 30)
    assert "-I" in [change.command[1] for change in plan(entry=just)]


@pytest.mark.parametrize(
    ("user", "entry"),
    [
        pytest.param(ANN._replace(name="operator"), OLD._replace(name="operator"), id="whom Ansible comes as"),
        pytest.param(ANN._replace(name="backup-robot"), OLD._replace(name="backup-robot"), id="exempt"),
        pytest.param(User("root", "x", 0, 0, "/root", "/bin/bash"), OLD._replace(name="root"), id="root"),
        pytest.param(ANN, OLD._replace(password="!"), id="a locked password"),
        pytest.param(ANN, OLD._replace(password="*"), id="no password"),
    ],
)
def test_some_do_not_age(user, entry):
    assert plan(user, entry) == []


def test_an_empty_password_is_locked_even_of_the_operator():
    (change,) = plan(ANN, GOOD._replace(password=""), connecting="ann")
    assert (change.before, change.after, change.command) == ("empty", "locked", ("usermod", "-L", "ann"))


def test_root_keeps_its_password_unless_it_shall_not():
    root, entry = User("root", "x", 0, 0, "/root", "/bin/bash"), GOOD._replace(name="root")
    assert plan(root, entry) == []
    (change,) = plan(root, entry, policy=POLICY._replace(lock_root=True))
    assert change.command == ("usermod", "-L", "root")


def test_an_account_of_the_system_has_neither_password_nor_shell():
    user = User("games", "x", 5, 60, "/usr/games", "/bin/sh")
    changes = plan(user, GOOD._replace(name="games"))
    assert [change.command for change in changes] == [
        ("usermod", "-L", "games"),
        ("usermod", "-s", "/usr/sbin/nologin", "games"),
    ]


@pytest.mark.parametrize(
    "user",
    [
        User("sync", "x", 4, 65534, "/bin", "/bin/sync"),
        User("www", "x", 33, 33, "/var/www", "/usr/sbin/nologin"),
        User("postgres", "x", 110, 110, "/var/lib/postgresql", "/bin/bash"),
        User("operator", "x", 900, 900, "/home/operator", "/bin/bash"),
        User("root", "x", 0, 0, "/root", "/bin/bash"),
    ],
)
def test_some_shells_stay(user):
    assert plan(user, None) == []


def test_nobody_is_of_the_system():
    (change,) = plan(User("nobody", "x", 65534, 65534, "/nonexistent", "/bin/sh"), None)
    assert change.after == "/usr/sbin/nologin"


def test_an_account_without_a_shell_in_passwd_gets_none():
    (change,) = plan(User("old", "x", 50, 50, "/", ""), None)
    assert change.before == "none"


@pytest.mark.parametrize(("mode", "after"), [(0o755, "0750"), (0o777, "0750"), (0o705, "0700")])
def test_a_home_is_closed_to_others(mode, after):
    (change,) = plan(homes={"/home/ann": accounts.Home(1000, mode)})
    assert (change.after, change.command) == (after, ())


@pytest.mark.parametrize("home", [accounts.Home(1000, 0o700), accounts.Home(0, 0o755)])
def test_a_home_that_is_closed_or_somebody_elses_stays(home):
    assert plan(homes={"/home/ann": home}) == []


def test_what_only_the_administrator_can_decide_is_refused():
    users = [
        User("root", "x", 0, 0, "/root", "/bin/bash"),
        User("toor", "x", 0, 0, "/root", "/bin/bash"),
        User("bob", "$1$old", 1001, 1001, "/home/bob", "/bin/bash"),
        User("ann", "x", 1002, 1002, "/home/ann", "/bin/bash"),
        User("ann", "x", 1003, 1003, "/home/ann", "/bin/bash"),
        User("eve", "", 1004, 1004, "/home/eve", "/bin/bash"),
        User("off", "*", 1005, 1005, "/home/off", "/bin/bash"),
    ]
    faults = accounts.faults(users)
    assert [fault.split(":")[0] for fault in faults] == ["account toor", "account ann", "account bob", "account eve"]
    assert accounts.faults([ANN]) == []


def test_shared_uids_are_doubtful():
    assert accounts.doubtful([ANN, ANN._replace(name="bob")]) == ["ann, bob share the uid 1000"]
    assert accounts.doubtful([ANN]) == []


def test_people_begin_where_the_system_says():
    assert accounts.first_uid("# UID_MIN 1\nUID_MIN\t\t 500\n") == 500
    assert accounts.first_uid("UID_MIN none\n") == 1000


def test_the_files_are_read():
    passwd = "root:x:0:0:root:/root:/bin/bash\n+nis::::::\n# x\nbroken:x\nann:x:a:1:::\nbob:x:5:6:,,:/home/bob:\n"
    assert [user.name for user in parse_passwd(passwd)] == ["root", "bob"]
    shadow = parse_shadow("root:*:19000:0:99999:7:::\nann:$6$x:19000:1:90:7:30:20100:\nbad\n")
    assert shadow["root"] == Shadow("root", "*", 19000, 0, 99999, 7, None, None)
    assert shadow["ann"] == Shadow("ann", "$6$x", 19000, 1, 90, 7, 30, 20100)


@pytest.mark.parametrize(
    ("password", "state"), [("", "empty"), ("!", "locked"), ("!$6$x", "locked"), ("*", "none"), ("$6$x", "set")]
)
def test_passwords_have_a_state(password, state):
    assert Shadow("a", password).state == state


@pytest.mark.parametrize(
    ("entry", "refusal"),
    [
        (Shadow("a", "x", TODAY, 0, 99999), ""),
        (Shadow("a", "x"), ""),
        (Shadow("a", "x", TODAY, expires=TODAY), "expired"),
        (Shadow("a", "x", TODAY, expires=TODAY + 1), ""),
        (Shadow("a", "x", 0), "the password must be changed at the next login"),
        (Shadow("a", "!", TODAY - 91, 0, 90), "the password has expired"),
        (Shadow("a", "x", TODAY - 90, 0, 90), ""),
    ],
)
def test_pam_refuses_accounts_by_their_dates(entry, refusal):
    assert entry.refusal(TODAY) == refusal
