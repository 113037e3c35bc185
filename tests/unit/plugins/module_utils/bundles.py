"""A small bundle with every kind of artefact, and keys that sign it, for the tests."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import (
    INDEX,
    LAYOUT,
    LOCK,
    SBOM,
    SIGNATURE,
    TOOL,
    TOOL_PATH,
    Blob,
    Component,
    File,
    Image,
    Lock,
    index,
    layout,
)
from ansible_collections.onprem.dify.plugins.module_utils.bundle_sbom import sbom
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import Signer, parse_signers, sign
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
ETCD = "files/etcd/3.6.14/amd64/etcd.tar.gz"
WHEEL = "wheels/controller/ansible_core-2.19.4-py3-none-any.whl"
COLLECTION = "collections/onprem-dify-0.1.0.tar.gz"
PACKAGE = "packages/Debian_12/pool/etcd-server_3.4.23-4_amd64.deb"
PACKAGES = "packages/Debian_12/dists/stable/InRelease"
KEY = "keys/packages.asc"
PAUSE, PROXY = "registry.k8s.io/pause:3.10.2", "registry.k8s.io/kube-proxy:v1.36.4"

CONTENT = {
    ETCD: ("archive", "etcd", b"etcd " * 5000),
    WHEEL: ("wheel", "controller", b"a wheel"),
    COLLECTION: ("collection", "onprem-dify", b"a collection"),
    PACKAGE: ("package", "etcd", b"etcd!" * 5000),
    PACKAGES: ("index", "etcd", b"an index"),
    KEY: ("key", "etcd", b"a public key"),
    TOOL_PATH: ("tool", "onprem-dify", b"a zipapp"),
}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(content: bytes, **more: Any) -> dict[str, Any]:
    return {"digest": digest_of(content), "size": len(content), **more}


def manifest(*layers: bytes) -> bytes:
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(b"{}"),
            "layers": [descriptor(layer) for layer in layers],
        }
    ).encode()


SHARED, LAYER = b"a layer of both " * 3000, b"a layer of the proxy " * 3000
PAUSE_MANIFEST, PROXY_MANIFEST = manifest(SHARED), manifest(SHARED, LAYER)
# As upstream: one index for all platforms, of which the bundle carries its own.
PROXY_INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            descriptor(PROXY_MANIFEST, platform={"os": "linux", "architecture": "amd64"}),
            descriptor(b"not carried", platform={"os": "linux", "architecture": "s390x"}),
        ],
    }
).encode()
IMAGES = {
    PAUSE: (PAUSE_MANIFEST, MANIFEST, [b"{}", SHARED]),
    PROXY: (PROXY_INDEX, OCI_INDEX, [PROXY_MANIFEST, b"{}", SHARED, LAYER]),
}


def image(reference: str, top: bytes, media_type: str, below: list[bytes]) -> Image:
    name, _colon, tag = reference.rpartition(":")
    blobs = tuple(Blob(digest_of(blob), len(blob)) for blob in below)
    component = name.rpartition("/")[2]
    return Image(name, tag, component, tag.removeprefix("v"), digest_of(top), media_type, len(top), blobs)


def lock_of(
    files: Mapping[str, tuple[str, str, bytes]] = CONTENT,
    images: Mapping[str, tuple[bytes, str, list[bytes]]] = IMAGES,
    release: str = "2026.11.25",
) -> Lock:
    records = tuple(
        File(path, kind, component, "1.0", "amd64", digest_of(content), len(content), f"https://example.org/{path}")
        for path, (kind, component, content) in files.items()
    )
    pulled = tuple(image(reference, *content) for reference, content in images.items())
    names = {record.component for record in records} | {record.component for record in pulled}
    components = tuple(
        Component(name, "1.0", "Apache-2.0", f"https://example.org/{name}", None) for name in sorted(names)
    )
    return Lock(release, ("amd64",), ("Debian_12",), components, records, pulled)


def write_bundle(
    folder: Path,
    files: Mapping[str, tuple[str, str, bytes]] = CONTENT,
    images: Mapping[str, tuple[bytes, str, list[bytes]]] = IMAGES,
    release: str = "2026.11.25",
    signer: str = "release",
) -> Lock:
    """A signed bundle of this content."""
    lock = lock_of(files, images, release)
    store = Store(folder)
    contents = [content for _kind, _component, content in files.values()]
    contents += [blob for top, _type, below in images.values() for blob in (top, *below)]
    for content in contents:
        store.add(io.BytesIO(content), digest_of(content), len(content))
    if TOOL_PATH in files:
        (folder / TOOL).write_bytes(files[TOOL_PATH][2])
    write_lock(folder, lock, signer)
    return lock


def write_lock(folder: Path, lock: Lock, signer: str = "release") -> None:
    """The lock, its signature and what is derived from it."""
    (folder / LOCK).write_bytes(lock.dump())
    (folder / SIGNATURE).write_bytes(sign(lock.dump(), key(signer)))
    (folder / LAYOUT).write_bytes(layout())
    (folder / INDEX).write_bytes(index(lock))
    (folder / SBOM).write_bytes(sbom(lock))


def blob(folder: Path, artefact: str) -> Path:
    """The file of an artefact: of a file by its path, of an image its top manifest by its name and tag."""
    content = CONTENT[artefact][2] if artefact in CONTENT else IMAGES[artefact][0]
    return Store(folder).path(digest_of(content))


def changed(lock: Lock, **fields: Any) -> Lock:
    return dataclasses.replace(lock, **fields)


@functools.cache
def key(name: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="onprem-dify-keys-"))
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@bank", "-f", str(folder / name)], check=True
    )
    return folder / name


def public(name: str) -> str:
    return key(name).with_suffix(".pub").read_text(encoding="utf-8").strip()


def signers(*names: str) -> list[Signer]:
    return parse_signers([f"{name}@bank {public(name)}" for name in names or ("release",)])
