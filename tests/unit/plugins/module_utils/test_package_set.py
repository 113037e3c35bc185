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
    Wish,
    bring,
    choose,
    matches,
    parse_dpkg,
    parse_madison,
    parse_repoquery,
    parse_rpm,
    plan,
    upstream,
)


class Host:
    """Answers commands by their beginning; what was asked is written down."""

    def __init__(self, **answers):
        self.answers = {"dpkg-query": "installed\tsudo\t\n", "rpm --query": "sudo\n+sudo\n", **answers}
        self.asked = []

    def __call__(self, command):
        noise = ("--option", "--quiet", "--setopt", "--queryformat", "--showformat")
        line = " ".join(word for word in command if not word.startswith(noise))
        self.asked.append(line)
        for start, answer in self.answers.items():
            if line.startswith(start.replace("_", " ")):
                answer = answer.pop(0) if isinstance(answer, list) else answer
                return answer if isinstance(answer, tuple) else (0, answer, "")
        return 0, "", ""


@pytest.fixture
def apt(tmp_path):
    return lambda host: Apt(host, journal=str(tmp_path))


def ask(manager, present=(), absent=(), expendable=(), refresh=False, check_mode=False, versions=None, drift="refuse"):
    wish = Wish(present, absent, expendable, versions or {}, drift)
    changed, done, _diff = bring(manager, wish, refresh, check_mode)
    return changed, done


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
    host = Host(**{"dpkg-query": ["unpacked\tchrony\t\n", *["installed\tchrony\t\n"] * 2]})
    changed, done = ask(apt(host), ["chrony"])
    assert changed
    assert done.install == []
    assert host.asked[1] == "dpkg --configure -a --force-confdef --force-confold"


@pytest.mark.parametrize(("offered", "word"), [("| 2.6.12-1 | main Packages", "haproxy=2.6.12-1"), ("", "haproxy")])
def test_what_was_cut_off_while_unpacking_is_installed_again(apt, offered, word):
    torn, whole = "half-installed\thaproxy\t\t2.6.12-1\tinstall\n", "installed\thaproxy\t\t2.6.12-1\thold\n"
    host = Host(**{"dpkg-query": [torn, torn, whole], "apt-cache madison": f"haproxy {offered}\n"})
    changed, done = ask(apt(host), versions={"haproxy": "2.6.12"})
    assert changed
    assert done.install == []
    assert host.asked[-2] == (
        f"apt-get --yes --no-install-recommends --fix-broken --reinstall --allow-change-held-packages install {word}"
    )


def test_a_dependency_that_did_not_arrive_is_fetched(apt):
    half, whole = "unpacked\thaproxy\t\t2.6.12-1\tinstall\n", "installed\thaproxy\t\t2.6.12-1\thold\n"
    host = Host(**{"dpkg-query": [half, half, whole], "dpkg --configure": (1, "", "dependency problems")})
    assert ask(apt(host), ["haproxy"])[0]
    assert host.asked[-2] == "apt-get --yes --no-install-recommends --fix-broken install"


def test_rpm_hosts_are_asked_for_locks_only_where_versions_are_pinned():
    host = Host(**{"rpm --query": RPM.format(20)})
    ask(Dnf(host), ["postgresql15"])
    assert len(host.asked) == 1


def test_the_journal_of_dpkg_tells_of_an_interruption(apt, tmp_path):
    (tmp_path / "0001").write_text("")
    assert apt(Host()).state(holds=False).unfinished


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


def test_all_places_that_did_not_answer_are_named(apt):
    out = "Ign:2 https://10.0.4.11/packages x InRelease\nErr:2 https://10.0.4.12/packages x InRelease\n"
    host = Host(**{"apt-get update": (100, out, "E: Failed to fetch InRelease Could not connect to 10.0.4.11:443")})
    places = "https://10.0.4.11/packages, https://10.0.4.12/packages"
    with pytest.raises(PackageError, match=rf"10\.0\.4\.11:443 \(asked in vain: {places}\)$"):
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
    assert plan(state, Wish(present=["telnet"])).install == []
    assert plan(state, Wish(absent=["telnet"])).remove == []


