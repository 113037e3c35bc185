"""A delta carries what the site lacks, and with what it has becomes the same bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from unit.plugins.module_utils.bundles import CONTENT, ETCD, IMAGES, PROXY, blob, digest_of, signers, write_bundle

from ansible_collections.onprem.dify.plugins.module_utils.bundle_delta import DeltaError, make, plan, whole
from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import Lock
from ansible_collections.onprem.dify.plugins.module_utils.bundle_parts import join, split
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import verify

PATCHED = b"etcd, with a fix " * 900
NEWER = "files/etcd/3.6.15/amd64/etcd.tar.gz"


@pytest.fixture
def base(tmp_path: Path) -> Lock:
    return write_bundle(tmp_path / "base")


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    files = {path: content for path, content in CONTENT.items() if path != ETCD}
    return write_bundle(tmp_path / "new", {**files, NEWER: ("archive", "etcd", PATCHED)}, release="2026.12.01")


@pytest.fixture
def delta(tmp_path: Path, base: Lock, lock: Lock) -> Path:
    make(tmp_path / "new", base, tmp_path / "delta")
    return tmp_path / "delta"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_what_changed_is_carried(delta: Path, base: Lock) -> None:
    assert list(Store(delta).digests()) == [digest_of(PATCHED)]
    assert json.loads((delta / "delta.json").read_text()) == {
        "format": 1,
        "base": {"release": "2026.11.25", "digest": base.digest},
        "blobs": 1,
        "bytes": len(PATCHED),
    }


def test_a_delta_and_its_base_are_the_full_bundle(delta: Path, lock: Lock, tmp_path: Path) -> None:
    verdict, _new = whole(delta, tmp_path / "base", tmp_path / "whole", signers(), newest_release="2026.11.25")
    assert verdict.good
    assert verdict.lock == lock
    assert content(tmp_path / "whole") == content(tmp_path / "new")
    assert verify(tmp_path / "whole", signers()).good
    assert verify(tmp_path / "base", signers()).good


def test_a_delta_is_said_to_be_one_with_its_base(delta: Path, base: Lock) -> None:
    findings = verify(delta, signers()).findings
    assert [finding.kind for finding in findings] == ["delta"]
    assert f"release 2026.11.25 (lock {base.digest})" in findings[0].message


def test_a_store_of_the_site_makes_a_delta_whole(delta: Path, tmp_path: Path) -> None:
    assert verify(delta, signers(), elsewhere=Store(tmp_path / "base").has).good


def test_a_second_time_nothing_is_copied(delta: Path, base: Lock, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in delta.rglob("*")}
    assert make(tmp_path / "new", base, delta)[1] is False
    assert {path: path.stat().st_mtime_ns for path in delta.rglob("*")} == before


def test_a_delta_travels_in_parts(delta: Path, tmp_path: Path) -> None:
    split(delta, tmp_path / "media", 5_000)
    join([tmp_path / "media"], tmp_path / "joined")
    assert whole(tmp_path / "joined", tmp_path / "base", tmp_path / "whole", signers())[0].good


def test_another_base_is_refused_with_what_it_lacks(delta: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "older", {}, {PROXY: IMAGES[PROXY]}, release="2026.01.01")
    verdict, _new = whole(delta, tmp_path / "older", tmp_path / "whole", signers())
    assert verdict.findings[0].kind == "base"
    assert "it is release 2026.01.01, which lacks 7 blobs of release 2026.12.01" in verdict.findings[0].message
    assert "The delta was made for release 2026.11.25 (lock sha256:" in verdict.findings[0].message
    assert {finding.kind for finding in verdict.findings[1:]} == {"missing"}
    assert not (tmp_path / "whole").exists()
    verdict, _new = whole(delta, tmp_path / "nowhere", tmp_path / "whole", signers())
    assert "it is not a bundle" in verdict.findings[0].message


def test_an_altered_base_is_refused_with_its_artefact(delta: Path, tmp_path: Path) -> None:
    path = blob(tmp_path / "base", PROXY)
    path.write_bytes(path.read_bytes().replace(b"s390x", b"s390y"))
    verdict, _new = whole(delta, tmp_path / "base", tmp_path / "whole", signers())
    assert [(finding.kind, finding.artefact) for finding in verdict.findings] == [("altered", PROXY)]
    assert not any(path.name.startswith("whole") for path in tmp_path.iterdir())


def test_a_delta_that_a_stranger_signed_is_refused(delta: Path, tmp_path: Path) -> None:
    verdict, _new = whole(delta, tmp_path / "base", tmp_path / "whole", signers("another"))
    assert [finding.kind for finding in verdict.findings] == ["stranger"]


def test_an_old_delta_is_refused(delta: Path, tmp_path: Path) -> None:
    verdict, _new = whole(delta, tmp_path / "base", tmp_path / "whole", signers(), newest_release="2027.01.01")
    assert [finding.kind for finding in verdict.findings] == ["old"]


def test_what_is_there_is_not_replaced(delta: Path, base: Lock, tmp_path: Path) -> None:
    with pytest.raises(DeltaError, match="something else is there"):
        whole(delta, tmp_path / "base", tmp_path / "base", signers())
    with pytest.raises(DeltaError, match="another bundle stands there"):
        make(tmp_path / "new", base, tmp_path / "base")


def test_a_bundle_that_is_there_already_is_verified_again(delta: Path, tmp_path: Path) -> None:
    for new in (True, False):
        verdict, made = whole(delta, tmp_path / "base", tmp_path / "whole", signers())
        assert (verdict.good, made) == (True, new)
    blob(tmp_path / "whole", ETCD).with_name(digest_of(PATCHED).removeprefix("sha256:")).unlink()
    verdict, _new = whole(delta, tmp_path / "base", tmp_path / "whole", signers())
    assert [finding.kind for finding in verdict.findings] == ["missing"]


def test_a_leftover_of_a_killed_run_does_not_matter(delta: Path, tmp_path: Path) -> None:
    (tmp_path / "whole.joining").mkdir()
    (tmp_path / "whole.joining" / "leftover").touch()
    assert whole(delta, tmp_path / "base", tmp_path / "whole", signers())[0].good


def test_base_and_delta_on_two_disks_are_copied(delta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", link)
    assert whole(delta, tmp_path / "base", tmp_path / "whole", signers())[0].good


def test_a_bundle_that_lacks_an_artefact_makes_no_delta(base: Lock, lock: Lock, tmp_path: Path) -> None:
    Store(tmp_path / "new").path(digest_of(PATCHED)).write_bytes(PATCHED[:-1] + b"?")
    with pytest.raises(DeltaError, match=f"{NEWER}: the bytes that came"):
        make(tmp_path / "new", base, tmp_path / "delta")
    Store(tmp_path / "new").path(digest_of(PATCHED)).unlink()
    with pytest.raises(DeltaError, match=f"{NEWER}: cannot be read"):
        make(tmp_path / "new", base, tmp_path / "delta")
    assert not (tmp_path / "delta" / "lock.json").exists()


def test_there_is_no_delta_to_the_same_or_to_the_past(base: Lock, lock: Lock) -> None:
    with pytest.raises(DeltaError, match="there is nothing to carry"):
        plan(base, base)
    with pytest.raises(DeltaError, match=r"2026\.11\.25 is older than 2026\.12\.01"):
        plan(base, lock)


def test_progress_ends_with_all_bytes(base: Lock, lock: Lock, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    make(tmp_path / "new", base, tmp_path / "delta", lambda done, total: seen.append((done, total)))
    assert seen == [(len(PATCHED), len(PATCHED))]
