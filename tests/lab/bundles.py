"""Bundles for the tests of the mirror: real packages of Debian, images from scratch, an archive and wheels. Signed.

Blobs are kept in the cache, so that a second bundle fetches only what is new.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import product
from .topology import ROOT, cache_root

SYSTEM = "Debian_12"
ROLES = ("packages", "mirror")
# What the tests install, and what the roles need that does not stand in a variable of theirs.
EXTRA = ("curl", "hello", "openssl", "python3-pip", "skopeo")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ARCHIVE = ("etcd", "3.6.14", "amd64", "etcd-v3.6.14-linux-amd64.tar.gz")
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """A bundle on the disk, and what a site must know of it."""

    folder: Path
    lock: Any
    archive_digest: str

    @property
    def blobs(self) -> Path:
        return self.folder / "blobs/sha256"

    @property
    def size(self) -> int:
        return sum(self.lock.blobs().values())

    def image(self, name: str) -> Any:
        return next(image for image in self.lock.images if image.name == name)

    def variables(self) -> dict[str, Any]:
        """Variables of a site that loads it."""
        component, version, architecture, name = ARCHIVE
        archive = {"url": f"https://github.com/etcd/{name}", "sha256": self.archive_digest.removeprefix("sha256:")}
        return {
            "mirror_bundle": str(self.folder),
            "mirror_signers": [signer("release")],
            "site_pins": {component: {"version": version, "archives": {architecture: archive}}},
        }


def home() -> Path:
    return cache_root() / "bundles"


def key(name: str) -> Path:
    """A key that signs; `release` is the one that sites trust."""
    path = home() / "keys" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
    return path


def signer(name: str) -> str:
    words = key(name).with_suffix(".pub").read_text().split()
    return f"{name}@lab {words[0]} {words[1]}"


def make(folder: Path, release: str, packages: Sequence[str] = (), *, images: Mapping[str, int]) -> Bundle:
    """Make a bundle with images of so many megabytes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    maker = Maker(folder, release)
    maker.add_packages([*of_roles(), *EXTRA, *packages])
    maker.add_archive()
    maker.add_wheel()
    for reference, megabytes in images.items():
        maker.add_image(reference, megabytes)
    lock = maker.lock()
    write_lock(folder, lock)
    return Bundle(folder, lock, maker.archive_digest)


def write_lock(folder: Path, lock: Any, signed_by: str = "release") -> None:
    """The lock of a bundle, its signature, and what is derived from it."""
    locks, signature = product.module_utils("bundle_lock"), product.module_utils("bundle_signature")
    (folder / locks.LOCK).write_bytes(lock.dump())
    (folder / locks.SIGNATURE).write_bytes(signature.sign(lock.dump(), key(signed_by)))
    (folder / locks.LAYOUT).write_bytes(locks.layout())
    (folder / locks.INDEX).write_bytes(locks.index(lock))
    (folder / locks.SBOM).write_bytes(product.module_utils("bundle_sbom").sbom(lock))


def of_roles() -> list[str]:
    systems = _plugin_utils("bundle_systems")
    found = systems.packages_of_roles(ROOT / "roles", systems.named(SYSTEM))
    return [package for role in ROLES for package in found[role]]


