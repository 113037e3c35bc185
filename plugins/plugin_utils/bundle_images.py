# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of a bundle, copied by digest with skopeo.

Manifests and configurations are taken as they are, and only layers go through `skopeo copy`: an OCI layout cannot hold
the manifests of Docker, which many projects still publish, without giving them another digest. The layers wait in a
folder beside the bundle, which skopeo looks into before it fetches one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import MEDIA_TYPES, Blob, Image, hex_of
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import StoreError
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_fetch import FetchError, Kept
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_program import run
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import Meter
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Sources

# What skopeo calls a layer that is still coming.
_COMING = "oci-put-blob*"


@dataclass(frozen=True)
class Wish:
    """An image as a pin names it."""

    name: str
    tag: str
    digest: str
    component: str
    version: str

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.tag}"


def is_index(manifest: Mapping[str, Any]) -> bool:
    return "manifests" in manifest


def chosen(index: Mapping[str, Any], architectures: Iterable[str]) -> list[Mapping[str, Any]]:
    """The manifests of an index for Linux on these architectures. What signs or describes them is of none."""
    wanted = set(architectures)
    found = []
    for entry in index["manifests"]:
        platform = entry.get("platform") or {}
        if platform.get("os") == "linux" and platform.get("architecture") in wanted:
            found.append(entry)
    return found


def media_type(manifest: Mapping[str, Any]) -> str:
    """What kind of manifest it is. OCI allows it not to say so itself."""
    kind = "index" if is_index(manifest) else "manifest"
    return str(manifest.get("mediaType") or f"application/vnd.oci.image.{kind}.v1+json")


