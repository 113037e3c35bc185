"""A build from beginning to end, of what needs no network but a server of the test."""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import Lock
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import parse_signers
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import verify
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_builder, bundle_plan
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_builder import Build, BuildError, Result, Settings
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Rule, Sources
from lab.upstream.files import Files

INFO = {"namespace": "onprem", "name": "dify", "version": "0.1.0", "license": ["GPL-3.0-or-later"]}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Files]:
    files = Files(tmp_path / "served")
    yield files
    files.off()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    return tmp_path / "key"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "FILES.json").write_text('{"files": [], "format": 1}')
    (folder / "MANIFEST.json").write_text(json.dumps({"collection_info": INFO}))
    return folder


BuildOf = Callable[..., Result]


@pytest.fixture
def build(server: Files, key: Path, own: Path, tmp_path: Path) -> BuildOf:
    def run(contents: dict[str, bytes], release: str = "2026.11.25", signing: Path | None = key, **more: Any) -> Result:
        pins: dict[str, Any] = {}
        for name, data in contents.items():
            server.put(f"{name}-1", data)
            archive = {"url": f"https://example.org/{name}-1", "sha256": hashlib.sha256(data).hexdigest()}
            pins[name] = {
                "name": name,
                "version": "1",
                "licence": "MIT",
                "source": f"https://example.org/{name}",
                "end_of_life": None,
                "archives": {"amd64": archive | more.get("archive", {})},
            }
        settings = Settings(
            directory=tmp_path / more.get("folder", "bundle"),
            work=tmp_path / "bundle.work",
            release=release,
            architectures=("amd64",),
            sources=Sources([Rule("https://example.org/", f"{server.address}/")]),
            repositories={},
            repository_key=tmp_path / "packages-key",
            signing_key=signing,
            earlier=tuple(more.get("earlier", ())),
            wheel_links=(),
            ca_file="",
            parallel=2,
        )
        wishes = bundle_plan.plan(pins, ["amd64"], [], {})
        pins |= more.get("more_pins", {})
        return Build(settings, wishes, pins, own, lambda _name: None, None, more.get("report", print)).run()

    return run


def test_a_bundle_is_locked_signed_and_complete(build: BuildOf, key: Path, tmp_path: Path) -> None:
    result = build({"one": b"1" * 1000, "two": b"2" * 2000})
    assert result.changed
    assert result.fetched == 3000
    assert Lock.parse((tmp_path / "bundle/lock.json").read_bytes()) == result.lock
    assert [component.name for component in result.lock.components] == ["one", "onprem.dify", "two"]
    verdict = verify(tmp_path / "bundle", parse_signers([f"me {key.with_suffix('.pub').read_text()}"]))
    # The command is put in by who calls the build.
    assert verdict.good or "onprem-dify.pyz" in verdict.message()


def test_the_same_again_changes_nothing_not_even_the_signature(build: BuildOf, tmp_path: Path) -> None:
    build({"one": b"1"})
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "bundle").rglob("*")}
    again = build({"one": b"1"})
    assert not again.changed
    assert again.fetched == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "bundle").rglob("*")} == before


def test_a_newer_release_keeps_what_both_have_and_drops_the_rest(build: BuildOf, server: Files, tmp_path: Path) -> None:
    first = build({"one": b"1" * 500, "two": b"2"})
    (tmp_path / "bundle/blobs/.part-0").write_bytes(b"of a file that no pin names now")
    server.forget()
    second = build({"one": b"1" * 500, "two": b"3"}, release="2026.11.26")
    assert server.total == 1
    blobs = {f"sha256:{path.name}" for path in (tmp_path / "bundle/blobs/sha256").iterdir()}
    assert blobs == set(second.lock.blobs())
    assert set(first.lock.blobs()) - blobs
    assert [path.name for path in (tmp_path / "bundle/blobs").iterdir()] == ["sha256"]


