"""Collections become tarballs that are the same everywhere."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_collections import (
    BLOCK,
    CollectionError,
    all_needed,
    pack,
    stored,
)


def collection(folder: Path, name: str, needs: dict[str, str] | None = None, order: int = 1) -> Path:
    """An installed collection with two files and one that its installation left out."""
    content = {"README.md": b"read\n", "plugins/run.sh": b"#!/bin/sh\n", "tests/gone.py": b"gone\n"}
    listed: list[dict[str, Any]] = [{"name": ".", "ftype": "dir", "chksum_sha256": None}]
    for path, data in list(content.items())[::order]:
        sha256 = hashlib.sha256(data).hexdigest()
        listed.append({"name": path, "ftype": "file", "chksum_type": "sha256", "chksum_sha256": sha256})
        if not path.startswith("tests/"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
    (folder / "plugins/run.sh").chmod(0o755)
    namespace, short = name.split(".")
    info = {
        "namespace": namespace,
        "name": short,
        "version": "1.2.3",
        "license": ["GPL-3.0-or-later"],
        "repository": f"https://example.org/{name}",
        "dependencies": needs or {},
    }
    (folder / "FILES.json").write_text(json.dumps({"files": listed, "format": 1}))
    (folder / "MANIFEST.json").write_text(json.dumps({"collection_info": info, "file_manifest_file": {}, "format": 1}))
    return folder


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = [entry for entry in archive.getmembers() if entry.isfile()]
        return {entry.name: getattr(archive.extractfile(entry), "read")() for entry in files}  # noqa: B009


def test_the_same_files_give_the_same_tarball(tmp_path: Path) -> None:
    one = collection(tmp_path / "one", "a.b")
    two = collection(tmp_path / "two", "a.b", order=-1)
    for path in two.rglob("*"):
        os.utime(path, (1, 1))
    packed, _ = pack(one)
    assert pack(two)[0].data == packed.data
    assert (packed.path, packed.licence) == ("collections/a-b-1.2.3.tar.gz", "GPL-3.0-or-later")


def test_a_tarball_lists_what_it_holds_with_hashes(tmp_path: Path) -> None:
    packed, _ = pack(collection(tmp_path / "one", "a.b"))
    found = members(packed.data)
    assert list(found) == ["MANIFEST.json", "FILES.json", "README.md", "plugins/run.sh"]
    manifest = json.loads(found["MANIFEST.json"])
    assert manifest["file_manifest_file"]["chksum_sha256"] == hashlib.sha256(found["FILES.json"]).hexdigest()
    assert [entry["name"] for entry in json.loads(found["FILES.json"])["files"]] == [".", "README.md", "plugins/run.sh"]
    with tarfile.open(fileobj=io.BytesIO(packed.data)) as archive:
        modes = {entry.name: (entry.mode, entry.mtime, entry.uname) for entry in archive.getmembers()}
    assert modes["plugins/run.sh"] == (0o755, 0, "")
    assert modes["README.md"] == (0o644, 0, "")


def test_a_file_that_was_changed_after_its_installation_is_refused(tmp_path: Path) -> None:
    folder = collection(tmp_path / "one", "a.b")
    (folder / "README.md").write_text("other\n")
    with pytest.raises(CollectionError, match=r"README\.md is not as it was published: install the collection anew"):
        pack(folder)


def test_all_that_one_needs_comes_with_it_once(tmp_path: Path) -> None:
    places = {
        "a.b": collection(tmp_path / "b", "a.b", {"a.c": ">=1", "a.d": ">=1"}),
        "a.c": collection(tmp_path / "c", "a.c", {"a.d": ">=1"}),
        "a.d": collection(tmp_path / "d", "a.d"),
    }
    found = [packed.name for packed in all_needed(places["a.b"], places.get, lambda _folder, _place: None)]
    assert sorted(found) == ["a.b", "a.c", "a.d"]
    del places["a.d"]
    with pytest.raises(CollectionError, match=r"needs the collection a\.d, which is not installed here"):
        list(all_needed(places["a.b"], places.get, lambda _folder, _place: None))


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match=r"is no collection: it has neither MANIFEST\.json nor galaxy\.yml"):
        list(all_needed(tmp_path, lambda _name: None, lambda _folder, _place: None))


@pytest.mark.parametrize("length", [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_what_is_stored_is_read_by_gzip(length: int) -> None:
    data = os.urandom(length)
    assert gzip.decompress(stored(data)) == data
