"""What a pin has to say, and what becomes of it for a host of a site."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.pins import (
    Host,
    PinError,
    archive_of,
    digests,
    faults,
    of_site,
    package_versions,
    select,
    unresolved,
)

TODAY = datetime.date(2026, 11, 24)
SHA = "a" * 64
LOCK = (
    f"patroni==4.1.5 \\\n    --hash=sha256:{SHA} \\\n    --hash=sha256:{'b' * 64}\nydiff==1.4.2 --hash=sha256:{SHA}\n"
)
ETCD: dict[str, Any] = {
    "name": "etcd",
    "version": "3.6.14",
    "licence": "Apache-2.0",
    "end_of_life": None,
    "end_of_life_note": "no dates",
    "source": "https://github.com/etcd-io/etcd",
    "packages": {"Debian_12": "3.4.23"},
    "package_names": {"Debian": ["etcd-server", "etcd-client"]},
    "archives": {"amd64": {"url": "https://example.org/etcd.tar.gz", "sha256": SHA}},
}
IMAGE = {"name": "registry.k8s.io/pause", "tag": "3.10.2", "digest": f"sha256:{SHA}"}
REDIS = {**ETCD, "name": "redis", "version": "7.0.15", "packages": {}, "archives": {}, "package_names": {}}
BUNDLE = {"etcd": ETCD, "redis": REDIS}
DEBIAN = {
    "distribution": "Debian",
    "distribution_major_version": "12",
    "os_family": "Debian",
    "architecture": "x86_64",
}


def pin(component: str = "etcd", site: Any = None, facts: Any = None) -> dict[str, Any]:
    return select(BUNDLE, site or {}, component, Host(DEBIAN if facts is None else facts))


def archive(component: str = "etcd", site: Any = None, facts: Any = None) -> Any:
    return archive_of(pin(component, site), Host(DEBIAN if facts is None else facts))


def test_a_complete_pin_has_no_faults() -> None:
    assert faults(ETCD, TODAY) == []
    assert faults({**ETCD, "requirements": LOCK, "wheels": "https://mirror/wheels/"}, TODAY) == []


def test_images_are_named_with_their_registry_and_pinned_by_digest() -> None:
    assert faults({**ETCD, "images": [IMAGE, {**IMAGE, "tag": "v3.10.2"}]}, TODAY) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"images": "registry.k8s.io/pause"}, "images is not a list"),
        ({"images": ["registry.k8s.io/pause"]}, "is not a mapping of name, tag and digest"),
        ({"images": [{"name": "registry.k8s.io/pause", "tag": "1"}]}, "is not a mapping of name, tag and digest"),
        ({"images": [{**IMAGE, "name": "pause"}]}, "images: pause is not a name with its registry"),
        ({"images": [{**IMAGE, "tag": "latest"}]}, "images: registry.k8s.io/pause: tag 'latest' is not one exact"),
        ({"images": [{**IMAGE, "tag": 3.1}]}, "images: registry.k8s.io/pause: tag 3.1 is not a text"),
        ({"images": [{**IMAGE, "digest": "sha256:abc"}]}, "images: registry.k8s.io/pause: digest is missing or not"),
        ({"images": [IMAGE, IMAGE]}, "images: registry.k8s.io/pause:3.10.2 stands twice"),
        ({"to_resolve": ["docker.io/lab/app:1"]}, "to_resolve is not a mapping of images and archives"),
        ({"to_resolve": {"images": "docker.io/lab/app"}}, "to_resolve: images is not a list"),
        ({"to_resolve": {"images": ["docker.io/lab/app:1.0"]}}, "to_resolve: docker.io/lab/app:1.0 has no {version}"),
        ({"to_resolve": {"images": ["app:v{version}"]}}, "to_resolve: images: app is not a name with its registry"),
        ({"to_resolve": {"images": ["docker.io/lab/app:{version}.x"]}}, "tag '3.6.14.x' is not one exact version"),
        ({"to_resolve": {"archives": {"amd64": "/{version}"}}}, "to_resolve: archives: amd64: url is not"),
        ({"archives": {"amd64": {"url": "https://me:secret@example.org/x", "sha256": SHA}}}, "a name or a password"),
        ({"source": "https://me@example.org/x"}, "source has a name or a password in it"),
        ({"wheels": "https://me:secret@example.org/x"}, "wheels has a name or a password in it"),
        ({"collections": {"ansible.posix": "2.1.0"}}, "collections: ansible.posix is not a list of versions"),
        ({"collections": {"ansible.posix": [">=2"]}}, "collections: ansible.posix '>=2' is not one exact version"),
        ({"licence": ""}, "licence is empty"),
        ({"colour": "red"}, "unknown field colour"),
        ({"name": "Etcd"}, "name 'Etcd'"),
        ({"name": "etcd-3"}, "name 'etcd-3'"),
        ({"version": 15.2}, "put it in quotes"),
        ({"version": "latest"}, "not one exact version"),
        ({"version": "15.x"}, "not one exact version"),
        ({"version": ">=15"}, "not one exact version"),
        ({"version": "15.*"}, "not one exact version"),
        ({"version": ""}, "not one exact version"),
        ({"packages": {"Debian_12": "stable"}}, "packages: Debian_12 'stable'"),
        ({"packages": {"bookworm": "1"}}, "bookworm is not a distribution"),
        ({"package_names": {"Debian": "etcd"}}, "not a list"),
        ({"archives": {"amd64": {"url": "https://example.org/x"}}}, "amd64: sha256 is missing"),
        ({"archives": {"amd64": {"url": "https://example.org/x", "sha256": "TODO"}}}, "sha256 is missing"),
        ({"archives": {"amd64": {"url": "ftp://example.org/x", "sha256": SHA}}}, "url is not"),
        ({"archives": {"x86_64": {"url": "https://example.org/x", "sha256": SHA}}}, "unknown architecture"),
        ({"requirements": "patroni==4.1.5\n"}, "no version and hash"),
        ({"requirements": f"patroni>=4 --hash=sha256:{SHA}\n"}, "no version and hash"),
        ({"wheels": "pypi"}, "wheels is neither"),
        ({"end_of_life": datetime.date(2026, 11, 24)}, "its life ended on 2026-11-24"),
        ({"end_of_life": "soon"}, "not a day"),
        ({"end_of_life": None, "end_of_life_note": ""}, "no end_of_life_note"),
        ({"end_of_life": datetime.date(2027, 5, 1), "end_of_life_note": ""}, "within six months"),
    ],
)
def test_what_a_pin_must_not_be(change: dict[str, Any], words: str) -> None:
    found = faults({**ETCD, **change}, TODAY)
    assert len(found) == 1
    assert words in found[0]
    assert "secret" not in found[0]


def test_what_lacks_a_digest_is_named_until_the_site_has_one() -> None:
    named = {"images": ["docker.io/lab/app:v{version}"], "archives": {"amd64": "https://example.org/{version}"}}
    lacking = {**REDIS, "to_resolve": named}
    assert unresolved(lacking).images == [("docker.io/lab/app", "v7.0.15")]
    assert unresolved(lacking).archives == {"amd64": "https://example.org/7.0.15"}
    own = {"images": [{"name": "docker.io/lab/app", "tag": "v7.0.15", "digest": f"sha256:{SHA}"}]}
    given = {**own, "archives": {"amd64": {"url": "https://mirror/7.0.15", "sha256": SHA}}}
    (whole,) = of_site({"redis": lacking}, {"redis": given}).values()
    assert not unresolved(whole)
    (newer,) = of_site({"redis": lacking}, {"redis": {**given, "version": "7.2.0"}}).values()
    assert unresolved(newer).images == [("docker.io/lab/app", "v7.2.0")], "a digest of another tag is none of this one"


def test_a_near_end_of_life_is_allowed_with_a_note_and_a_far_one_without() -> None:
    assert faults({**ETCD, "end_of_life": datetime.date(2027, 5, 1)}, TODAY) == []
    assert faults({**ETCD, "end_of_life": datetime.date(2027, 11, 11), "end_of_life_note": ""}, TODAY) == []


@pytest.mark.parametrize("field", ["name", "version", "licence", "end_of_life", "source"])
def test_what_is_missing_is_named(field: str) -> None:
    assert faults({key: value for key, value in ETCD.items() if key != field}, TODAY) == [f"{field} is missing"]


def test_packages_have_the_version_of_the_operating_system() -> None:
    found = pin()
    assert found["package_version"] == "3.4.23"
    assert found["package_versions"] == {"etcd-server": "3.4.23", "etcd-client": "3.4.23"}
    ubuntu = {**DEBIAN, "distribution": "Ubuntu", "distribution_major_version": "24"}
    assert pin(facts=ubuntu)["package_versions"] == {"etcd-server": "3.6.14", "etcd-client": "3.6.14"}


def test_without_facts_no_packages_are_named() -> None:
    assert "package_versions" not in pin(facts={})
    with pytest.raises(PinError, match="gather the fact architecture"):
        archive(facts={})


def test_the_archive_is_that_of_the_architecture() -> None:
    assert archive() == ETCD["archives"]["amd64"]
    with pytest.raises(PinError, match=r"for arm64, only for amd64\. .*site_pins\.etcd\.archives\.arm64"):
        archive(facts={**DEBIAN, "architecture": "aarch64"})


def test_an_archive_without_a_known_checksum_is_refused_until_the_site_gives_one() -> None:
    with pytest.raises(PinError, match=r"redis 7\.0\.15: no archive with a known sha256 for amd64\."):
        archive("redis")
    own = {"url": "http://mirror/redis.tar.gz", "sha256": "c" * 64}
    assert archive("redis", {"redis": {"archives": {"amd64": own}}}) == own


def test_the_site_wins() -> None:
    site = {"etcd": {"packages": {"Debian_13": "3.5.16"}, "licence": "ours"}}
    found = pin(site=site)
    assert found["packages"] == {"Debian_12": "3.4.23", "Debian_13": "3.5.16"}
    assert (found["licence"], found["version"]) == ("ours", "3.6.14")


def test_another_version_of_the_site_has_no_checksum_of_the_delivered_one() -> None:
    found = pin(site={"etcd": {"version": "3.6.15"}})
    assert "archives" not in found
    assert found["package_version"] == "3.6.15"
    with pytest.raises(PinError, match=r"etcd 3\.6\.15: no archive"):
        archive(site={"etcd": {"version": "3.6.15"}})


@pytest.mark.parametrize(
    ("component", "site", "words"),
    [
        ("etdc", {}, "no component etdc. Did you mean etcd?"),
        ("postgres", {}, "Known are etcd, redis."),
        ("etcd", {"rediss": {}}, "site_pins: The bundle has no component rediss. Did you mean redis?"),
        ("etcd", {"etcd": {"version": 3.6}}, "site_pins: etcd: version 3.6 is not a text"),
        ("etcd", {"etcd": "3.6"}, "site_pins: etcd: is not a mapping"),
        ("etcd", {"etcd": {"archive": {}}}, "unknown field archive"),
        ("etcd", {"etcd": {"version": "latest"}}, "version 'latest' is not one exact version"),
        ("etcd", {"etcd": {"archives": {"amd64": {"url": "https://mirror/x"}}}}, "amd64: sha256 is missing"),
        ("etcd", {"etcd": {"images": [{**IMAGE, "tag": "stable"}]}}, "tag 'stable' is not one exact version"),
        ("etcd", {"etcd": {"images": [{**IMAGE, "digest": ""}]}}, "digest is missing"),
        ("etcd", {"etcd": {"requirements": "patroni==4.1.5"}}, "has no version and hash"),
        ("etcd", {"etcd": {"end_of_life": "soon"}}, "is not a day"),
    ],
)
def test_mistakes_are_named(component: str, site: dict[str, Any], words: str) -> None:
    with pytest.raises(PinError) as refusal:
        pin(component, site)
    assert words in str(refusal.value)


def test_every_package_and_digest_of_some_pins() -> None:
    assert package_versions([pin(), pin("redis")]) == {"etcd-server": "3.4.23", "etcd-client": "3.4.23"}
    assert digests({**ETCD, "requirements": LOCK}) == [SHA, hashlib.sha256(LOCK.encode()).hexdigest()]


def test_a_site_has_all_pins_with_what_it_says_instead() -> None:
    found = of_site({**BUNDLE, "etcd": {**ETCD, "images": [IMAGE]}}, {"etcd": {"version": "3.6.15"}})
    assert list(found) == ["etcd", "redis"]
    assert found["etcd"]["version"] == "3.6.15"
    # The digest of another version is as good as none.
    assert not {"archives", "images", "packages"} & set(found["etcd"])
    with pytest.raises(PinError, match=r"no component etdc\. Did you mean etcd"):
        of_site(BUNDLE, {"etdc": {}})
    with pytest.raises(PinError, match="site_pins: etcd: version 'latest'"):
        of_site(BUNDLE, {"etcd": {"version": "latest"}})