class Images:
    """Copies images, one after the other: skopeo fetches several layers at once, and shared ones only once."""

    def __init__(
        self, kept: Kept, sources: Sources, meter: Meter, work: Path, ca_file: str, inherit: Sequence[int] = ()
    ):
        self.kept = kept
        self.sources = sources
        self.meter = meter
        self._layers = work / "sha256"
        self._layout = work / "layout"
        self._certificates = work / "certificates"
        self._ca_file = ca_file
        self._inherit = tuple(inherit)

    def prepare(self) -> None:
        """Leave nothing of a killed copy but its whole layers."""
        if not shutil.which("skopeo"):
            raise FetchError("skopeo is missing: install the package of that name, or leave the images out")
        for folder in (self._layout, self._certificates):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in (self._layers, self._certificates):
            folder.mkdir(parents=True, exist_ok=True)
        if self._ca_file:
            shutil.copyfile(self._ca_file, self._certificates / "site.crt")

    def tagged(self, name: str, tag: str) -> tuple[bytes, str]:
        """The manifest that a tag leads to at this moment, and its digest."""
        raw = self._skopeo(["inspect", "--raw", *self._trust("--"), f"docker://{self.sources.of(name)}:{tag}"])
        manifest = json.loads(raw)
        if not isinstance(manifest, Mapping) or media_type(manifest) not in MEDIA_TYPES:
            raise FetchError(f"{name}:{tag}: what came is no image that a mirror could serve")
        return raw, f"sha256:{hashlib.sha256(raw).hexdigest()}"

    def copy(self, wish: Wish, architectures: Sequence[str]) -> Image:
        """Bring an image into the store, with the manifests of these architectures."""
        try:
            return self._copy(wish, architectures)
        except (FetchError, StoreError, KeyError, ValueError) as error:
            raise FetchError(f"image {wish.reference}: {error}") from error

    def _copy(self, wish: Wish, architectures: Sequence[str]) -> Image:
        top = self._manifest(wish, wish.digest)
        kind = media_type(top)
        if kind not in MEDIA_TYPES:
            raise FetchError(f"its manifest is of the kind {kind}, which no mirror could serve")
        blobs: dict[str, int] = {}
        if is_index(top):
            entries = chosen(top, architectures)
            there = {entry["platform"]["architecture"] for entry in entries}
            missing = [name for name in architectures if name not in there]
            if missing:
                raise FetchError(f"there is none for {', '.join(missing)} in {wish.digest}")
            for entry in entries:
                manifest = self._manifest(wish, entry["digest"])
                blobs[entry["digest"]] = int(entry["size"])
                blobs |= self._content(wish, entry["digest"], manifest)
        else:
            blobs |= self._content(wish, wish.digest, top)
        pieces = tuple(Blob(digest, count) for digest, count in sorted(blobs.items()))
        return Image(
            wish.name, wish.tag, wish.component, wish.version, wish.digest, kind, self.kept.right(wish.digest), pieces
        )

    def _manifest(self, wish: Wish, digest: str) -> Mapping[str, Any]:
        self._ensure(digest, ["inspect", "--raw"], wish, digest)
        manifest = json.loads(self.kept.store.path(digest).read_bytes())
        if not isinstance(manifest, Mapping):
            raise FetchError(f"{digest} is no manifest")
        return manifest

    def _content(self, wish: Wish, digest: str, manifest: Mapping[str, Any]) -> dict[str, int]:
        """Bring the configuration and the layers of one manifest; return all with their sizes."""
        config, layers = manifest["config"], manifest["layers"]
        sizes = {str(piece["digest"]): int(piece["size"]) for piece in [config, *layers]}
        wanted = list(dict.fromkeys(str(layer["digest"]) for layer in layers))
        missing = [layer for layer in wanted if self.kept.size(layer) is None]
        self.meter.want(sum(sizes[layer] for layer in wanted))
        self.meter.have(sum(sizes[layer] for layer in wanted if layer not in missing))
        if missing:
            self._copy_layers(wish, digest, wanted, missing, sizes)
        # After the layers, since skopeo asks for it with them.
        self._ensure(config["digest"], ["inspect", "--config", "--raw"], wish, digest)
        for piece, size in sizes.items():
            if self.kept.size(piece) != size:
                raise FetchError(f"{piece} has not the {size} bytes that {digest} says")
        return sizes

    def _ensure(self, digest: str, command: Sequence[str], wish: Wish, of: str) -> None:
        """A manifest or a configuration: small, and asked for only if it is not there."""
        brought = self._layers / hex_of(digest)
        if self.kept.size(digest) is not None:
            return
        if brought.exists():  # with the layers, and it is one that OCI knows
            self.kept.store.adopt(brought, digest, brought.stat().st_size)
            self._count_small(self.kept.right(digest))
            return
        raw = self._skopeo([*command, *self._trust("--"), self._address(wish, of)])
        found = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        if found != digest:
            raise FetchError(f"what came has the digest {found}, wanted is {digest}")
        self.kept.store.add(io.BytesIO(raw), digest, len(raw))
        self._count_small(self.kept.right(digest))

    def _count_small(self, size: int) -> None:
        self.meter.want(size)
        self.meter.count(size)

    def _copy_layers(
        self, wish: Wish, digest: str, wanted: Sequence[str], missing: Sequence[str], sizes: Mapping[str, int]
    ) -> None:
        for layer in wanted:
            place = self._layers / hex_of(layer)
            if layer not in missing and not place.exists():
                # skopeo does not fetch what stands here. Without hard links it would, and nothing else is lost.
                with suppress(OSError):
                    os.link(self.kept.store.path(layer), place)
        shutil.rmtree(self._layout, ignore_errors=True)
        before = [layer for layer in missing if (self._layers / hex_of(layer)).exists()]
        self._skopeo(
            [
                *("copy", "--quiet", "--dest-oci-accept-uncompressed-layers", *self._trust("--src-")),
                *("--dest-shared-blob-dir", str(self._layers.parent), self._address(wish, digest)),
                f"oci:{self._layout}:{wish.tag}",
            ],
            [layer for layer in missing if layer not in before],
            sizes,
        )
        for layer in missing:
            place = self._layers / hex_of(layer)
            if not place.exists():
                raise FetchError(f"skopeo did not bring its layer {layer}")
            try:
                self.kept.store.adopt(place, layer, sizes[layer])
            except StoreError:
                place.unlink()
                raise
            if layer in before:
                self.meter.have(sizes[layer])
            self.kept.right(layer)
        shutil.rmtree(self._layout, ignore_errors=True)

    def _address(self, wish: Wish, digest: str) -> str:
        return f"docker://{self.sources.of(wish.name)}@{digest}"

    def _trust(self, prefix: str) -> list[str]:
        options = [f"{prefix}tls-verify=true"]
        return [*options, f"{prefix}cert-dir={self._certificates}"] if self._ca_file else options

    def _skopeo(
        self, words: Sequence[str], coming: Sequence[str] = (), sizes: Mapping[str, int] | None = None
    ) -> bytes:
        """Run skopeo, and count what it has brought meanwhile."""
        counted = 0

        def count() -> None:
            nonlocal counted
            before, counted = counted, max(counted, self._brought(coming, sizes or {}))
            self.meter.count(counted - before)

        done = run(["skopeo", *words], os.environ, count, self._inherit)
        if done.code != 0:
            raise FetchError(_reason(done.errors))
        count()
        return done.output

    def _brought(self, coming: Sequence[str], sizes: Mapping[str, int]) -> int:
        """Bytes of these layers that are here, of whole ones and of those on their way."""
        whole = sum(sizes[layer] for layer in coming if (self._layers / hex_of(layer)).exists())
        return min(whole + sum(_sizes(self._layout)), sum(sizes[layer] for layer in coming))


def _sizes(layout: Path) -> Iterator[int]:
    for path in layout.glob(_COMING):
        with suppress(OSError):
            yield path.stat().st_size


def _reason(errors: str) -> str:
    """The message in the last line that skopeo wrote."""
    lines = [line for line in errors.splitlines() if line.strip()]
    last = lines[-1] if lines else "skopeo failed and did not say why"
    _before, found, message = last.partition("msg=")
    if not found:
        return last
    with suppress(ValueError):
        return str(json.loads(message.strip()))
    return message.strip().strip('"')
