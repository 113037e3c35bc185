"""Archives and images that pins name, at the names they name, with contents of a test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..artifacts.store import sha256
from .files import Files
from .line import Line
from .registry import DOCKER, OCI, Registry, noise

MEBIBYTE = 1 << 20
LAYER_BYTES = 4 * MEBIBYTE
ARCHITECTURE = "amd64"


class Upstream:
    """Web server and registry. `pins` is what `site_pins` says, so that the real addresses lead to these contents."""

    def __init__(self, folder: Path) -> None:
        self.files = Files(folder / "files")
        self.registry = Registry(folder / "registry")
        self.line = Line(self.registry.port)
        self.pins: dict[str, dict[str, Any]] = {}
        self._hosts: set[str] = set()
        self._registries: set[str] = set()

    def close(self) -> None:
        self.line.close()
        self.files.off()
        self.registry.off()

    @property
    def rules(self) -> list[dict[str, str]]:
        """For `bundle_sources`."""
        rules = [{"from": f"https://{host}/", "to": f"{self.files.address}/{host}/"} for host in sorted(self._hosts)]
        door = f"127.0.0.1:{self.line.port}"
        return rules + [{"from": f"{name}/", "to": f"{door}/{name}/"} for name in sorted(self._registries)]

    def serve(self, pins: Mapping[str, Mapping[str, Any]], archive: Callable[[str], bytes]) -> None:
        """`archive` makes the content of an address."""
        for component, pin in pins.items():
            found = self.pins.setdefault(component, {})
            url = (pin.get("archives") or {}).get(ARCHITECTURE, {}).get("url")
            if url:
                found["archives"] = {ARCHITECTURE: self.put(url, archive(url))}
            images = pin.get("images") or []
            if component == "kubernetes":  # whose images the site names
                images = [{"name": "registry.k8s.io/kube-apiserver", "tag": f"v{pin['version']}"}]
            if images:
                # Projects publish both kinds.
                kinds = DOCKER if component == "pause" else OCI
                found["images"] = [
                    {**image, "digest": self._push(image["name"], image["tag"], kinds)} for image in images
                ]

    def put(self, url: str, data: bytes) -> dict[str, str]:
        self.from_here(urlsplit(url).netloc)
        self.files.put(url.removeprefix("https://"), data)
        return {"url": url, "sha256": hashlib.sha256(data).hexdigest()}

    def put_file(self, url: str, path: Path) -> dict[str, str]:
        """The same with a file of this machine, without a second copy of it."""
        self.from_here(urlsplit(url).netloc)
        file = self.files.folder / url.removeprefix("https://")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(path)
        return {"url": url, "sha256": sha256(path)}

    def take(self, layout: Path, name: str, tag: str, digest: str) -> dict[str, str]:
        """An image of a layout, as it is."""
        self._registries.add(name.split("/", 1)[0])
        self.registry.take(layout, name, tag, digest)
        return {"name": name, "tag": tag, "digest": digest}

    def from_here(self, *hosts: str) -> None:
        """Lead these hosts to the web server."""
        self._hosts.update(hosts)

    def _push(self, name: str, tag: str, kinds: Mapping[str, str]) -> str:
        """An image for two architectures, the layers of the second of which nobody wants here."""
        self._registries.add(name.split("/", 1)[0])
        layers = [noise(LAYER_BYTES, f"{name}{number}") for number in range(2)]
        contents = {"amd64": [*layers, noise(MEBIBYTE, "shared")], "arm64": [noise(1024, f"{name}arm64")]}
        return self.registry.push(name, tag, contents, kinds)