def test_what_an_earlier_bundle_has_is_not_fetched(build: BuildOf, server: Files, tmp_path: Path) -> None:
    build({"one": b"1" * 500, "two": b"2"})
    server.forget()
    data = b"1" * 500
    digest = hashlib.sha256(data).hexdigest()
    second = build({"one": data, "two": b"3"}, release="2026.11.26", folder="newer", earlier=[tmp_path / "bundle"])
    assert server.total == 1
    assert second.fetched == 1
    assert (tmp_path / "newer/blobs/sha256" / digest).samefile(tmp_path / "bundle/blobs/sha256" / digest)


def test_what_an_earlier_bundle_has_is_verified_first(build: BuildOf, server: Files, tmp_path: Path) -> None:
    build({"one": b"1" * 500})
    blob = tmp_path / "bundle/blobs/sha256" / hashlib.sha256(b"1" * 500).hexdigest()
    blob.write_bytes(b"0" * 500)
    server.forget()
    build({"one": b"1" * 500}, folder="newer", earlier=[tmp_path / "bundle"])
    assert server.total == 500
    assert (tmp_path / "newer/blobs/sha256" / blob.name).read_bytes() == b"1" * 500


def test_a_failed_build_leaves_the_older_bundle_as_it_was(build: BuildOf, tmp_path: Path) -> None:
    build({"one": b"1"})
    before = (tmp_path / "bundle/lock.json").read_bytes(), (tmp_path / "bundle/lock.json.sig").read_bytes()
    with pytest.raises(BuildError, match=r"two 1 for amd64: what came from .* has another checksum"):
        build({"two": b"2"}, archive={"sha256": "0" * 64})
    assert ((tmp_path / "bundle/lock.json").read_bytes(), (tmp_path / "bundle/lock.json.sig").read_bytes()) == before


def test_without_a_key_there_is_no_signature_and_none_of_an_older_lock(build: BuildOf, tmp_path: Path) -> None:
    build({"one": b"1"})
    build({"one": b"2"}, signing=None)
    assert not (tmp_path / "bundle/lock.json.sig").exists()


def test_a_collection_of_another_version_than_the_tested_one_is_refused(build: BuildOf, tmp_path: Path) -> None:
    allowed = {"collections": {"collections": {"onprem.dify": ["0.2.0"]}}}
    with pytest.raises(BuildError, match=r"Here is onprem\.dify 0\.1\.0, and .* with onprem\.dify 0\.2\.0\. Install"):
        build({"etcd": b"etcd"}, more_pins=allowed)
    assert not (tmp_path / "bundle/lock.json").exists()


def test_two_builds_of_one_bundle_do_not_run_at_once(
    build: BuildOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_builder, "PATIENCE", 0.0)
    refused = []

    def second(_line: str) -> None:
        try:
            build({"one": b"1"}, report=lambda _line: None)
        except BuildError as error:
            refused.append(str(error))

    build({"one": b"1"}, report=second)
    assert refused == [f"another build of {tmp_path / 'bundle'} is running"]


def test_a_build_waits_for_what_a_killed_one_started(build: BuildOf, tmp_path: Path) -> None:
    build({"one": b"1"})
    lines: list[str] = []
    with (tmp_path / "bundle.work/running").open("rb") as orphan:
        fcntl.flock(orphan, fcntl.LOCK_EX)

        def report(line: str) -> None:
            lines.append(line)
            fcntl.flock(orphan, fcntl.LOCK_UN)

        assert not build({"one": b"1"}, report=report).changed
    assert lines[0].startswith("waiting up to 60 s for another build")


def test_a_person_sees_how_it_ended(build: BuildOf) -> None:
    lines: list[str] = []
    build({"one": b"1" * 2048}, report=lines.append)
    assert lines[-1].startswith("everything is here: 2.0 KiB of 2.0 KiB")
    assert lines[-1].endswith("; 2.0 KiB came over the network")
