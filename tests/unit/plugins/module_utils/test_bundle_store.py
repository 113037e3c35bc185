"""What stands in the store under a digest is what the digest says."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from unit.plugins.module_utils.bundles import digest_of

from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import (
    CHUNK,
    SizeError,
    Store,
    StoreError,
    hash_file,
    open_plain,
    write_file,
)

BYTES = bytes(range(256)) * (3 * CHUNK // 256) + b"rest"
DIGEST = digest_of(BYTES)


def names(store: Store) -> list[str]:
    return [path.name for path in store.folder.iterdir()]


def test_a_blob_stands_under_its_digest(tmp_path: Path) -> None:
    store, counted = Store(tmp_path), []
    assert not store.has(DIGEST, len(BYTES))
    path = store.add(io.BytesIO(BYTES), DIGEST, len(BYTES), counted.append)
    assert path == tmp_path / "blobs" / "sha256" / DIGEST.removeprefix("sha256:")
    assert path.read_bytes() == BYTES
    assert path.stat().st_mode & 0o777 == 0o644
    assert sum(counted) == len(BYTES)
    assert store.has(DIGEST, len(BYTES)) and not store.has(DIGEST, 5)
    assert list(store.digests()) == [DIGEST]
    assert hash_file(path, len(BYTES)) == DIGEST


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (BYTES[:-1], f"ended after {len(BYTES) - 1} of {len(BYTES)} bytes"),
        (BYTES + b"!", f"has more than its {len(BYTES)} bytes"),
        (BYTES[:-1] + b"!", "have the digest sha256:"),
    ],
)
def test_wrong_bytes_leave_nothing(tmp_path: Path, content: bytes, words: str) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError, match=words):
        store.add(io.BytesIO(content), DIGEST, len(BYTES))
    assert names(store) == []


def test_a_stream_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        Store(tmp_path).add(Broken(), DIGEST, len(BYTES))
    assert names(Store(tmp_path)) == []


def test_a_finished_file_is_moved_in_if_it_is_right(tmp_path: Path) -> None:
    store, file = Store(tmp_path), tmp_path / "download.part"
    file.write_bytes(BYTES[:-1] + b"!")
    with pytest.raises(StoreError, match=rf"download\.part: its digest is sha256:\w+, wanted is {DIGEST}"):
        store.adopt(file, DIGEST, len(BYTES))
    assert file.exists() and list(store.digests()) == []
    file.write_bytes(BYTES)
    store.adopt(file, DIGEST, len(BYTES))
    assert not file.exists() and list(store.digests()) == [DIGEST]


def test_leftovers_of_a_killed_run_are_no_blobs_and_go(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert list(store.digests()) == []
    store.folder.mkdir(parents=True)
    (store.folder / ".new-abc").touch()
    assert list(store.digests()) == []
    store.clean()
    assert names(store) == []


def test_a_link_is_no_blob(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "blob").write_bytes(BYTES)
    store.folder.mkdir(parents=True)
    store.path(DIGEST).symlink_to(tmp_path / "blob")
    assert not store.has(DIGEST, len(BYTES))
    with pytest.raises(StoreError, match="is a symbolic link"):
        hash_file(store.path(DIGEST))


def test_another_size_is_said_without_reading(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BYTES)
    counted: list[int] = []
    with pytest.raises(SizeError, match=f"has {len(BYTES)} bytes, wanted are 5"):
        hash_file(tmp_path / "file", 5, counted.append)
    assert counted == []


def test_only_regular_files_are_read_and_nothing_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(StoreError, match="is not a regular file"):
            open_plain(tmp_path / name)
    with pytest.raises(StoreError, match="cannot be read: No such file"):
        open_plain(tmp_path / "nothing")
    with pytest.raises(StoreError, match="is not a regular file"):
        open_plain(Path("/dev/zero"))


def test_a_small_file_is_written_once(tmp_path: Path) -> None:
    assert write_file(tmp_path / "file", b"a")
    assert not write_file(tmp_path / "file", b"a")
    assert write_file(tmp_path / "file", b"b")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
