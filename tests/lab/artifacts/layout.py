"""An OCI image layout: images from scratch, the same byte for byte whoever makes them from the same files."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

OCI = "application/vnd.oci.image"
INDEX, MANIFEST, CONFIG = f"{OCI}.index.v1+json", f"{OCI}.manifest.v1+json", f"{OCI}.config.v1+json"
LAYER = f"{OCI}.layer.v1.tar+gzip"
# How tools find an image in a layout: skopeo by the first, containerd by the second.
NAMES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Layer:
    """A blob of a layout, and the digest of what it unpacks to."""

    digest: str
    size: int
    diff_id: str


@dataclass(frozen=True)
class Content:
    """What goes into a layer: files of the machine and links by path, and folders that anybody may write to."""

    files: Mapping[str, Path] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    folders: Iterable[str] = ()
    # A file that may listen at a port below 1024 whoever runs it.
    listens: str = ""


class Layout:
    def __init__(self, folder: Path, architecture: str) -> None:
        self.folder = folder
        self.architecture = architecture
        self.blobs = folder / "blobs/sha256"
        self.blobs.mkdir(parents=True)
        self._images: list[dict[str, Any]] = []

    def layer(self, content: Content) -> Layer:
        part = self.folder / "part"
        with part.open("wb") as raw:
            compressed = _Hashing(raw)
            with gzip.GzipFile("", "wb", 6, compressed, mtime=0) as packed:
                plain = _Hashing(packed)
                with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
                    _fill(tar, content)
        layer = Layer(compressed.digest, part.stat().st_size, plain.digest)
        part.rename(self._path(layer.digest))
        return layer

    def image(self, reference: str, layers: Iterable[Layer], settings: Mapping[str, Any]) -> str:
        """Add an image below an index, as upstream has them; return the digest of the index."""
        stack = list(layers)
        config = {
            "architecture": self.architecture,
            "os": "linux",
            "config": {"Env": [f"PATH={SEARCH}"], "WorkingDir": "/", **settings},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in stack]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._json(config, CONFIG),
            "layers": [{"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in stack],
        }
        platform = {"os": "linux", "architecture": self.architecture}
        entry = {**self._json(manifest, MANIFEST), "platform": platform}
        index = self._json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}, INDEX)
        self._images.append({**index, "annotations": dict.fromkeys(NAMES, reference)})
        return str(index["digest"])

    def finish(self) -> None:
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self._images}, indent=1))

    def _json(self, content: Mapping[str, Any], media_type: str) -> dict[str, Any]:
        data = json.dumps(content, separators=(",", ":")).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._path(digest).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def _path(self, digest: str) -> Path:
        return self.blobs / digest.removeprefix("sha256:")


class _Hashing:
    """A file that knows the digest of what was written to it."""

    def __init__(self, target: IO[bytes] | gzip.GzipFile) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self._written = 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self._written += len(data)
        self._target.write(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._target.flush()

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _fill(tar: tarfile.TarFile, content: Content) -> None:
    found: dict[str, tarfile.TarInfo] = {}
    sources: dict[str, Path] = {}
    for name, path in content.files.items():
        member = tarfile.TarInfo(name)
        if path.is_symlink():
            member.type, member.linkname = tarfile.SYMTYPE, str(path.readlink())
        elif path.is_dir():
            member.type, member.mode = tarfile.DIRTYPE, path.stat().st_mode & 0o7777
        else:
            member.size, member.mode = path.stat().st_size, path.stat().st_mode & 0o7777
            sources[name] = path
        found[name] = member
    for name, target in content.links.items():
        found[name] = member = tarfile.TarInfo(name)
        member.type, member.linkname = tarfile.SYMTYPE, target
    open_to_all = set(content.folders)
    for name in {*open_to_all, *(str(parent) for one in found for parent in Path(one).parents[:-1])}:
        if name not in found:
            found[name] = member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o1777 if name in open_to_all else 0o755
    if content.listens:
        # struct vfs_cap_data of cap_net_bind_service=ep
        capability = bytes.fromhex("0100000200040000000000000000000000000000")
        found[content.listens].pax_headers = {"SCHILY.xattr.security.capability": capability.decode()}
    for name in sorted(found):
        if name in sources:
            with sources[name].open("rb") as file:
                tar.addfile(found[name], file)
        else:
            tar.addfile(found[name])
