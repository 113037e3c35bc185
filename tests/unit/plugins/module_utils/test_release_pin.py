"""What is installed is what a pin says, and a pin that lacks something is refused by its name."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.release import ReleaseError
from ansible_collections.onprem.dify.plugins.module_utils.release_pin import parse_pin

SHA = "a" * 64
LOCK = f"patroni==4.1.5 --hash=sha256:{SHA}\n"
URLS = ["https://10.0.4.11/etcd.tar.gz", "https://10.0.4.12/etcd.tar.gz"]
ETCD: dict[str, Any] = {
    "name": "etcd",
    "version": "3.6.14",
    "licence": "Apache-2.0",
    "ca_path": "/etc/ca.crt",
    "archive": {"urls": URLS, "sha256": SHA},
}
PATRONI: dict[str, Any] = {**ETCD, "name": "patroni", "requirements": LOCK, "wheel_links": ["/srv/wheels/"]}


@pytest.mark.parametrize("kind", ["archive", "program"])
def test_an_archive_is_taken_from_the_addresses_of_its_pin(kind: str) -> None:
    found = parse_pin(ETCD, kind)
    assert (found.name, found.version, found.digest, found.places) == ("etcd", "3.6.14", SHA, URLS)
    assert found.ca_path == "/etc/ca.crt"
    assert parse_pin({**ETCD, "ca_path": None}, kind).ca_path == ""


def test_wheels_are_known_by_the_text_that_locks_them() -> None:
    found = parse_pin(PATRONI, "venv")
    assert found.digest == hashlib.sha256(LOCK.encode()).hexdigest()
    assert (found.places, found.requirements) == (["/srv/wheels/"], LOCK)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"name": "Etcd"}, "archive", "name 'Etcd' is not"),
        ({"name": "etcd-3"}, "archive", "name 'etcd-3' is not"),
        ({"name": "../etcd"}, "archive", "name '../etcd' is not"),
        ({"name": None}, "archive", "name None is not"),
        ({"version": "latest"}, "archive", "version 'latest' is not"),
        ({"version": "1/.."}, "archive", "version '1/..' is not"),
        ({"archive": {"urls": URLS, "sha256": f"sha256:{SHA}"}}, "archive", "is not 64 hexadecimal digits"),
        ({"archive": {"urls": URLS}}, "archive", "sha256 None is not"),
        ({"archive": {"urls": [], "sha256": SHA}}, "archive", "archive.urls is [] in its pin"),
        ({"archive": {"urls": URLS[0], "sha256": SHA}}, "program", "archive.urls is 'https://10.0.4.11"),
        ({"archive": None}, "program", "look the pin up with archive=true"),
        ({"wheel_links": None}, "venv", "a look-up with wheels=true has"),
        ({"requirements": ""}, "venv", "requirements is missing in its pin"),
        ({"requirements": "patroni==4.1.5"}, "venv", "no version and hash in patroni==4.1.5"),
    ],
)
def test_what_a_pin_lacks_is_named(change: dict[str, Any], kind: str, words: str) -> None:
    with pytest.raises(ReleaseError) as refusal:
        parse_pin({**PATRONI, **change}, kind)
    assert words in str(refusal.value)