def test_a_package_cannot_be_wanted_and_unwanted():
    with pytest.raises(PackageError, match="at the same time: chrony"):
        plan(State(frozenset()), Wish(present=["chrony"], absent=["chrony"]))


def test_parsing():
    text = "installed\tbase\tusrmerge (= 1), base-x\t1:2-3\thold\nconfig-files\told\t\ntriggers-pending\tman-db\tman\n"
    assert parse_dpkg(text) == State(
        installed=frozenset({"base", "man-db"}),
        provided=frozenset({"usrmerge", "base-x", "man"}),
        versions={"base": "1:2-3", "man-db": ""},
        held=frozenset({"base"}),
    )
    assert parse_rpm("bash\t0:5.1-2\n+bash\n+/bin/sh\n") == State(
        installed=frozenset({"bash"}), provided=frozenset({"bash", "/bin/sh"}), versions={"bash": "0:5.1-2"}
    )


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("15.20-0+deb12u1", "15.20"),
        ("1:2.2.7-1+b2", "2.2.7"),
        ("5:7.0.15-1~deb12u10", "7.0.15"),
        ("8.1.1+dfsg1-3+deb13u2", "8.1.1"),
        ("15.20-1.pgdg120+1", "15.20"),
        ("0:15.20-1PGDG.rhel9", "15.20"),
        ("4.1.5", "4.1.5"),
        ("17~rc1-1", "17~rc1"),
    ],
)
def test_the_version_of_the_makers(version, wanted):
    assert upstream(version) == wanted
    assert matches(wanted, version)
    assert matches(version, version)


def test_a_version_is_not_matched_by_its_beginning():
    assert not matches("15.2", "15.20-0+deb12u1")
    assert not matches("15.20-0", "15.20-0+deb12u1")


PG18, PG20 = "15.18-0+deb12u1", "15.20-0+deb12u1"
MADISON = f"""
postgresql-15 | {PG20} | http://10.0.0.1 bookworm-security/main amd64 Packages
postgresql-15 | {PG18} | http://10.0.0.1 bookworm/main amd64 Packages
postgresql-15 | 15.19-1 | http://10.0.0.1 bookworm/main Sources
"""


def listed(version, want="install"):
    return f"installed\tpostgresql-15\t\t{version}\t{want}\n"


def test_a_package_at_its_version_and_held_is_asked_once(apt):
    host = Host(**{"dpkg-query": listed(PG20, "hold")})
    changed, _ = ask(apt(host), versions={"postgresql-15": "15.20"})
    assert not changed
    assert len(host.asked) == 1


def test_a_missing_package_comes_in_the_wanted_version_and_is_held(apt):
    host = Host(**{"dpkg-query": ["", listed(PG18)], "apt-cache madison": MADISON})
    changed, done = ask(apt(host), versions={"postgresql-15": "15.18"})
    assert changed
    assert (done.install, done.hold) == (["postgresql-15"], ["postgresql-15"])
    assert host.asked[1:] == [
        "apt-get update",
        "apt-cache madison postgresql-15",
        f"apt-get --yes --no-install-recommends --simulate install postgresql-15={PG18}",
        f"apt-get --yes --no-install-recommends install postgresql-15={PG18}",
        "dpkg-query --show",
        "apt-mark hold postgresql-15",
    ]


def test_a_run_that_died_before_the_hold_holds_and_installs_nothing(apt):
    host = Host(**{"dpkg-query": listed(PG20)})
    changed, done = ask(apt(host), versions={"postgresql-15": "15.20"})
    assert changed
    assert done.hold == ["postgresql-15"]
    assert host.asked[1:] == ["apt-mark hold postgresql-15"]


