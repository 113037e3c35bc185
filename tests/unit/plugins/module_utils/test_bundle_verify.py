"""A bundle that was altered on its way is refused, and the user reads which artefact it is."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from unit.plugins.module_utils.bundles import (
    COLLECTION,
    CONTENT,
    ETCD,
    IMAGES,
    KEY,
    LAYER,
    MANIFEST,
    PACKAGE,
    PACKAGES,
    PAUSE,
    PAUSE_MANIFEST,
    PROXY,
    WHEEL,
    blob,
    changed,
    descriptor,
    digest_of,
    key,
    manifest,
    signers,
    write_bundle,
    write_lock,
)

from ansible_collections.onprem.dify.plugins.module_utils import bundle_verify
from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import BLOBS, TOOL, TOOL_PATH, Lock
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import sign
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import Finding, Verdict, note, verify

NOBODY = 65534
# One of each kind.
ARTEFACTS = [ETCD, WHEEL, COLLECTION, PACKAGE, PACKAGES, KEY, TOOL_PATH, PAUSE, PROXY]
NAMES = {artefact: artefact for artefact in ARTEFACTS}


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    return write_bundle(tmp_path)


def checked(folder: Path, **asked: object) -> Verdict:
    return verify(folder, signers(), **asked)  # type: ignore[arg-type]


def only(folder: Path, **asked: object) -> Finding:
    """The one finding of a bundle with one fault."""
    findings = checked(folder, **asked).findings
    assert len(findings) == 1, findings
    return findings[0]


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize("workers", [1, 2, 7])
def test_an_untouched_bundle_is_good(tmp_path: Path, workers: int) -> None:
    verdict = checked(tmp_path, workers=workers)
    assert verdict.findings == []
    assert verdict.good
    assert verdict.signer == "release@bank"
    assert verdict.lock is not None and verdict.lock.release == "2026.11.25"
    assert verdict.size == sum(verdict.lock.blobs().values())


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_one_flipped_bit_is_found_and_its_artefact_named(tmp_path: Path, artefact: str) -> None:
    path = blob(tmp_path, artefact)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    finding = only(tmp_path)
    assert (finding.kind, finding.artefact) == ("altered", artefact)
    assert finding.message.startswith(f"{artefact}: was altered")


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_a_truncated_file_is_found_and_its_artefact_named(tmp_path: Path, artefact: str) -> None:
    path = blob(tmp_path, artefact)
    os.truncate(path, path.stat().st_size - 1)
    finding = only(tmp_path)
    assert finding.artefact == artefact
    assert finding.kind in ("size", "altered")


@pytest.mark.usefixtures("lock")
def test_of_a_truncated_file_the_sizes_are_said_and_its_bytes_not_read(tmp_path: Path) -> None:
    os.truncate(blob(tmp_path, ETCD), 24_000)
    finding = only(tmp_path)
    assert finding.message.startswith(f"{ETCD}: has 24000 bytes, wanted are 25000")


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_a_missing_blob_is_found_and_its_artefact_named(tmp_path: Path, artefact: str) -> None:
    blob(tmp_path, artefact).unlink()
    finding = only(tmp_path)
    assert (finding.kind, finding.artefact) == ("missing", artefact)


@pytest.mark.usefixtures("lock")
def test_a_layer_is_named_by_its_images(tmp_path: Path) -> None:
    Store(tmp_path).path(digest_of(LAYER)).unlink()
    assert only(tmp_path).artefact == PROXY
    Store(tmp_path).path(digest_of(b"{}")).unlink()
    assert {finding.artefact for finding in checked(tmp_path).findings} == {PROXY, f"{PROXY} (and 1 more)"}


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize("pair", [(ETCD, PACKAGE), (WHEEL, COLLECTION), (PAUSE, PROXY), (KEY, PAUSE)])
def test_a_swapped_pair_is_found_whether_the_sizes_are_equal_or_not(tmp_path: Path, pair: tuple[str, str]) -> None:
    one, other = (blob(tmp_path, artefact) for artefact in pair)
    one.rename(tmp_path / "between")
    other.rename(one)
    (tmp_path / "between").rename(other)
    findings = checked(tmp_path).findings
    assert {finding.kind for finding in findings} == {"swapped"}
    assert {finding.artefact for finding in findings} == set(pair)
    assert any(
        finding.message.startswith(f"{pair[0]}: in its place stands {pair[1]} (blobs/sha256/") for finding in findings
    )


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize("name", [f"{BLOBS}/{'0' * 64}", f"{BLOBS}/.new-1", "blobs/md5", "README", "delta.json.new"])
def test_what_the_lock_does_not_list_may_not_be_there(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"extra")
    assert only(tmp_path) == Finding("extra", name, only(tmp_path).message)


@pytest.mark.usefixtures("lock")
def test_a_name_that_would_move_the_cursor_is_shown_in_plain_letters(tmp_path: Path) -> None:
    (tmp_path / "\x1b[2Jgone").touch()
    assert only(tmp_path).artefact == r"'\x1b[2Jgone'"


@pytest.mark.parametrize("make", ["link", "pipe", "folder", "socket"])
@pytest.mark.parametrize("artefact", [ETCD, PAUSE])
def test_only_a_regular_file_is_a_blob(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: str, artefact: str
) -> None:
    bundle = tmp_path / "b"
    write_bundle(bundle)
    path = blob(bundle, artefact)
    path.rename(tmp_path / "same")
    if make == "link":
        # The bytes are right today; where the link leads tomorrow nobody signed.
        path.symlink_to(tmp_path / "same")
    elif make == "pipe":
        os.mkfifo(path)
    elif make == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            monkeypatch.chdir(path.parent)
            listener.bind(path.name)
    finding = only(bundle)
    assert (finding.kind, finding.artefact) == ("special", artefact)


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize("name", ["blobs", BLOBS])
def test_the_folders_are_no_links(tmp_path: Path, name: str) -> None:
    outside = tmp_path.with_name(f"{tmp_path.name}-outside")
    (tmp_path / name).rename(outside)
    (tmp_path / name).symlink_to(outside)
    assert Finding("special", name, f"{name}: is not a folder") in checked(tmp_path).findings


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user that may not read everything, also where the tests run as root."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(mine)


def test_a_blob_that_cannot_be_read_is_named() -> None:
    known = signers()
    with tempfile.TemporaryDirectory() as place:
        bundle = Path(place, "bundle")
        write_bundle(bundle)
        Path(place).chmod(0o755)
        blob(bundle, ETCD).chmod(0)
        with unprivileged():
            (finding,) = verify(bundle, known).findings
    assert finding.kind == "special"
    assert finding.message.startswith(f"{ETCD}: cannot be read: Permission denied")


@pytest.mark.usefixtures("lock")
def test_a_blob_that_the_disk_does_not_give_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, honest = blob(tmp_path, ETCD), bundle_verify.hash_file

    def hash_file(path: Path, *rest: object) -> str:
        if path == bad:
            raise OSError(5, "Input/output error")
        return honest(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(bundle_verify, "hash_file", hash_file)
    finding = only(tmp_path)
    assert finding.artefact == ETCD
    assert "Input/output error" in finding.message


# Who signed it


@pytest.mark.usefixtures("lock")
def test_an_edited_lock_is_refused_and_nothing_of_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    path.write_bytes(path.read_bytes().replace(b"2026.11.25", b"2027.11.25"))
    verdict = checked(tmp_path)
    assert [finding.kind for finding in verdict.findings] == ["altered"]
    assert verdict.findings[0].message.startswith("lock.json: it was changed after the key SHA256:")
    assert verdict.lock is None


@pytest.mark.usefixtures("lock")
def test_an_unsigned_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock.json.sig").unlink()
    verdict = checked(tmp_path)
    assert [finding.kind for finding in verdict.findings] == ["unsigned"]
    assert verdict.lock is None


def test_a_bundle_that_a_stranger_signed_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path, signer="stranger")
    verdict = checked(tmp_path)
    assert [finding.kind for finding in verdict.findings] == ["stranger"]
    assert "which is not one of release@bank" in verdict.findings[0].message
    assert verdict.lock is None


def test_a_signature_for_another_purpose_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = write_bundle(tmp_path)
    monkeypatch.setattr("ansible_collections.onprem.dify.plugins.module_utils.bundle_signature.NAMESPACE", "git")
    signature = sign(lock.dump(), key("release"))
    monkeypatch.undo()
    (tmp_path / "lock.json.sig").write_bytes(signature)
    finding = only(tmp_path)
    assert finding.kind == "namespace"
    assert "is one for 'git'" in finding.message


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize("name", ["lock.json", "lock.json.sig"])
def test_lock_and_signature_are_regular_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).rename(tmp_path / "elsewhere")
    (tmp_path / name).symlink_to("elsewhere")
    finding = only(tmp_path)
    assert (finding.kind, finding.artefact) == ("special", name)


def test_a_folder_that_is_no_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    assert "so " + str(tmp_path) + " is not a bundle" in only(tmp_path).message
    assert "there is no such folder" in only(tmp_path / "nowhere").message


@pytest.mark.usefixtures("lock")
def test_an_old_bundle_is_refused_and_the_same_or_a_newer_one_is_not(tmp_path: Path) -> None:
    for newest in ("2026.11.25", "2026.11.24.7", "2025.12.31", ""):
        assert checked(tmp_path, newest_release=newest).good
    for newest in ("2026.11.25.1", "2026.12.01", "2027.01.01"):
        finding = only(tmp_path, newest_release=newest)
        assert finding.kind == "old"
        assert f"release 2026.11.25 is older than {newest}, which the site has" in finding.message
    assert only(tmp_path, newest_release="yesterday").kind == "old"


def test_a_signed_lock_with_a_path_that_leads_outside_is_refused(tmp_path: Path) -> None:
    lock = write_bundle(tmp_path)
    first, *rest = lock.files
    for path in ("../../etc/passwd", "/etc/passwd", "files/./x", rest[0].path):
        write_lock(tmp_path, changed(lock, files=(dataclasses.replace(first, path=path), *rest)))
        verdict = checked(tmp_path)
        assert {finding.kind for finding in verdict.findings} == {"lock"}
        assert verdict.lock is None


# What is derived from the lock


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize("name", ["index.json", "oci-layout", "sbom.cdx.json"])
def test_what_is_derived_has_to_say_what_the_lock_says(tmp_path: Path, name: str) -> None:
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content.replace(b"1.0", b"1.1").replace(b"3.10.2", b"3.10.1"))
    assert only(tmp_path).kind == "derived"
    replace(tmp_path / name, content[:-1])
    assert only(tmp_path).kind == "derived"
    (tmp_path / name).unlink()
    assert only(tmp_path) == Finding("missing", name, f"{name}: is not there")
    (tmp_path / name).symlink_to("lock.json")
    assert only(tmp_path).kind == "special"


@pytest.mark.usefixtures("lock")
def test_the_tool_beside_the_blobs_is_that_of_the_lock(tmp_path: Path) -> None:
    (tmp_path / TOOL).write_bytes(b"another zipapp")
    assert only(tmp_path).message == f"{TOOL}: is not the {TOOL_PATH} of the lock"
    (tmp_path / TOOL).unlink()
    assert only(tmp_path).kind == "missing"


def test_a_tool_that_the_lock_does_not_list_is_extra(tmp_path: Path) -> None:
    write_bundle(tmp_path, files={path: content for path, content in CONTENT.items() if path != TOOL_PATH})
    assert checked(tmp_path).good
    (tmp_path / TOOL).write_bytes(b"a zipapp")
    assert only(tmp_path).kind == "extra"


# Images


def test_an_image_whose_manifest_names_what_the_lock_does_not_list_is_refused(tmp_path: Path) -> None:
    top = manifest(b"a layer of nobody")
    write_bundle(tmp_path, images={PAUSE: (top, MANIFEST, [b"{}"])})
    finding = only(tmp_path)
    assert (finding.kind, finding.artefact) == ("manifest", PAUSE)
    assert digest_of(b"a layer of nobody") in finding.message


def test_a_platform_that_the_bundle_is_for_has_to_be_there(tmp_path: Path) -> None:
    top = json.dumps(
        {"manifests": [descriptor(PAUSE_MANIFEST, platform={"os": "linux", "architecture": "amd64"})]}
    ).encode()
    oci_index = "application/vnd.oci.image.index.v1+json"
    write_bundle(tmp_path, images={PAUSE: (top, oci_index, [])})
    assert only(tmp_path).kind == "manifest"
    bundle = tmp_path / "another"
    write_bundle(bundle, images={PAUSE: (top.replace(b"linux", b"plan9"), oci_index, [])})
    assert checked(bundle).good


@pytest.mark.parametrize(
    "top",
    [
        b"not json",
        b"[]",
        b"{}",
        b'{"manifests": [1]}',
        b'{"manifests": [{"digest": "sha256:../../x", "size": 1}]}',
        b'{"config": {"digest": 5, "size": 1}, "layers": []}',
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, top: bytes) -> None:
    write_bundle(tmp_path, images={PAUSE: (top, MANIFEST, [])})
    finding = only(tmp_path)
    assert (finding.kind, finding.artefact) == ("manifest", PAUSE)
    assert "is not a manifest of an image" in finding.message


def test_a_manifest_that_says_another_size_or_type_is_refused(tmp_path: Path) -> None:
    top = PAUSE_MANIFEST.replace(b'"size": 2', b'"size": 3')
    write_bundle(tmp_path / "a", images={PAUSE: (top, MANIFEST, IMAGES[PAUSE][2])})
    assert "has 3 bytes" in only(tmp_path / "a").message
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    write_bundle(tmp_path / "b", images={PAUSE: (PAUSE_MANIFEST, docker, IMAGES[PAUSE][2])})
    assert "media type" in only(tmp_path / "b").message


# What the user sees


@pytest.mark.usefixtures("lock")
def test_all_findings_come_at_once_and_do_not_fill_the_screen(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / BLOBS)
    (tmp_path / BLOBS).mkdir()
    for number in range(60):
        (tmp_path / BLOBS / f"{number:064x}").touch()
    verdict = checked(tmp_path)
    assert verdict.lock is not None
    assert len(verdict.findings) == 60 + len(verdict.lock.blobs())
    lines = verdict.message("the bundle").splitlines()
    assert lines[0] == "the bundle is refused:"
    assert len(lines) == 52
    assert lines[-1] == f"  and {len(verdict.findings) - 50} findings more"


@pytest.mark.usefixtures("lock")
def test_progress_ends_with_all_bytes(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    verdict = checked(tmp_path, report=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (verdict.size, verdict.size)
    assert seen == sorted(seen)


# Deltas


@pytest.mark.usefixtures("lock")
def test_a_delta_is_said_to_be_one_and_its_base_named(tmp_path: Path) -> None:
    base = digest_of(b"base")
    (tmp_path / "delta.json").write_bytes(note("2026.10.01", base, 1, 25_000))
    assert checked(tmp_path).good
    blob(tmp_path, ETCD).unlink()
    finding = only(tmp_path)
    assert finding.kind == "delta"
    assert f"without 1 blobs of 25000 bytes which release 2026.10.01 (lock {base}) has" in finding.message
    assert checked(tmp_path, elsewhere=lambda digest, size: (digest, size) == (digest_of(b"etcd " * 5000), 25000)).good
    assert only(tmp_path, elsewhere=lambda digest, size: False).kind == "delta"


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"base": {"release": "\\u001b[2J", "digest": "x"}}',
        note("latest", digest_of(b"base"), 1, 1),
        note("2026.10.01", "sha256:x", 1, 1),
        note("2026.10.01", digest_of(b"base"), 1, 1) + b" ",
        bytes(5000),
    ],
)
def test_a_note_of_a_delta_carries_nothing_else(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "delta.json").write_bytes(text)
    assert only(tmp_path) == Finding("derived", "delta.json", "delta.json: is not what a delta says of its base")
    blob(tmp_path, ETCD).unlink()
    assert [finding.kind for finding in checked(tmp_path).findings] == ["derived", "delta"]
    assert "bytes which its base has" in checked(tmp_path).findings[1].message
