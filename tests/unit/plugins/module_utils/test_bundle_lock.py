"""A lock has one form, and one that contradicts itself or leads outside of the bundle is none."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import Any

import pytest
from unit.plugins.module_utils.bundles import COLLECTION, CONTENT, ETCD, LAYER, PAUSE, PROXY, digest_of, lock_of

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import (
    Blob,
    Component,
    Lock,
    LockError,
    canonical,
    hex_of,
    index,
    layout,
    release_order,
)

LOCK = lock_of()


def raw(**fields: Any) -> bytes:
    return canonical({**json.loads(LOCK.dump()), **fields})


def entries(where: str, **change: Any) -> list[dict[str, Any]]:
    """The records of a list, the first one changed."""
    first, *rest = json.loads(LOCK.dump())[where]
    return [{**first, **change}, *rest]


def fault(text: bytes | str) -> str:
    with pytest.raises(LockError) as error:
        Lock.parse(text)
    assert str(error.value).startswith("lock.json: ")
    return str(error.value)


def test_a_lock_is_read_as_it_was_written() -> None:
    assert Lock.parse(LOCK.dump()) == LOCK
    assert Lock.parse(LOCK.dump().decode()) == LOCK
    assert LOCK.digest == digest_of(LOCK.dump())
    assert LOCK.faults() == []


def test_the_same_artefacts_in_another_order_are_the_same_lock() -> None:
    shuffled = dataclasses.replace(
        LOCK,
        components=LOCK.components[::-1],
        files=LOCK.files[::-1],
        images=tuple(dataclasses.replace(image, blobs=image.blobs[::-1]) for image in LOCK.images[::-1]),
    )
    assert shuffled.dump() == LOCK.dump()
    assert [file.path for file in shuffled.files] == sorted(CONTENT)


def test_another_form_of_the_same_is_refused() -> None:
    content = json.loads(LOCK.dump())
    for text in (
        json.dumps(content),
        json.dumps(content, indent=1),
        LOCK.dump().decode() + "\n",
        LOCK.dump().decode().replace("amd64", "\\u0061md64", 1),
        canonical({**content, "files": content["files"][::-1]}),
    ):
        assert "not in its one form" in fault(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff", "it is not JSON"),
        ("", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "it is not a JSON object"),
        ('{"format": 1, "format": 1}', "a field stands twice"),
        ("{}", "its format is None, this version reads format 1"),
        ('{"format": 2}', "its format is 2"),
        ('{"format": 1}', "field architectures is missing"),
        (raw(more=1), "unknown field more"),
        (raw(release=5), "release is not text"),
        (raw(systems="Debian_12"), "systems is not a list of texts"),
        (raw(files={}), "files is not a list"),
        (raw(files=[1]), "files[0] is not an object"),
        (raw(files=entries("files", size="1")), "files[0]: size is not a whole number"),
        (raw(files=entries("files", size=True)), "files[0]: size is not a whole number"),
        (raw(files=entries("files", path=None)), "files[0]: path is not text"),
        (raw(files=entries("files", more=1)), "files[0]: unknown field more"),
        (raw(images=entries("images", blobs=[{"digest": "x"}])), "images[0].blobs[0]: field size is missing"),
    ],
)
def test_what_is_no_lock_is_refused(text: bytes | str, words: str) -> None:
    assert words in fault(text)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "files/../../x",
        "files/./x",
        "files//x",
        "files/",
        ".hidden/x",
        "files\\x",
        "files/a b",
        "files/a\nb",
        "files/\x00",
        "fïles/x",
    ],
)
def test_a_path_stays_inside_the_bundle(path: str) -> None:
    assert f"file {path!r}: this is not a path inside a bundle" in fault(raw(files=entries("files", path=path)))


@pytest.mark.parametrize(
    "path",
    [
        "packages/Debian_12/pool/libstdc++6_12.2.0-14+deb12u1_amd64.deb",
        "packages/Debian_12/pool/x_1%3a2~rc1_all.deb",
        "wheels/patroni/ydiff-1.4.2-py2.py3-none-any.whl",
        "packages/Debian_12/dists/stable/by-hash/SHA256/0f",
    ],
)
def test_names_of_real_artefacts_are_paths(path: str) -> None:
    assert dataclasses.replace(LOCK, files=(dataclasses.replace(LOCK.files[0], path=path),)).faults() == []


@pytest.mark.parametrize(
    ("where", "change", "words"),
    [
        ("files", {"kind": "image"}, "unknown kind 'image'"),
        ("files", {"architecture": "s390x"}, "unknown architecture 's390x'"),
        ("files", {"digest": "sha256:../x"}, "'sha256:../x' is not a sha256 digest"),
        ("files", {"digest": f"sha256:{'A' * 64}"}, "is not a sha256 digest"),
        ("files", {"digest": f"sha512:{'a' * 64}"}, "is not a sha256 digest"),
        ("files", {"size": -1}, "its size is -1"),
        ("files", {"component": "nobody"}, "its component 'nobody' is not listed"),
        ("files", {"source": "https://a\nb"}, "source is not one line"),
        ("files", {"version": "1\x1b"}, "version is not one line"),
        ("images", {"name": "pause"}, "this is not a name with its registry"),
        ("images", {"name": "registry.k8s.io/../x"}, "this is not a name with its registry"),
        ("images", {"tag": "../x"}, "this is not a tag"),
        ("images", {"media_type": "text/plain"}, "unknown media type 'text/plain'"),
        ("images", {"digest": "x"}, "'x' is not a sha256 digest"),
        ("images", {"blobs": [{"digest": "x", "size": 1}]}, "'x' is not a sha256 digest"),
        ("components", {"name": "The Tool"}, "is not a name in lower case"),
        ("components", {"licence": " "}, "licence is empty"),
        ("components", {"source": ""}, "source is empty"),
        ("components", {"end_of_life": "20261125"}, "is not a day as 2026-11-25"),
    ],
)
def test_what_a_record_must_not_say(where: str, change: dict[str, Any], words: str) -> None:
    assert words in fault(raw(**{where: entries(where, **change)}))


def test_what_is_listed_twice_is_refused() -> None:
    files, images, components = (json.loads(LOCK.dump())[name] for name in ("files", "images", "components"))
    assert f"path {COLLECTION} stands twice" in fault(raw(files=[files[0], *files]))
    assert f"image {PROXY} stands twice" in fault(raw(images=[images[0], *images]))
    assert "component controller stands twice" in fault(raw(components=[components[0], *components]))
    assert "system Debian_12 stands twice" in fault(raw(systems=["Debian_12", "Debian_12"]))
    assert "architecture amd64 stands twice" in fault(raw(architectures=["amd64", "amd64"]))
    (twice,) = entries("images")[:1]
    twice["blobs"] = [*twice["blobs"], twice["blobs"][0]]
    assert f"image {PROXY!r}: blob" in fault(raw(images=[twice]))


def test_a_file_is_not_the_folder_of_another() -> None:
    files = json.loads(LOCK.dump())["files"]
    below = {**files[0], "path": f"{COLLECTION}/more/deep"}
    assert f"{COLLECTION} is a file and the folder of {COLLECTION}/more/deep" in fault(raw(files=[*files, below]))


def test_a_digest_has_one_size() -> None:
    first, *rest = LOCK.images
    other = dataclasses.replace(first, blobs=(Blob(digest_of(LAYER), 5),))
    words = dataclasses.replace(LOCK, images=(*rest, dataclasses.replace(other, tag="v2"), first)).faults()
    assert words == [
        f"{digest_of(LAYER)} has 5 bytes in registry.k8s.io/kube-proxy:v2 and {len(LAYER)} bytes in {PROXY}"
    ] or words == [f"{digest_of(LAYER)} has {len(LAYER)} bytes in {PROXY} and 5 bytes in registry.k8s.io/kube-proxy:v2"]


@pytest.mark.parametrize(
    "release",
    [
        "",
        "latest",
        "2026.1.1",
        "2026.13.01",
        "2026.02.30",
        "2026.11.25.0",
        "2026.11.25.01",
        "2026.11.25\n",
        "\u0662026.11.25",
    ],
)
def test_what_is_no_release_is_refused(release: str) -> None:
    assert release_order(release) == ()
    assert f"release {release!r} is not" in fault(raw(release=release))


def test_releases_are_compared_as_numbers() -> None:
    order = ["2025.12.31", "2026.02.01", "2026.11.25", "2026.11.25.2", "2026.11.25.10", "2026.11.26"]
    for older, newer in itertools.pairwise(order):
        assert release_order(older) < release_order(newer)


def test_all_faults_come_at_once() -> None:
    assert len(fault(raw(release="x", systems=["?"], architectures=["vax"])).splitlines()) == 3


def test_every_blob_has_one_size_and_the_names_of_its_artefacts() -> None:
    blobs, names = LOCK.blobs(), LOCK.artefacts()
    assert list(blobs) == sorted(blobs)
    assert set(blobs) == set(names)
    assert blobs[digest_of(b"{}")] == 2
    assert names[digest_of(b"{}")] == [PROXY, PAUSE]
    assert names[digest_of(LAYER)] == [PROXY]
    assert names[digest_of(CONTENT[ETCD][2])] == [ETCD]


def test_what_another_lock_lacks() -> None:
    older = dataclasses.replace(LOCK, images=LOCK.images[1:])
    assert LOCK.missing_in(LOCK) == {}
    assert digest_of(LAYER) in LOCK.missing_in(older)
    assert older.missing_in(LOCK) == {}


def test_a_file_is_found_by_its_path() -> None:
    assert LOCK.file(ETCD).component == "etcd"
    with pytest.raises(LockError, match=r"there is no files/x in release 2026\.11\.25"):
        LOCK.file("files/x")


def test_a_component_without_an_end_of_life_has_none() -> None:
    component = Component("etcd", "1", "Apache-2.0", "https://example.org", "2027-11-11")
    assert dataclasses.replace(LOCK, components=(*LOCK.components[:-1], component)).faults()
    assert b'"end_of_life": null' in LOCK.dump()


def test_the_index_names_each_image() -> None:
    content = json.loads(index(LOCK))
    names = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in content["manifests"]]
    assert names == [PROXY, PAUSE]
    assert json.loads(layout()) == {"imageLayoutVersion": "1.0.0"}


def test_only_a_digest_is_the_name_of_a_blob() -> None:
    assert hex_of(f"sha256:{'a' * 64}") == "a" * 64
    for digest in ("a" * 64, "sha256:../../etc/passwd", f"sha256:{'a' * 64}\n", "sha512:x", ""):
        with pytest.raises(LockError):
            hex_of(digest)