@pytest.mark.parametrize(("found", "wanted"), [(PG20, "15.18"), (PG18, "15.20")])
@pytest.mark.parametrize("check_mode", [True, False])
def test_another_version_is_refused_and_nothing_is_done(apt, found, wanted, check_mode):
    host = Host(**{"dpkg-query": listed(found, "hold")})
    with pytest.raises(
        PackageError, match=rf"postgresql-15: found {found.replace('+', '.')}, wanted {wanted}\..*site_"
    ):
        ask(apt(host), ["chrony"], versions={"postgresql-15": wanted}, check_mode=check_mode)
    assert len(host.asked) == 1


def test_every_package_that_drifted_is_named_in_one_message(apt):
    client = f"installed\tpostgresql-client-15\t\t{PG18}\thold\n"
    host = Host(**{"dpkg-query": listed(PG18) + client + "installed\thaproxy\t\t2.6.11-1\tinstall\n"})
    with pytest.raises(PackageError) as refusal:
        ask(apt(host), versions={"postgresql-15": "15.20", "postgresql-client-15": "15.20", "haproxy": "2.6.12"})
    assert [line.split(":")[0] for line in str(refusal.value).splitlines()] == [
        "haproxy",
        "postgresql-15, postgresql-client-15",
    ]


@pytest.mark.parametrize(
    ("madison", "found"), [(MADISON, f"{PG20}, {PG18}".replace("+", ".")), ("", "no version of it")]
)
def test_a_version_that_the_repositories_lack_is_refused_before_anything_is_installed(apt, madison, found):
    host = Host(**{"dpkg-query": "", "apt-cache madison": madison})
    with pytest.raises(PackageError, match=f"postgresql-15: found {found} in the repositories, wanted 15.19"):
        ask(apt(host), ["chrony"], versions={"postgresql-15": "15.19"})
    assert not any("install" in line for line in host.asked)


def test_a_held_package_that_must_change_is_opened_for_the_transaction_alone(apt):
    host = Host(**{"dpkg-query": [listed(PG20, "hold"), listed(PG18)], "apt-cache madison": MADISON})
    _, done = ask(apt(host), versions={"postgresql-15": "15.18"}, drift="correct")
    assert done.correct == ["postgresql-15"]
    assert host.asked[-3:] == [
        "apt-get --yes --no-install-recommends --allow-downgrades --allow-change-held-packages"
        f" install postgresql-15={PG18}",
        "dpkg-query --show",
        "apt-mark hold postgresql-15",
    ]


def test_the_hold_of_another_is_not_broken(apt):
    state = listed(PG18, "hold") + "installed\tlibpq5\t\t15.18-0\thold\n"
    rehearsal = f"Inst libpq5 [15.18-0] (15.20-0)\nInst postgresql-15 [{PG18}] ({PG20})\n"
    host = Host(**{"dpkg-query": state, "apt-cache madison": MADISON, "apt-get --yes": rehearsal})
    with pytest.raises(PackageError, match="also change libpq5, which is on hold"):
        ask(apt(host), versions={"postgresql-15": "15.20"}, drift="correct")
    assert "--simulate" in host.asked[-1]


def test_accepted_drift_is_held_as_it_is(apt):
    host = Host(**{"dpkg-query": [listed(PG18), listed(PG18)]})
    changed, _ = ask(apt(host), versions={"postgresql-15": "15.20"}, drift="accept")
    assert changed
    assert host.asked[1:] == ["apt-mark hold postgresql-15"]


def test_accepted_drift_takes_the_newest_where_the_wanted_is_not_offered():
    wish = Wish(versions={"postgresql-15": "15.19"}, drift="accept")
    assert choose(wish, ["postgresql-15"], {"postgresql-15": [PG20, PG18]}) == {}
    with pytest.raises(PackageError, match="no version of it"):
        choose(wish, ["postgresql-15"], {})


