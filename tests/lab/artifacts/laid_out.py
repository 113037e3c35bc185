"""What stands in an OCI image layout, whoever made it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .layout import NAMES


def images(folder: Path) -> dict[str, str]:
    """Digests of the images of a layout by their names, whoever made it."""
    return {name: entry["digest"] for name, entry in _entries(folder).items()}


def export(folder: Path, names: Iterable[str], target: Path) -> None:
    """Some images of a layout as one archive, which `ctr images import` reads."""
    found = _entries(folder)
    chosen = [{**found[name], "annotations": dict.fromkeys(NAMES, name)} for name in sorted(set(names))]
    index = json.dumps({"schemaVersion": 2, "manifests": chosen}).encode()
    with tarfile.open(target, "w") as tar:
        for name, data in (("oci-layout", (folder / "oci-layout").read_bytes()), ("index.json", index)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        blobs = {piece.path for entry in chosen for piece in pieces(folder, entry["digest"])}
        for path in sorted(blobs):
            tar.add(path, path.relative_to(folder))


@dataclass(frozen=True)
class Piece:
    """A part of an image in a layout."""

    digest: str
    path: Path
    # Nothing of what is no manifest.
    media_type: str = ""


def pieces(folder: Path, digest: str) -> Iterator[Piece]:
    """All that a manifest leads to, and after that the manifest itself."""
    path = folder / "blobs/sha256" / digest.removeprefix("sha256:")
    content = json.loads(path.read_bytes())
    for entry in content.get("manifests", []):
        yield from pieces(folder, entry["digest"])
    for entry in [*([content["config"]] if "config" in content else []), *content.get("layers", [])]:
        yield Piece(entry["digest"], path.with_name(entry["digest"].removeprefix("sha256:")))
    yield Piece(digest, path, content["mediaType"])


def _entries(folder: Path) -> dict[str, dict[str, Any]]:
    entries = json.loads((folder / "index.json").read_text())["manifests"]
    return {entry["annotations"][NAMES[0]]: entry for entry in entries}
