"""The dry run of a load says what the load would do, before anything was carried."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.plugins.module_utils.bundles import CONTENT, public, write_bundle

from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import CURRENT, PREVIOUS, Mirror, MirrorError
from ansible_collections.onprem.dify.plugins.modules import mirror_arrivals, mirror_gc, mirror_load, mirror_rollback

SIGNERS = [f"release@bank {public('release')}"]


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "mirror")


def bundle(tmp_path: Path, release: str = "2026.11.25") -> Path:
    folder = tmp_path / release
    folder.mkdir()
    write_bundle(folder, release=release)
    return folder


def test_the_dry_run_of_a_load_names_the_release_and_changes_nothing(mirror: Mirror, tmp_path: Path) -> None:
    result = mirror_load.bring(mirror, bundle(tmp_path), SIGNERS, True)
    assert result["changed"]
    assert result["release"].startswith("2026.11.25-")
    assert not mirror.root.exists()


def test_what_was_not_carried_in_a_dry_run_is_foreseen(mirror: Mirror) -> None:
    result = mirror_load.bring(mirror, None, SIGNERS, True)
    assert not mirror_load.foreseen(result, "")["changed"]
    assert mirror_load.foreseen(result, "2026.11.25-0123456789ab")["changed"]


def test_the_dry_run_of_a_load_that_was_done_says_so(mirror: Mirror, tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    done = mirror_load.bring(mirror, folder, SIGNERS, False)
    assert done["changed"] and done["key"]
    again = mirror_load.bring(mirror, folder, SIGNERS, True)
    assert not mirror_load.foreseen(again, done["release"])["changed"]


def test_the_keys_of_makers_are_told_by_system(mirror: Mirror, tmp_path: Path) -> None:
    folder = tmp_path / "2026.11.25"
    folder.mkdir()
    write_bundle(folder, {**CONTENT, "keys/Rocky_9.asc": ("key", "etcd", b"a key of the makers")})
    done = mirror_load.bring(mirror, folder, SIGNERS, False)
    assert (done["key"], done["makers"]) == ("a public key", {"Rocky_9": "a key of the makers"})


def test_a_mirror_without_anything_is_left_alone(mirror: Mirror) -> None:
    result = mirror_load.bring(mirror, None, SIGNERS, False)
    assert (result["changed"], result["release"]) == (False, "")
    assert mirror_gc.bring(mirror, False).releases == []


def test_going_back_twice_from_the_same_release_goes_back_once(mirror: Mirror, tmp_path: Path) -> None:
    for release in ("2026.11.25", "2026.12.01"):
        mirror_load.bring(mirror, bundle(tmp_path, release), SIGNERS, False)
    assert mirror_rollback.bring(mirror, "2026.12.01", True)["changed"]
    assert mirror.link(CURRENT).lock.release == "2026.12.01"  # type: ignore[union-attr]
    assert mirror_rollback.bring(mirror, "2026.12.01", False)["changed"]
    assert not mirror_rollback.bring(mirror, "2026.12.01", False)["changed"]
    assert mirror.link(CURRENT).lock.release == "2026.11.25"  # type: ignore[union-attr]
    assert mirror.link(PREVIOUS).lock.release == "2026.12.01"  # type: ignore[union-attr]
    with pytest.raises(MirrorError, match=r"serves 2026\.11\.25-\S+, and not 2026\.10\.01"):
        mirror_rollback.bring(mirror, "2026.10.01", False)


def test_what_a_mirror_has_is_told_without_a_change(mirror: Mirror, tmp_path: Path) -> None:
    folder = bundle(tmp_path)
    lock = mirror_arrivals.Lock.parse((folder / "lock.json").read_bytes())
    found = mirror_arrivals.inspect(mirror, lock)
    assert set(found["missing"]) == set(lock.blobs())
    assert found["current"] == {"release": "", "digest": ""}
    assert not mirror.root.exists()
    mirror_load.bring(mirror, folder, SIGNERS, False)
    found = mirror_arrivals.inspect(mirror, lock)
    assert (found["missing"], found["current"]["digest"]) == ({}, lock.digest)
