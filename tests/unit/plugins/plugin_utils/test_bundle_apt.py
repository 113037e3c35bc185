"""Packages and their repository, without the network."""

from __future__ import annotations

import datetime
import hashlib
import re
from pathlib import Path

import pytest

from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_apt, bundle_systems
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_apt import Apt, AptError, Package, Signer
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_manager import Target
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Rule, Sources

SYSTEM = bundle_systems.named("Debian_12")
CONTROL = """\
Package: redis-server
Version: 5:7.0.15-1~deb12u10
Architecture: amd64
Depends: libc6 (>= 2.34),
 libssl3
Description: a server
Filename: pool/main/r/redis/redis-server_7.0.15-1~deb12u10_amd64.deb
Size: 10
MD5sum: 00
SHA256: {sha256}"""


def package(name: str = "redis-server", sha256: str = "a" * 64) -> Package:
    path = f"packages/Debian_12/pool/main/r/redis/{name}_7.0.15-1~deb12u10_amd64.deb"
    control = CONTROL.format(sha256=sha256).replace("Package: redis-server", f"Package: {name}")
    return Package(name, "5:7.0.15-1~deb12u10", "amd64", path, "https://x/y", 10, f"sha256:{sha256}", control)


def apt(tmp_path: Path, rules: list[Rule] | None = None) -> Apt:
    return Apt(Target(SYSTEM, "amd64"), SYSTEM.repositories, Sources(rules or []), tmp_path, "", ())


def test_the_index_keeps_what_upstream_says_but_the_place_and_one_hash() -> None:
    text = bundle_apt.index([package()], SYSTEM).decode()
    fields = bundle_apt.fields_of(text)
    assert fields["Depends"] == "libc6 (>= 2.34),\n libssl3"
    assert fields["Filename"] == "pool/main/r/redis/redis-server_7.0.15-1~deb12u10_amd64.deb"
    assert fields["SHA256"] == "a" * 64
    assert "MD5sum" not in fields
    assert text.count("Filename:") == 1


def test_the_repository_has_one_form_whatever_the_order() -> None:
    one, two = package("redis-server"), package("redis-tools", "b" * 64)
    files = bundle_apt.repository(SYSTEM, "2026.11.25", {"amd64": [one, two], "arm64": []})
    assert files == bundle_apt.repository(SYSTEM, "2026.11.25", {"arm64": [], "amd64": [two, one]})
    release = files["Release"].decode()
    assert "Date: Wed, 25 Nov 2026 00:00:00 GMT\n" in release
    assert "Architectures: amd64 arm64\n" in release
    listed = re.search(r"(?m)^ (\S+) (\d+) main/binary-amd64/Packages$", release)
    content = files["main/binary-amd64/Packages"]
    assert listed and listed.groups() == (hashlib.sha256(content).hexdigest(), str(len(content)))


def test_a_release_of_a_day_has_one_signature_at_all_times(tmp_path: Path) -> None:
    signer, day = Signer(tmp_path / ("a folder of a long name " * 4).strip()), bundle_apt.day_of("2026.11.25.2")
    key = signer.public_key()
    assert key.startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")
    assert signer.public_key() == key
    signed = signer.sign(b"Suite: bookworm\n", day)
    assert signer.sign(b"Suite: bookworm\n", day) == signed
    assert set(signed) == {"InRelease", "Release.gpg"}
    assert (signer.home.stat().st_mode & 0o777) == 0o700


MIDNIGHT = datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("release", "system", "seconds", "refused"),
    [
        ("2026.11.29", "Debian_12", 86_389, True),
        ("2026.11.29", "Debian_12", 86_390, False),
        ("2026.11.28.2", "Debian_12", 0, False),
        ("2026.11.28", "Debian_13", -11, True),
        ("2026.11.29", "Rocky_9", 0, False),
    ],
)
def test_a_release_of_a_day_to_come_is_refused_as_apt_would(
    release: str, system: str, seconds: int, refused: bool
) -> None:
    systems = [bundle_systems.named("Rocky_9"), bundle_systems.named(system)]
    now = MIDNIGHT + datetime.timedelta(seconds=seconds)
    if not refused:
        bundle_apt.refuse_day_to_come(release, systems, now)
        return
    with pytest.raises(AptError) as refusal:
        bundle_apt.refuse_day_to_come(release, systems, now)
    assert f"bundle_release {release} is a day to come: the clock of this machine says {now:%Y-%m-%d}" in str(
        refusal.value
    )
    assert f"packages/{system}/dists/{systems[1].codename}/InRelease" in str(refusal.value)


def test_only_the_repositories_of_the_target_are_asked(tmp_path: Path) -> None:
    rules = [Rule("debian://", "https://nexus.bank.internal/")]
    lines = list(apt(tmp_path, rules)._lines())
    assert len(lines) == 3
    assert all(line.startswith("deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive") for line in lines)
    assert "https://nexus.bank.internal/debian-security/ bookworm-security main" in lines[2]
    settings = apt(tmp_path)._configuration()
    assert f'Dir::State::status "{tmp_path}/state/status";' in settings
    assert 'APT::Architectures { "amd64"; };' in settings


def test_the_lock_says_the_upstream_address_of_a_replaced_one(tmp_path: Path) -> None:
    found = apt(tmp_path, [Rule("debian://", "https://nexus.bank.internal/")])
    asked = "https://nexus.bank.internal/debian-security/pool/updates/main/c/ca_1%7edeb12u2%2b1_all.deb"
    assert found._upstream(asked) == "debian://debian-security/pool/updates/main/c/ca_1~deb12u2+1_all.deb"
    with pytest.raises(AptError, match="is of no repository that was asked"):
        found._upstream("https://elsewhere.org/x.deb")


def test_a_pinned_version_is_the_newest_revision_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = apt(tmp_path)
    offered = {"redis-server": ["5:7.0.15-1~deb12u10", "5:7.0.15-1~deb12u7"]}
    monkeypatch.setattr(found, "offered", lambda names: offered)
    assert found._version("redis-server", "7.0.15") == "5:7.0.15-1~deb12u10"
    assert found._version("redis-server", "5:7.0.15-1~deb12u7") == "5:7.0.15-1~deb12u7"
    with pytest.raises(AptError, match=r"redis-server is pinned to 7\.2, and the repositories offer 5:7.*site_pins"):
        found._version("redis-server", "7.2")


def test_apt_complains_in_one_line() -> None:
    output = """The following packages have unmet dependencies:
 a : Depends: b (>= 2) but 1 is to be installed
E: Unable to correct problems, you have held broken packages.
"""
    assert bundle_apt.complaint(output) == (
        "a : Depends: b (>= 2) but 1 is to be installed; Unable to correct problems, you have held broken packages."
    )


def test_a_keyring_that_is_missing_is_named(tmp_path: Path) -> None:
    repository = bundle_systems.Repository("https://example.org", ("x",), signed_by=str(tmp_path / "no.gpg"))
    missing = Apt(Target(SYSTEM, "amd64"), [repository], Sources(), tmp_path / "work", "", ())
    with pytest.raises(AptError, match=r"no\.gpg is missing: it proves the packages of Debian 12 on amd64"):
        missing.prepare()


def test_names_of_files_and_places() -> None:
    assert bundle_apt._word("redis-server_5%3a7.0.15-1~deb12u10_amd64.deb") == "redis-server=5:7.0.15-1~deb12u10"
    assert bundle_apt._pool_path("pool/main/a/a_1.deb") == "pool/main/a/a_1.deb"
    assert bundle_apt._pool_path("./a_1.deb") == "pool/other/a_1.deb"
