"""Images: which of their manifests, and what skopeo says. The copying itself is tested with a registry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_images
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_fetch import FetchError, Kept
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_images import Images, Wish
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import Meter
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Rule, Sources


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


CONFIG, LAYER = b"{}", b"layer"
MANIFEST = json.dumps(
    {
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"digest": digest_of(CONFIG), "size": len(CONFIG)},
        "layers": [{"digest": digest_of(LAYER), "size": len(LAYER)}],
    }
).encode()


def index(*architectures: str, kind: str = "application/vnd.docker.distribution.manifest.list.v2+json") -> bytes:
    entries = [
        {
            "digest": digest_of(MANIFEST),
            "size": len(MANIFEST),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for architecture in architectures
    ]
    return json.dumps({"mediaType": kind, "manifests": entries}).encode()


class Registry(Images):
    """Answers for skopeo with what it has, and notes the questions."""

    def __init__(self, folder: Path, top: bytes) -> None:
        sources = Sources([Rule("registry.k8s.io/", "harbor.bank.internal/k8s/")])
        super().__init__(Kept(Store(folder / "bundle")), sources, Meter(), folder / "work", "")
        self.content = {digest_of(data): data for data in (top, MANIFEST)}
        self.asked: list[list[str]] = []
        for place in (self._layers, self._layout):
            place.mkdir(parents=True)

    def _skopeo(self, words: Sequence[str], coming: Sequence[str] = (), sizes: Any = None) -> bytes:
        self.asked.append(list(words))
        if words[0] == "copy":
            (self._layers / digest_of(LAYER).removeprefix("sha256:")).write_bytes(LAYER)
            return b""
        return CONFIG if "--config" in words else self.content.get(words[-1].partition("@")[2], b"another")


def wish(top: bytes) -> Wish:
    return Wish("registry.k8s.io/pause", "3.10.2", digest_of(top), "pause", "3.10.2")


def test_an_image_has_the_manifests_of_the_wanted_architectures_and_all_below(tmp_path: Path) -> None:
    top = index("amd64", "s390x")
    registry = Registry(tmp_path, top)
    image = registry.copy(wish(top), ["amd64"])
    assert image.digest == digest_of(top)
    assert image.media_type == "application/vnd.docker.distribution.manifest.list.v2+json"
    assert {blob.digest for blob in image.blobs} == {digest_of(MANIFEST), digest_of(CONFIG), digest_of(LAYER)}
    assert all(registry.kept.store.path(blob.digest).is_file() for blob in image.blobs)
    assert [words[0] for words in registry.asked] == ["inspect", "inspect", "copy", "inspect"]
    assert registry.asked[0][-1] == f"docker://harbor.bank.internal/k8s/pause@{digest_of(top)}"
    assert all("--tls-verify=true" in words or "--src-tls-verify=true" in words for words in registry.asked)


def test_an_image_that_is_there_is_not_asked_for(tmp_path: Path) -> None:
    top = index("amd64")
    first = Registry(tmp_path, top)
    image = first.copy(wish(top), ["amd64"])
    again = Registry(tmp_path / "again", top)
    again.kept = Kept(first.kept.store)
    assert again.copy(wish(top), ["amd64"]) == image
    assert again.asked == []


def test_a_single_manifest_is_an_image_too(tmp_path: Path) -> None:
    image = Registry(tmp_path, MANIFEST).copy(wish(MANIFEST), ["amd64"])
    assert {blob.digest for blob in image.blobs} == {digest_of(CONFIG), digest_of(LAYER)}


def test_an_architecture_that_an_image_lacks_is_named(tmp_path: Path) -> None:
    top = index("amd64")
    with pytest.raises(FetchError, match=r"image registry\.k8s\.io/pause:3\.10\.2: there is none for arm64"):
        Registry(tmp_path, top).copy(wish(top), ["amd64", "arm64"])


def test_another_manifest_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    top = index("amd64")
    registry = Registry(tmp_path, top)
    registry.content.clear()
    with pytest.raises(FetchError, match=rf"what came has the digest sha256:.*, wanted is {digest_of(top)}"):
        registry.copy(wish(top), ["amd64"])


def test_a_manifest_that_no_mirror_serves_is_refused(tmp_path: Path) -> None:
    top = index("amd64", kind="application/vnd.example")
    with pytest.raises(FetchError, match=r"its manifest is of the kind application/vnd\.example"):
        Registry(tmp_path, top).copy(wish(top), ["amd64"])


def test_a_layer_of_another_size_than_its_manifest_says_is_refused(tmp_path: Path) -> None:
    wrong = json.dumps({**json.loads(MANIFEST), "layers": [{"digest": digest_of(LAYER), "size": 4}]}).encode()
    registry = Registry(tmp_path, wrong)
    with pytest.raises(FetchError, match="has 5 bytes, wanted are 4"):
        registry.copy(wish(wrong), ["amd64"])


def test_what_signs_an_image_is_of_no_architecture() -> None:
    entries = [
        {"platform": {"os": "unknown", "architecture": "unknown"}},
        {"platform": {"os": "windows", "architecture": "amd64"}},
        {"platform": {"os": "linux", "architecture": "amd64"}},
        {},
    ]
    assert bundle_images.chosen({"manifests": entries}, ["amd64", "arm64"]) == [entries[2]]


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ('time="x" level=fatal msg="reading manifest: \\"no\\" such"\n', 'reading manifest: "no" such'),
        ("something else\n", "something else"),
        ("", "skopeo failed and did not say why"),
    ],
)
def test_skopeo_is_quoted_in_one_line(errors: str, words: str) -> None:
    assert bundle_images._reason(errors) == words


def test_a_machine_without_skopeo_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="skopeo is missing"):
        Registry(tmp_path, MANIFEST).prepare()


def test_running_skopeo_is_watched_and_its_failure_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "skopeo"
    program.write_text('#!/bin/sh\nsleep 0.5\necho \'time="x" level=fatal msg="no route"\' >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    images = Images(Kept(Store(tmp_path / "bundle")), Sources(), Meter(), tmp_path / "work", "")
    images.prepare()
    with pytest.raises(FetchError, match=r"image registry\.k8s\.io/pause:3\.10\.2: no route"):
        images.copy(wish(MANIFEST), ["amd64"])
