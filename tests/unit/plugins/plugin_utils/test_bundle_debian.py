"""Where a build has Debian from."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_debian, bundle_systems
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_debian import with_debian
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Rule, SourceError, Sources

DEBIAN = bundle_systems.named("Debian_12")
ARCHIVE, SECURITY = "debian://debian/x", "debian://debian-security/x"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    found = {"trixie": "http://one.internal/d", "trixie-security": "http://one.internal/s/"}
    monkeypatch.setattr(bundle_debian, "places_of_this_machine", lambda: found)
    return found


def test_the_mirror_of_the_machine_is_asked_for_another_release_too(known: dict[str, str]) -> None:
    sources = with_debian(Sources(), [DEBIAN])
    assert [sources.of(ARCHIVE), sources.of(SECURITY)] == ["http://one.internal/d/x", "http://one.internal/s/x"]


def test_the_release_itself_counts_before_others(known: dict[str, str]) -> None:
    known["bookworm"] = "http://two.internal/d"
    assert with_debian(Sources(), [DEBIAN]).of(ARCHIVE) == "http://two.internal/d/x"


def test_a_rule_of_the_site_counts_before_the_machine(known: dict[str, str]) -> None:
    sources = with_debian(Sources([Rule("debian://debian/", "https://nexus.internal/d/")]), [DEBIAN])
    assert [sources.of(ARCHIVE), sources.of(SECURITY)] == ["https://nexus.internal/d/x", "http://one.internal/s/x"]


def test_a_machine_that_does_not_know_is_told_what_to_write(known: dict[str, str]) -> None:
    del known["trixie-security"]
    with pytest.raises(SourceError, match=r"does not say where bookworm-security is.*from: debian://debian-security/"):
        with_debian(Sources(), [DEBIAN])


def test_nobody_is_asked_where_the_site_has_a_rule_or_no_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_debian, "places_of_this_machine", lambda: pytest.fail("asked"))
    rules = Sources([Rule("debian://", "https://nexus.internal/")])
    assert with_debian(rules, [DEBIAN]).rules == rules.rules
    assert with_debian(Sources(), [bundle_systems.named("Rocky_9")]).rules == []


def test_apt_says_where_this_machine_has_its_packages_from() -> None:
    places = bundle_debian.places_of_this_machine()
    assert places
    assert all("://" in place for place in places.values())


def test_a_machine_without_apt_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_debian.shutil, "which", lambda name: None)
    assert bundle_debian.places_of_this_machine() == {}
