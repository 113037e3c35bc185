# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import package_set
from ansible_collections.onprem.dify.plugins.module_utils.package_set import (
    Apt,
    Dnf,
    PackageError,
    State,
    bring,
    parse_dpkg,
    parse_rpm,
    plan,
)


class Host:
    """Answers commands by their beginning; what was asked is written down."""

    def __init__(self, **answers):
        self.answers = {"dpkg-query": "installed\tsudo\t\n", "rpm --query": "sudo\n+sudo\n", **answers}
        self.asked = []

    def __call__(self, command):
        line = " ".join(word for word in command if not word.startswith(("--option", "--quiet", "--setopt")))
        self.asked.append(line)
        for start, answer in self.answers.items():
            if line.startswith(start.replace("_", " ")):
                answer = answer.pop(0) if isinstance(answer, list) else answer
                return answer if isinstance(answer, tuple) else (0, answer, "")
        return 0, "", ""


@pytest.fixture
def apt(tmp_path):
    return lambda host: Apt(host, journal=str(tmp_path))


def ask(manager, present=(), absent=(), expendable=(), refresh=False, check_mode=False):
    return bring(manager, present, absent, expendable, refresh, check_mode)


def test_a_host_as_wished_is_asked_once(apt):
    host = Host()
    changed, _ = ask(apt(host), ["sudo"], ["telnetd"])
    assert not changed
    assert [line.split()[0] for line in host.asked] == ["dpkg-query"]


def test_one_transaction_installs_and_removes(apt):
    before, after = "installed\tsudo\t\ninstalled\ttelnetd\t\n", "installed\tsudo\t\ninstalled\tchrony\t\n"
    host = Host(**{"dpkg-query": [before, after]})
    changed, done = ask(apt(host), ["sudo", "chrony"], ["telnetd"])
    assert changed
    assert (done.install, done.remove) == (["chrony"], ["telnetd"])
    assert host.asked[1:4] == [
        "apt-get update",
        "apt-get --yes --no-install-recommends --simulate install chrony telnetd-",
        "apt-get --yes --no-install-recommends install chrony telnetd-",
    ]


def test_check_mode_needs_no_index(apt):
    host = Host()
    changed, done = ask(apt(host), ["chrony"], refresh=True, check_mode=True)
    assert changed
    assert done.install == ["chrony"]
    assert len(host.asked) == 1


def test_changed_repositories_are_read_even_if_nothing_is_missing(apt):
    host = Host()
    changed, _ = ask(apt(host), ["sudo"], refresh=True)
    assert not changed
    assert host.asked[1:] == ["apt-get update"]


def test_what_would_remove_something_else_is_refused(apt):
    host = Host(**{"apt-get --yes --no-install-recommends --simulate": "Remv ubuntu-standard [1]\nRemv shop [2]\n"})
    with pytest.raises(PackageError, match="apt would also remove shop for: chrony"):
        ask(apt(host), ["chrony"], expendable=["ubuntu-standard"])
    assert not any(line.endswith("-recommends install chrony") for line in host.asked)


def test_an_interrupted_transaction_is_completed_first(apt):
    host = Host(**{"dpkg-query": ["unpacked\tchrony\t\n", "installed\tchrony\t\n"]})
    changed, done = ask(apt(host), ["chrony"])
    assert changed
    assert done.install == []
    assert host.asked[1] == "dpkg --configure -a --force-confdef --force-confold"


def test_the_journal_of_dpkg_tells_of_an_interruption(apt, tmp_path):
    (tmp_path / "0001").write_text("")
    assert apt(Host()).state().unfinished


def test_the_transaction_of_another_is_waited_for(apt, monkeypatch):
    naps = []
    monkeypatch.setattr(package_set.time, "sleep", naps.append)
    locked = (100, "", "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)")
    host = Host(**{"apt-get update": [locked, locked, ""]})
    ask(apt(host), refresh=True)
    assert len(naps) == 2


def test_the_reason_is_quoted_without_the_noise(apt):
    host = Host(**{"apt-get update": (100, "", "Get:1 ...\nE: The repository 'http://10.0.0.1' is not signed.")})
    with pytest.raises(PackageError, match=r"^apt-get: E: The repository .* is not signed\.$"):
        ask(apt(host), ["chrony"])


def test_a_package_that_is_missing_after_the_transaction_is_named(apt):
    with pytest.raises(PackageError, match="not as wished after the transaction: chrony"):
        ask(apt(Host()), ["chrony"])


def test_rpm_hosts():
    host = Host(**{"rpm --query": ["telnet\n", "chrony\n"]})
    changed, _ = ask(Dnf(host), ["chrony"], ["telnet"])
    assert changed
    assert host.asked[1:4] == [
        "dnf --assumeyes makecache --refresh",
        "dnf --assumeyes install chrony",
        "rpm --erase telnet",
    ]


def test_what_a_package_provides_is_there_but_cannot_be_removed():
    state = State(frozenset({"inetutils-telnet"}), frozenset({"telnet"}))
    assert plan(state, ["telnet"], []).install == []
    assert plan(state, [], ["telnet"]).remove == []


def test_a_package_cannot_be_wanted_and_unwanted():
    with pytest.raises(PackageError, match="at the same time: chrony"):
        plan(State(frozenset()), ["chrony"], ["chrony"])


def test_parsing():
    text = "installed\tbase\tusrmerge (= 1), base-x\nconfig-files\told\t\ntriggers-pending\tman-db\tman\n"
    assert parse_dpkg(text) == State(
        frozenset({"base", "man-db"}), frozenset({"usrmerge", "base-x", "man"}), unfinished=False
    )
    assert parse_rpm("bash\n+bash\n+/bin/sh\n") == State(frozenset({"bash"}), frozenset({"bash", "/bin/sh"}))
