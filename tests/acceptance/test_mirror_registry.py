"""The registries that a mirror can run, that of the operating system and that of the bundle, on a release here."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from acceptance.carried import APP, NEW, OLD, PAUSE
from unit.roles import rendering

from ansible_collections.onprem.dify.plugins.module_utils import release
from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import Mirror
from ansible_collections.onprem.dify.plugins.modules import mirror_load
from lab import bundles, cgroups, topology
from lab.artifacts import catalogue

SCENARIO = topology.ROOT / "molecule/mirror/inventory"


def bundle(folder: Path, name: str, images: dict[str, int]) -> bundles.Bundle:
    """A bundle of images alone."""
    folder.mkdir()
    maker = bundles.Maker(folder, name)
    for reference, megabytes in images.items():
        maker.add_image(reference, megabytes)
    lock = maker.lock()
    bundles.write_lock(folder, lock)
    return bundles.Bundle(folder, lock, "")


class Connection(http.client.HTTPConnection):
    """To the socket of a registry, as the web server of a mirror has it."""

    def __init__(self, path: Path) -> None:
        super().__init__("mirror.internal", timeout=20)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class Registry:
    def __init__(self, folder: Path) -> None:
        self.socket = folder / "registry.sock"

    def ask(self, method: str, path: str) -> tuple[int, str, bytes]:
        connection = Connection(self.socket)
        connection.request(method, path, headers={"Accept": f"{bundles.INDEX}, {bundles.MANIFEST}"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, str(answer.getheader("Content-Type")), content

    def serves(self, image: Any) -> None:
        """The index by tag and by digest, and all below it, byte for byte."""
        place = f"/v2/{image.name}"
        for reference in (image.tag, image.digest):
            status, kind, content = self.ask("GET", f"{place}/manifests/{reference}")
            assert (status, kind, digest(content)) == (200, image.media_type, image.digest), content
        manifest = next(entry["digest"] for entry in json.loads(content)["manifests"] if amd64(entry))
        status, _, content = self.ask("GET", f"{place}/manifests/{manifest}")
        assert (status, digest(content)) == (200, manifest)
        for blob in image.blobs:
            status, _, content = self.ask("GET", f"{place}/blobs/{blob.digest}")
            assert (status, digest(content), len(content)) == (200, blob.digest, blob.size)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def amd64(entry: dict[str, Any]) -> bool:
    return bool(entry["platform"]["architecture"] == "amd64")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # The path of a socket must be short, and blobs are links to those that the bundles share.
    bundles.home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bundles.home()) as place:
        yield Path(place)


@pytest.fixture(scope="module")
def old(folder: Path) -> bundles.Bundle:
    return bundle(folder / "old", OLD, {f"{PAUSE}:3.10.2": 1, f"{APP}:1.0": 3})


@pytest.fixture(scope="module")
def new(folder: Path) -> bundles.Bundle:
    return bundle(folder / "new", NEW, {f"{PAUSE}:3.10.3": 1, f"{APP}:1.0": 3})


@pytest.fixture(scope="module")
def archive() -> Path:
    """The archive of the registry as the bundle has it."""
    lab = topology.read(SCENARIO)
    return catalogue.archive(lab, cgroups.members_of(lab.name), "distribution")


@pytest.fixture(params=["package", "archive"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "package":
        return shutil.which("docker-registry") or pytest.fail("docker-registry is missing")
    file: Path = request.getfixturevalue("archive")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    places = release.Places([f"file://{file}"], pytest.fail)
    source = release.Archive(places, sha256, 0, lambda _url: file.open("rb"), lambda _command: (0, "", ""))
    version = catalogue.IN_GO["distribution"].version
    wish = release.Wish("distribution", version, tmp_path / "opt", sha256, {tmp_path / "bin/registry": "registry"})
    release.bring(wish, source, lambda _path: False, False)
    return str(wish.path / "registry")


@pytest.fixture
def load(folder: Path) -> Callable[[bundles.Bundle], Any]:
    root = folder / "mirror"
    shutil.rmtree(root, ignore_errors=True)
    return lambda one: mirror_load.bring(Mirror(root), one.folder, [bundles.signer("release")], False)


@pytest.fixture
def registry(folder: Path, program: str, load: Any, old: bundles.Bundle) -> Iterator[Registry]:
    load(old)
    found = Registry(folder)
    settings = folder / "registry.yml"
    settings.write_text(
        rendering.template(
            "mirror", "registry.yml.j2", __mirror_directory=str(folder / "mirror"), __mirror_socket=str(found.socket)
        )
    )
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(settings)],
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 20
        while not found.socket.exists():
            assert process.poll() is None and time.monotonic() < deadline, (folder / "registry.log").read_text()
            time.sleep(0.05)
        yield found
    finally:
        process.terminate()
        process.wait()
        found.socket.unlink(missing_ok=True)


def test_all_images_of_a_release_are_served_byte_for_byte(registry: Registry, old: bundles.Bundle) -> None:
    assert registry.ask("GET", "/v2/")[0] == 200
    for image in old.lock.images:
        registry.serves(image)


def test_another_release_is_served_without_a_restart(
    registry: Registry, load: Any, old: bundles.Bundle, new: bundles.Bundle
) -> None:
    assert registry.ask("GET", f"/v2/{PAUSE}/manifests/3.10.3")[0] == 404
    load(new)
    for image in new.lock.images:
        registry.serves(image)
    # A cluster may still run what was before.
    assert registry.ask("GET", f"/v2/{PAUSE}/manifests/{old.image(PAUSE).digest}")[0] == 200
    assert registry.ask("GET", f"/v2/{PAUSE}/manifests/{old.image(PAUSE).tag}")[0] == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "blobs/uploads/"),
        ("PUT", "manifests/3.10.2"),
        ("DELETE", f"manifests/sha256:{'0' * 64}"),
        ("DELETE", f"blobs/sha256:{'0' * 64}"),
    ],
)
def test_nothing_can_be_written(registry: Registry, method: str, path: str) -> None:
    assert registry.ask(method, f"/v2/{PAUSE}/{path}")[0] == 405