class Maker:
    """Puts a bundle together."""

    def __init__(self, folder: Path, release: str) -> None:
        self.locks = product.module_utils("bundle_lock")
        self.release = release
        self.store = product.module_utils("bundle_store").Store(folder)
        self.kept = product.module_utils("bundle_store").Store(home() / "kept")
        self.files: dict[str, Any] = {}
        self.images: list[Any] = []
        self.components: dict[str, Any] = {}
        self.archive_digest = ""

    def lock(self) -> Any:
        components = tuple(self.components.values())
        return self.locks.Lock(
            self.release, ("amd64",), (SYSTEM,), components, tuple(self.files.values()), tuple(self.images)
        )

    def add(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._keep(digest, len(content), io.BytesIO(content))
        return digest

    def add_file(self, path: str, kind: str, component: str, version: str, architecture: str, content: bytes) -> str:
        digest = self.add(content)
        self._record(path, kind, component, version, architecture, digest, len(content), "")
        return digest

    def add_packages(self, names: Iterable[str]) -> None:
        apt = _plugin_utils("bundle_apt")
        system = _plugin_utils("bundle_systems").named(SYSTEM)
        work = home() / "apt"
        target = _plugin_utils("bundle_manager").Target(system, "amd64")
        sources = _plugin_utils("bundle_debian").with_debian(_plugin_utils("bundle_sources").Sources(), [system])
        one = apt.Apt(target, system.repositories, sources, work, "", ())
        one.prepare()
        found = one.closure(sorted(set(names)), {})
        for package in found:
            address = sources.of(package.upstream)
            self._fetch(address, package.digest, package.size)
            self._record(
                package.path,
                "package",
                system.component,
                package.version,
                "amd64",
                package.digest,
                package.size,
                address,
            )
        signing = apt.Signer(home() / "packages-key")
        public_key = signing.public_key()  # made if there is none
        for name, content in self._repository(apt, system, found, signing).items():
            path = f"packages/{SYSTEM}/dists/{system.codename}/{name}"
            self.add_file(path, "index", system.component, "", "all", content)
        self.add_file("keys/packages.asc", "key", system.component, "", "all", public_key)

    def _repository(self, apt: Any, system: Any, found: Any, signing: Any) -> dict[str, bytes]:
        files: dict[str, bytes] = apt.repository(system, self.release, {"amd64": found})
        return {**files, **signing.sign(files["Release"], apt.day_of(self.release))}

    def add_archive(self) -> None:
        component, version, architecture, name = ARCHIVE
        content = etcd(name)
        path = f"files/{component}/{version}/{architecture}/{name}"
        self.archive_digest = self.add_file(path, "archive", component, version, architecture, content)

    def add_wheel(self) -> None:
        """A wheel of one module, as the specification wants it."""
        body = b'WORD = "wheel of the bundle"\n'
        info = "labwheel-1.0.dist-info"
        files = {
            "labwheel.py": body,
            f"{info}/METADATA": b"Metadata-Version: 2.1\nName: labwheel\nVersion: 1.0\n",
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        content = zip_of({**files, f"{info}/RECORD": record.encode()})
        self.add_file("wheels/labwheel/labwheel-1.0-py3-none-any.whl", "wheel", "labwheel", "1.0", "all", content)

    def add_image(self, reference: str, megabytes: int) -> None:
        """An image from scratch, below an index that names another architecture too, as those of upstream do."""
        name, _, tag = reference.rpartition(":")
        layers = [tar_of({"shared": b"a layer of all images"}), tar_of({"noise": noise(reference, megabytes)})]
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["/noise"]},
                "rootfs": {"type": "layers", "diff_ids": [self.add(layer) for layer in layers]},
            }
        ).encode()
        manifest = _json(
            schemaVersion=2,
            mediaType=MANIFEST,
            config=self._descriptor(config, CONFIG),
            layers=[self._descriptor(layer, LAYER) for layer in layers],
        )
        other = {"mediaType": MANIFEST, "digest": f"sha256:{'a' * 64}", "size": 1000}
        index = _json(
            schemaVersion=2,
            mediaType=INDEX,
            manifests=[
                {**self._descriptor(manifest, MANIFEST), "platform": {"architecture": "amd64", "os": "linux"}},
                {**other, "platform": {"architecture": "arm64", "os": "linux"}},
            ],
        )
        blobs = tuple(self.locks.Blob(self.add(content), len(content)) for content in (manifest, config, *layers))
        component = name.rpartition("/")[2]
        self._component(component, tag)
        self.images.append(self.locks.Image(name, tag, component, tag, self.add(index), INDEX, len(index), blobs))

    def _descriptor(self, content: bytes, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": self.add(content), "size": len(content)}

    def _record(
        self, path: str, kind: str, component: str, version: str, architecture: str, digest: str, size: int, source: str
    ) -> None:
        self._component(component, version or "1")
        upstream = f"https://upstream.example/{path}" if source else ""
        self.files[path] = self.locks.File(path, kind, component, version, architecture, digest, size, upstream)

    def _component(self, name: str, version: str) -> None:
        self.components.setdefault(
            name, self.locks.Component(name, version, "of the tests", "https://upstream.example/", None)
        )

    def _fetch(self, address: str, digest: str, size: int) -> None:
        if self.kept.has(digest, size):
            self._keep(digest, size, io.BytesIO())
            return
        with urllib.request.urlopen(address, timeout=60) as answer:
            self._keep(digest, size, answer)

    def _keep(self, digest: str, size: int, content: Any) -> None:
        if not self.kept.has(digest, size):
            self.kept.add(content, digest, size)
        if not self.store.has(digest, size):
            self.store.folder.mkdir(parents=True, exist_ok=True)
            os.link(self.kept.path(digest), self.store.path(digest))


def noise(seed: str, megabytes: int) -> bytes:
    """Bytes that nothing makes smaller, the same for the same seed."""
    return hashlib.shake_256(seed.encode()).digest(megabytes * MEGABYTE)


def etcd(archive: str) -> bytes:
    """An archive with a program in the place of etcd, so that there is something to install that is small."""
    program = b"#!/bin/sh\necho etcd of the bundle\n"
    return tar_of({f"{archive.removesuffix('.tar.gz')}/etcd": program}, mode=0o755, compressed=True)


def tar_of(files: Mapping[str, bytes], mode: int = 0o644, compressed: bool = False) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(target.getvalue(), mtime=0) if compressed else target.getvalue()


def zip_of(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
    return target.getvalue()


def _plugin_utils(name: str) -> Any:
    product.module_utils("bundle_lock")
    return importlib.import_module(f"ansible_collections.onprem.dify.plugins.plugin_utils.{name}")


def _json(**content: Any) -> bytes:
    return json.dumps(content).encode()
