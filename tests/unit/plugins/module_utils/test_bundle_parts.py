"""A bundle on several media is the same bundle, and a part that is missing, damaged or exchanged is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from unit.plugins.module_utils.bundles import ETCD as ARTEFACT
from unit.plugins.module_utils.bundles import blob, signers, write_bundle

from ansible_collections.onprem.dify.plugins.module_utils import bundle_parts
from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import BLOBS, TOOL
from ansible_collections.onprem.dify.plugins.module_utils.bundle_parts import (
    JOINING,
    Archive,
    Manifest,
    PartsError,
    join,
    parse_size,
    split,
)
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import verify

SIZE = 20_000


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "2026.11.25"
    write_bundle(folder)
    return folder


@pytest.fixture
def media(tmp_path: Path, bundle: Path) -> Path:
    split(bundle, tmp_path / "media", SIZE)
    return tmp_path / "media"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(media: Path, target: Path) -> list[str]:
    with pytest.raises(PartsError) as error:
        join([media], target)
    assert not target.exists()
    return str(error.value).splitlines()


def test_what_was_split_is_joined_and_is_the_same(bundle: Path, media: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in media.iterdir())
    manifest = Manifest.parse((media / "2026.11.25.parts.json").read_bytes(), "it")
    assert names == sorted([*(part.name for part in manifest.parts), "2026.11.25.parts.json", TOOL])
    assert [part.name for part in manifest.parts][:2] == ["2026.11.25.001", "2026.11.25.002"]
    assert {part.size for part in manifest.parts[:-1]} == {SIZE}
    assert join([media], tmp_path / "joined") == (manifest, True)
    assert content(tmp_path / "joined") == content(bundle)
    assert verify(tmp_path / "joined", signers()).good
    assert not (tmp_path / f"joined{JOINING}").exists()


@pytest.mark.parametrize("size", [512, 513, 7_919, 1_000_000])
def test_parts_of_every_size_join(bundle: Path, tmp_path: Path, size: int) -> None:
    split(bundle, tmp_path / "media", size)
    join([tmp_path / "media"], tmp_path / "joined")
    assert content(tmp_path / "joined") == content(bundle)


def test_tar_joins_them_too(bundle: Path, media: Path, tmp_path: Path) -> None:
    (tmp_path / "tar").mkdir()
    subprocess.run(f"cat {media}/2026.11.25.[0-9]* | tar -x -C {tmp_path}/tar", shell=True, check=True)
    assert content(tmp_path / "tar") == content(bundle)


def test_the_same_bundle_makes_the_same_parts(bundle: Path, media: Path, tmp_path: Path) -> None:
    os.utime(bundle / "lock.json", (1, 1))
    (bundle / "lock.json").chmod(0o600)
    split(bundle, tmp_path / "again", SIZE)
    assert content(tmp_path / "again") == content(media)


def test_a_second_split_writes_nothing_and_a_third_mends_what_is_wrong(bundle: Path, media: Path) -> None:
    before = content(media)
    assert split(bundle, media, SIZE)[1] is False
    (media / "2026.11.25.002").write_bytes(bytes(SIZE))
    (media / "2026.11.25.003").unlink()
    assert split(bundle, media, SIZE)[1] is True
    assert content(media) == before


def test_each_medium_is_written_by_itself_with_the_list_of_all(bundle: Path, media: Path, tmp_path: Path) -> None:
    """So that splitting needs no room beside the media, and joining no more than the bundle has."""
    count = len(Manifest.parse((media / "2026.11.25.parts.json").read_bytes(), "it").parts)
    sticks = [tmp_path / f"stick{number}" for number in range(1, count + 1)]
    for number, stick in enumerate(sticks, start=1):
        split(bundle, stick, SIZE, only=number)
        assert sorted(path.name for path in stick.iterdir()) == [
            f"2026.11.25.{number:03}",
            "2026.11.25.parts.json",
            TOOL,
        ]
    target = tmp_path / "joined"
    for stick in reversed(sticks[1:]):
        lines = refused(stick, target)
        assert "2026.11.25.001: is missing" in lines
    assert lines[-1] == f"{count - 1} of {count} parts are in {target}{JOINING}; run it again with the others"
    join([sticks[0]], target)
    assert content(target) == content(bundle)


def test_all_media_at_once(bundle: Path, tmp_path: Path) -> None:
    split(bundle, tmp_path / "a", 100_000, only=1)
    split(bundle, tmp_path / "b", 100_000, only=2)
    join([tmp_path / "a", tmp_path / "b"], tmp_path / "joined")
    assert content(tmp_path / "joined") == content(bundle)


def test_there_is_no_part_after_the_last(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(PartsError, match="so there is no part 99"):
        split(bundle, tmp_path / "media", SIZE, only=99)


# What may be wrong with parts


def test_a_missing_part_is_named_and_the_others_are_used(media: Path, tmp_path: Path) -> None:
    (media / "2026.11.25.002").rename(tmp_path / "kept")
    lines = refused(media, tmp_path / "joined")
    assert lines[0] == "2026.11.25.002: is missing"
    assert len(lines) == 2
    (tmp_path / "kept").rename(media / "2026.11.25.002")
    join([media], tmp_path / "joined")


def test_a_damaged_part_is_named(media: Path, tmp_path: Path) -> None:
    part = media / "2026.11.25.003"
    damaged = bytearray(part.read_bytes())
    damaged[77] ^= 1
    part.write_bytes(damaged)
    assert refused(media, tmp_path / "joined")[0].startswith(f"{part}: was damaged, its digest is sha256:")


def test_a_truncated_part_is_named(media: Path, tmp_path: Path) -> None:
    os.truncate(media / "2026.11.25.003", 100)
    lines = refused(media, tmp_path / "joined")
    assert lines[0] == f"{media}/2026.11.25.003: has 100 bytes, wanted are {SIZE}"


def test_exchanged_parts_are_named(media: Path, tmp_path: Path) -> None:
    one, other = media / "2026.11.25.001", media / "2026.11.25.002"
    one.rename(media / "x")
    other.rename(one)
    (media / "x").rename(other)
    lines = refused(media, tmp_path / "joined")
    assert lines[0] == f"{one}: holds what 2026.11.25.002 should; the two were exchanged"
    assert lines[1] == f"{other}: holds what 2026.11.25.001 should; the two were exchanged"


def test_a_part_that_is_a_link_or_a_pipe_is_named(media: Path, tmp_path: Path) -> None:
    part = media / "2026.11.25.001"
    part.rename(tmp_path / "part")
    os.mkfifo(part)
    assert refused(media, tmp_path / "joined")[0] == f"{part}: is not a regular file"


def test_a_good_copy_of_a_damaged_part_on_another_medium_is_used(media: Path, tmp_path: Path) -> None:
    shutil.copytree(media, tmp_path / "copy")
    (media / "2026.11.25.001").write_bytes(bytes(SIZE))
    join([media, tmp_path / "copy"], tmp_path / "joined")


# Resume


def test_a_join_that_was_broken_off_goes_on(
    bundle: Path, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, taken = bundle_parts._take, []

    def until_the_third(part: bundle_parts.Part, *rest: object) -> str:
        if len(taken) == 3:
            raise KeyboardInterrupt
        taken.append(part.name)
        return honest(part, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(bundle_parts, "_take", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        join([media], tmp_path / "joined")
    assert not (tmp_path / "joined").exists()
    again: list[str] = []
    monkeypatch.setattr(bundle_parts, "_take", lambda part, *rest: again.append(part.name) or honest(part, *rest))
    join([media], tmp_path / "joined")
    assert taken == ["2026.11.25.001", "2026.11.25.002", "2026.11.25.003"]
    assert not set(taken) & set(again)
    assert content(tmp_path / "joined") == content(bundle)


def test_a_second_join_writes_nothing_and_a_third_mends_what_is_wrong(
    bundle: Path, media: Path, tmp_path: Path
) -> None:
    join([media], tmp_path / "joined")
    assert join([media], tmp_path / "joined")[1] is False
    blob(tmp_path / "joined", ARTEFACT).write_bytes(b"wrong")
    assert join([media], tmp_path / "joined")[1] is True
    assert content(tmp_path / "joined") == content(bundle)


@pytest.mark.parametrize("name", ["joined", f"joined{JOINING}"])
def test_a_folder_with_other_things_is_not_touched(media: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine").touch()
    with pytest.raises(PartsError, match=r"mine is there, which is not of 2026\.11\.25; name an empty folder"):
        join([media], tmp_path / "joined")
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["mine"]


def test_an_empty_folder_is_filled(media: Path, tmp_path: Path) -> None:
    (tmp_path / "joined").mkdir()
    join([media], tmp_path / "joined")
    assert verify(tmp_path / "joined", signers()).good


def test_no_link_in_the_folder_leads_the_bytes_elsewhere(media: Path, tmp_path: Path) -> None:
    (tmp_path / f"joined{JOINING}").mkdir()
    (tmp_path / f"joined{JOINING}" / "lock.json").symlink_to(tmp_path / "victim")
    with pytest.raises(PartsError, match=r"lock\.json"):
        join([media], tmp_path / "joined")
    assert not (tmp_path / "victim").exists()


def test_a_full_disk_is_said_before_the_first_byte(
    bundle: Path, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 5))  # type: ignore[attr-defined]
    with pytest.raises(PartsError, match="bytes are needed, and 5 are free"):
        join([media], tmp_path / "joined")
    with pytest.raises(PartsError, match="bytes are needed, and 5 are free"):
        split(bundle, tmp_path / "more", SIZE)
    assert list((tmp_path / "more").iterdir()) == []


# The list of the parts


def test_without_a_list_of_parts_nothing_is_joined(tmp_path: Path) -> None:
    assert "there is no list of parts" in refused(tmp_path, tmp_path / "joined")[0]


def test_lists_of_two_bundles_are_not_mixed(media: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_bundle(other, release="2026.12.01")
    split(other, media, SIZE)
    assert "are lists of different parts" in refused(media, tmp_path / "joined")[0]


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"name": "../x"},
        {"size": 1},
        {"size": True},
        {"digest": None},
        {"files": [{"path": "../../etc/passwd", "size": 5}]},
        {"files": [{"path": f"{BLOBS}/../../../x", "size": 5}]},
        {"files": []},
        {"files": [{"path": "lock.json", "size": -5}]},
        {"parts": [{"name": "2026.11.25.001/../../x", "size": 5, "digest": f"sha256:{'0' * 64}"}]},
        {"parts": "none"},
    ],
)
def test_a_list_that_cannot_be_true_is_refused(media: Path, tmp_path: Path, change: dict[str, object]) -> None:
    path = media / "2026.11.25.parts.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    lines = refused(media, tmp_path / "joined")
    assert lines[0].startswith(str(path))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["2026.11.25", "media"]


@pytest.mark.parametrize("text", [b"not json", b"[]", b"{}", b'"text"'])
def test_what_is_no_list_of_parts_is_refused(media: Path, tmp_path: Path, text: bytes) -> None:
    (media / "2026.11.25.parts.json").write_bytes(text)
    assert "is not a list of parts" in refused(media, tmp_path / "joined")[0]


# What is split


def test_only_a_bundle_is_split(bundle: Path, tmp_path: Path) -> None:
    (bundle / "README").touch()
    with pytest.raises(PartsError, match="README is not a part of a bundle"):
        split(bundle, tmp_path / "media", SIZE)
    with pytest.raises(PartsError, match="it is not a bundle"):
        split(tmp_path / "nothing", tmp_path / "media", SIZE)


def test_a_name_that_no_file_can_have_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(PartsError, match="cannot be the name of parts"):
        split(bundle, tmp_path / "media", SIZE, name="a/b")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4G", 4_000_000_000),
        ("4.7GB", 4_700_000_000),
        ("650M", 650_000_000),
        ("1 GiB", 1 << 30),
        ("512", 512),
        ("64k", 64_000),
        ("1T", 10**12),
    ],
)
def test_sizes_are_those_on_the_label(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "4 X", "-1G", "G", "4g", "100"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(PartsError):
        parse_size(text)


def test_four_gigabytes_fit_a_file_system_of_old_sticks() -> None:
    assert parse_size("4G") < 4 * 2**30


def test_progress_ends_with_all_bytes(bundle: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    split(bundle, tmp_path / "media", SIZE, report=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]


def test_files_beyond_eight_gigabytes_have_a_header() -> None:
    archive = Archive([("lock.json", 9 << 30)])
    assert archive.size == (9 << 30) + 3 * 512
