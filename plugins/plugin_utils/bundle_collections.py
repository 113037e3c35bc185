# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collections of a bundle: this one and those it depends on, as they are installed where the bundle is built.

What was tested together travels together. Each becomes a tarball that `ansible-galaxy collection install` takes, and
the same files always give the same tarball.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST, FILES = "MANIFEST.json", "FILES.json"
EXECUTABLE = 0o111
# The most that a block of gzip can hold.
BLOCK = 0xFFFF


class CollectionError(Exception):
    """A collection cannot be packed; the text is for the user."""


@dataclass(frozen=True)
class Packed:
    """A collection as a tarball."""

    name: str
    version: str
    licence: str
    source: str
    data: bytes

    @property
    def path(self) -> str:
        return f"collections/{self.name.replace('.', '-')}-{self.version}.tar.gz"


def all_needed(own: Path, find: Callable[[str], Path | None], build: Callable[[Path, Path], None]) -> Iterator[Packed]:
    """This collection, and every one that it or one of the others depends on.

    `find` tells where a collection is installed; `build` makes the tarball of a checkout, which has no manifest yet.
    """
    done: set[str] = set()
    waiting = [own]
    while waiting:
        folder = waiting.pop()
        packed, needs = _pack(folder, build)
        if packed.name in done:
            continue
        done.add(packed.name)
        yield packed
        for name in sorted(set(needs) - done):
            place = find(name)
            if place is None:
                raise CollectionError(f"{packed.name} needs the collection {name}, which is not installed here")
            waiting.append(place)


def _pack(folder: Path, build: Callable[[Path, Path], None]) -> tuple[Packed, Mapping[str, str]]:
    if (folder / MANIFEST).is_file():
        return pack(folder)
    if not (folder / "galaxy.yml").is_file():
        raise CollectionError(f"{folder} is no collection: it has neither {MANIFEST} nor galaxy.yml")
    with tempfile.TemporaryDirectory() as place:
        build(folder, Path(place))
        (tarball,) = Path(place).glob("*.tar.gz")
        with tarfile.open(tarball) as archive:
            archive.extractall(Path(place, "content"), filter="data")
        return pack(Path(place, "content"))


def galaxy_build(folder: Path, place: Path) -> None:
    command = ["ansible-galaxy", "collection", "build", "--output-path", str(place)]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CollectionError(f"{' '.join(command[:3])} in {folder}: {(done.stderr or done.stdout).strip()}")


def pack(folder: Path) -> tuple[Packed, Mapping[str, str]]:
    """The tarball of an installed collection, and what it depends on."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    info = manifest["collection_info"]
    entries = list(_entries(folder, json.loads((folder / FILES).read_text(encoding="utf-8"))["files"]))
    files = _json({"files": entries, "format": 1})
    manifest["file_manifest_file"] = {
        "name": FILES,
        "ftype": "file",
        "chksum_type": "sha256",
        "chksum_sha256": hashlib.sha256(files).hexdigest(),
        "format": 1,
    }
    content: dict[str, bytes | None] = {MANIFEST: _json(manifest), FILES: files}
    for entry in entries:
        if entry["name"] != ".":
            content[entry["name"]] = (folder / entry["name"]).read_bytes() if entry["ftype"] == "file" else None
    modes = {name: _mode(folder / name, data) for name, data in content.items()}
    packed = Packed(
        name=f"{info['namespace']}.{info['name']}",
        version=str(info["version"]),
        licence=", ".join(info.get("license") or []) or _licence(info),
        source=str(info.get("repository") or info.get("homepage") or "https://galaxy.ansible.com/"),
        data=_tarball(content, modes),
    )
    return packed, info.get("dependencies") or {}


def _licence(info: Mapping[str, Any]) -> str:
    return f"see {info['license_file']} in it" if info.get("license_file") else "not stated"


def _entries(folder: Path, listed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The list of the files, in order, without those that the installation left out; a changed one is refused."""
    for entry in sorted(listed, key=lambda one: str(one["name"])):
        path = folder / entry["name"]
        if not path.exists():
            continue
        if entry["ftype"] == "file" and hashlib.sha256(path.read_bytes()).hexdigest() != entry["chksum_sha256"]:
            raise CollectionError(f"{path} is not as it was published: install the collection anew")
        yield entry


def _mode(path: Path, data: bytes | None) -> int:
    return 0o755 if data is None or (path.exists() and path.stat().st_mode & EXECUTABLE) else 0o644


def _json(content: Any) -> bytes:
    return (json.dumps(content, sort_keys=True, indent=1) + "\n").encode()


def _tarball(content: Mapping[str, bytes | None], modes: Mapping[str, int]) -> bytes:
    """No times, owners or order of this machine. The manifest stands first, as Ansible's own tarballs have it."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in [MANIFEST, FILES, *sorted(set(content) - {MANIFEST, FILES})]:
            data = content[name]
            entry = tarfile.TarInfo(name)
            entry.mode = modes[name]
            entry.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            entry.size = len(data or b"")
            archive.addfile(entry, io.BytesIO(data or b""))
    return stored(raw.getvalue())


def stored(data: bytes) -> bytes:
    """The data in the form of gzip, not compressed: compressed it would differ from one machine to another."""
    blocks = [data[start : start + BLOCK] for start in range(0, len(data), BLOCK)] or [b""]
    parts = [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"]
    for number, block in enumerate(blocks, start=1):
        parts += [struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF), block]
    return b"".join([*parts, struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)])
