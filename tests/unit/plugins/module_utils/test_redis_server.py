"""What a Redis server should be: its users through a change of passwords, its settings, and who is the master."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.redis_server import (
    Difference,
    Peer,
    ServerError,
    User,
    differences,
    digest,
    parse_info,
    parse_users,
    seed,
    sentinel_trouble,
    settings_file,
    shown_users,
    user_commands,
    users_text,
    wished_users,
)

ADMIN = "password-of-this-host"


def wishes(password):
    return [{"name": "dify", "password": password, "rules": "~*  &* +@all\n -@admin"}]


def users(password, known=None, retire=False):
    return wished_users(wishes(password), ADMIN, known or {}, retire)


# Users


def test_the_file_is_read_as_it_was_written():
    wished = users("first")
    assert parse_users(users_text(wished)) == wished
    assert users_text(wished).startswith("user default off\n")


def test_no_password_stands_in_the_file_or_in_a_diff():
    wished = users("first")
    assert "first" not in users_text(wished)
    assert digest("first") not in shown_users(wished)


def test_nothing_is_done_when_the_users_are_as_wished():
    wished = users("first")
    assert user_commands(wished, parse_users(users_text(wished))) == []


def test_a_replaced_password_stays_valid_until_it_is_retired():
    rotated = users("second", users("first"))
    assert rotated["dify"].hashes == (digest("second"), digest("first"))
    assert users("second", rotated) == rotated
    assert users("second", rotated, retire=True)["dify"].hashes == (digest("second"),)


def test_only_one_password_of_before_stays_valid():
    third = users("third", users("second", users("first")))
    assert third["dify"].hashes == (digest("third"), digest("second"))


def test_going_back_to_the_password_of_before_keeps_both():
    back = users("first", users("second", users("first")))
    assert back["dify"].hashes == (digest("first"), digest("second"))


def test_a_user_is_replaced_in_one_command():
    assert User("check", ("abc",), "+ping +info").command() == [
        *("ACL", "SETUSER", "check", "reset", "on", "#abc"),
        *("+ping", "+info"),
    ]


def test_users_that_are_not_wished_are_deleted():
    known = {**users("first"), "left": User("left", ("abc",), "+@all")}
    assert user_commands(users("first"), known) == [["ACL", "DELUSER", "left"]]


# Settings


def test_settings_are_written_so_that_redis_reads_them():
    text = settings_file(
        {
            "bind": ["10.0.3.11", "127.0.0.1"],
            "appendonly": True,
            "port": 0,
            "save": ["3600", "1"],
            "masterauth": 'with "quotes" and \\',
        }
    )
    assert text.splitlines() == [
        "bind 10.0.3.11 127.0.0.1",
        "appendonly yes",
        "port 0",
        'save ""',
        "save 3600 1",
        'masterauth "with \\"quotes\\" and \\\\"',
    ]


def test_differences_are_those_of_the_running_server():
    running = {"bind": "10.0.3.11 127.0.0.1", "maxmemory": "100", "appendonly": "yes"}
    wanted = {"bind": ["10.0.3.11", "127.0.0.1"], "maxmemory": 200, "appendonly": True, "of-another-version": 1}
    assert differences(wanted, running) == [Difference("maxmemory", "100", "200")]


def test_a_secret_setting_is_not_shown():
    assert "new" not in "".join(Difference("masterauth", "old", "new").sides())


# Who is the master

FIRST = ("db1", "10.0.3.11")


def peer(name, state="up", role="", follows="", empty=False):
    return Peer(name, {"db1": "10.0.3.11", "db2": "10.0.3.12", "db3": "10.0.3.13"}[name], state, role, follows, empty)


def test_the_first_server_of_a_new_site_is_the_master():
    assert seed("db1", "10.0.3.11", FIRST, [peer("db2", "refused")]) == ""
    assert seed("db2", "10.0.3.12", FIRST, [peer("db1", "refused")]) == "10.0.3.11"


def test_a_master_that_exists_wins_over_the_order():
    assert seed("db1", "10.0.3.11", FIRST, [peer("db2", role="master")]) == "10.0.3.12"


def test_a_master_that_only_a_replica_knows_is_followed():
    peers = [peer("db2", role="slave", follows="10.0.3.13"), peer("db3", "silent")]
    assert seed("db1", "10.0.3.11", FIRST, peers) == "10.0.3.13"


def test_an_empty_server_does_not_become_the_master_of_a_replica_with_data():
    with pytest.raises(ServerError, match="db2 still follows this host"):
        seed("db1", "10.0.3.11", FIRST, [peer("db2", role="slave", follows="10.0.3.11")])


def test_an_interrupted_first_installation_goes_on_with_the_same_master():
    assert seed("db1", "10.0.3.11", FIRST, [peer("db2", role="slave", follows="10.0.3.11", empty=True)]) == ""


def test_a_silent_server_may_hold_the_data():
    with pytest.raises(ServerError, match="redis_first_master=db1"):
        seed("db1", "10.0.3.11", FIRST, [peer("db2", "silent")])
    assert seed("db1", "10.0.3.11", FIRST, [peer("db2", "silent")], forced="db1") == ""
    assert seed("db1", "10.0.3.11", FIRST, [peer("db2", "silent")], forced="db2") == "10.0.3.12"


def test_two_masters_are_refused():
    with pytest.raises(ServerError, match="db2 and db3"):
        seed("db1", "10.0.3.11", FIRST, [peer("db2", role="master"), peer("db3", role="master")])


def test_a_server_that_refuses_the_login_is_named():
    with pytest.raises(ServerError, match="db2 refused the login"):
        seed("db1", "10.0.3.11", FIRST, [peer("db2", "closed")])


def test_info_is_read():
    assert parse_info("# Replication\r\nrole:master\r\nconnected_slaves:1\r\n")["role"] == "master"


# Sentinel

MASTER = {"flags": "master", "ip": "10.0.3.11", "num-other-sentinels": "2"}
REPLICA = {"flags": "slave", "master-link-status": "ok"}


def test_a_sentinel_that_sees_everybody_is_content():
    assert sentinel_trouble(MASTER, [REPLICA], servers=2, voters=3) == ""


@pytest.mark.parametrize(
    ("master", "replicas", "said"),
    [
        ({**MASTER, "flags": "s_down,master"}, [REPLICA], "is down"),
        (MASTER, [], "0 of 1 replicas"),
        (MASTER, [{**REPLICA, "master-link-status": "err"}], "0 of 1 replicas"),
        (MASTER, [{**REPLICA, "flags": "s_down,slave"}], "0 of 1 replicas"),
        ({**MASTER, "num-other-sentinels": "1"}, [REPLICA], "1 of 2 other"),
    ],
)
def test_a_sentinel_says_what_it_misses(master, replicas, said):
    assert said in sentinel_trouble(master, replicas, servers=2, voters=3)
