"""The door to firewalld: what it makes of the answers of busctl, and how rules are taken over."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.modules import host_firewall


def test_the_types_around_values_of_busctl_are_dropped():
    answer = {
        "type": "a{sv}",
        "data": [{"target": {"type": "s", "data": "DROP"}, "sources": {"type": "as", "data": ["10.0.0.0/8"]}}],
    }
    assert host_firewall._plain(answer) == [{"target": "DROP", "sources": ["10.0.0.0/8"]}]


@pytest.mark.parametrize(
    ("active", "flushed", "changed", "action"),
    [
        (False, False, True, "start"),
        (True, False, True, "reload"),
        (True, True, False, "restart"),
        (True, False, False, "none"),
    ],
)
def test_rules_are_taken_over_as_gently_as_possible(active, flushed, changed, action):
    assert host_firewall.how(active, flushed, changed) == action


def test_a_foreign_zone_is_a_difference_to_nothing():
    changed = host_firewall.differences({"zones/public.xml": "<zone/>", "same": "x"}, {"same": "x"})
    assert changed == {"zones/public.xml": ("<zone/>", None)}


def test_the_session_is_found_in_the_environment(monkeypatch):
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.9 51000 10.0.3.11 22")
    assert host_firewall.ssh_connection() == "10.0.0.9 51000 10.0.3.11 22"