def test_of_two_packages_of_one_upstream_version_the_newer_is_taken():
    offered = {"redis": ["5:7.0.15-1~deb12u10", "5:7.0.15-1~deb12u7"]}
    assert choose(Wish(versions={"redis": "7.0.15"}), ["redis"], offered) == {"redis": "5:7.0.15-1~deb12u10"}
    exact = Wish(versions={"redis": "5:7.0.15-1~deb12u7"})
    assert choose(exact, ["redis"], offered) == {"redis": "5:7.0.15-1~deb12u7"}


def test_check_mode_predicts_versions_and_holds_without_an_index(apt):
    host = Host(**{"dpkg-query": listed(PG18, "hold")})
    wish = Wish(versions={"postgresql-15": "15.20", "haproxy": "2.6.12"}, drift="correct")
    changed, _, diff = bring(apt(host), wish, refresh=False, check_mode=True)
    assert changed
    assert diff["before"] == f"postgresql-15 {PG18}\n"
    assert diff["after"] == "haproxy 2.6.12 (held)\npostgresql-15 15.20 (held)\n"
    assert len(host.asked) == 1


def test_what_another_package_provides_is_not_the_pinned_package(apt):
    state = State(frozenset({"mawk"}), frozenset({"awk"}), versions={"mawk": "1"})
    assert plan(state, Wish(versions={"awk": "1"})).install == ["awk"]


def test_offers_of_apt_are_those_of_packages():
    assert parse_madison(MADISON) == {"postgresql-15": [PG20, PG18]}


RPM = "postgresql15\t0:15.{}-1PGDG.rhel9\n+postgresql15\n+dnf-command(versionlock)\n"
LOCK = "postgresql15-0:15.{}-1PGDG.rhel9.*\n"


def test_rpm_hosts_lock_the_version():
    host = Host(
        **{
            "rpm --query": ["bash\t0:5-1\n", RPM.format(20)],
            "dnf --disableplugin=versionlock repoquery": "postgresql15\t0:15.18-1PGDG.rhel9\n"
            "postgresql15\t0:15.20-1PGDG.rhel9\n",
        }
    )
    changed, done = ask(Dnf(host), versions={"postgresql15": "15.20"})
    assert changed
    assert done.install == ["dnf-command(versionlock)", "postgresql15"]
    assert host.asked[1:] == [
        "dnf --assumeyes makecache --refresh",
        "dnf --disableplugin=versionlock repoquery --showduplicates postgresql15",
        "dnf --assumeyes install dnf-command(versionlock) postgresql15-0:15.20-1PGDG.rhel9",
        "rpm --query --all",
        "dnf versionlock list",
        "dnf versionlock delete postgresql15",
        "dnf versionlock add postgresql15-0:15.20-1PGDG.rhel9",
    ]


def test_rpm_hosts_that_are_locked_at_the_version_are_left_alone():
    host = Host(**{"rpm --query": RPM.format(20), "dnf versionlock list": LOCK.format(20)})
    changed, _ = ask(Dnf(host), versions={"postgresql15": "15.20"})
    assert not changed
    assert len(host.asked) == 2


def test_rpm_hosts_open_the_lock_of_what_must_change():
    host = Host(
        **{
            "rpm --query": [RPM.format(18), RPM.format(20)],
            "dnf versionlock list": [LOCK.format(18), ""],
            "dnf --disableplugin=versionlock repoquery": "postgresql15\t0:15.20-1PGDG.rhel9\n",
        }
    )
    ask(Dnf(host), versions={"postgresql15": "15.20"}, drift="correct")
    assert "dnf versionlock delete postgresql15" in host.asked[: host.asked.index("rpm --query --all", 1)]
    assert host.asked[-1] == "dnf versionlock add postgresql15-0:15.20-1PGDG.rhel9"


def test_a_lock_on_another_version_is_no_hold():
    host = Host(**{"rpm --query": RPM.format(20), "dnf versionlock list": LOCK.format(18)})
    assert Dnf(host).state(holds=True).held == frozenset()


def test_offers_of_dnf_come_newest_first():
    assert parse_repoquery("redis\t0:7.0-1\n\nredis\t0:7.2-1\n") == {"redis": ["0:7.2-1", "0:7.0-1"]}
