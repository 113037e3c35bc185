"""Fetching: resumed, verified, never twice. The server is a real one."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_fetch
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_fetch import Fetcher, FetchError, Kept
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import Meter, StoppedError
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Rule, Sources
from lab.upstream.files import Files

DATA = bytes(range(256)) * 4096
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
UPSTREAM = "https://example.org/tool-1.0"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Files]:
    files = Files(tmp_path / "served")
    files.put("tool-1.0", DATA)
    yield files
    files.off()


@pytest.fixture
def fetcher(server: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    monkeypatch.setattr(bundle_fetch, "PAUSES", (0.0,))
    sources = Sources([Rule("https://example.org/", f"{server.address}/")])
    return Fetcher(Kept(Store(tmp_path / "bundle")), sources, Meter())


def part_of(fetcher: Fetcher) -> Path:
    part = fetcher.kept.store.folder.parent / f".part-{DIGEST.removeprefix('sha256:')}"
    part.parent.mkdir(parents=True, exist_ok=True)
    return part


def test_a_file_comes_whole_and_only_once(fetcher: Fetcher, server: Files) -> None:
    assert fetcher.fetch("tool", UPSTREAM, DIGEST) == len(DATA)
    assert fetcher.fetch("tool", UPSTREAM, DIGEST, len(DATA)) == len(DATA)
    assert fetcher.kept.store.path(DIGEST).read_bytes() == DATA
    assert server.total == len(DATA)
    assert (fetcher.meter.fetched, fetcher.meter.here, fetcher.meter.wanted) == (
        len(DATA),
        2 * len(DATA),
        2 * len(DATA),
    )


def test_a_part_is_taken_up_where_it_ends(fetcher: Fetcher, server: Files) -> None:
    part_of(fetcher).write_bytes(DATA[:1000])
    fetcher.fetch("tool", UPSTREAM, DIGEST)
    assert server.total == len(DATA) - 1000
    assert not part_of(fetcher).exists()


def test_a_part_that_is_whole_is_not_fetched(fetcher: Fetcher, server: Files) -> None:
    part_of(fetcher).write_bytes(DATA)
    fetcher.fetch("tool", UPSTREAM, DIGEST)
    assert server.total == 0


def test_a_part_of_another_file_does_no_harm(fetcher: Fetcher, server: Files) -> None:
    part_of(fetcher).write_bytes(b"x" * 1000)
    fetcher.fetch("tool", UPSTREAM, DIGEST)
    assert fetcher.kept.store.path(DIGEST).read_bytes() == DATA


def test_a_damaged_blob_is_fetched_again(fetcher: Fetcher, server: Files) -> None:
    fetcher.fetch("tool", UPSTREAM, DIGEST)
    fetcher.kept.store.path(DIGEST).write_bytes(b"y" + DATA[1:])
    fresh = Fetcher(Kept(fetcher.kept.store), fetcher.sources, Meter())
    fresh.fetch("tool", UPSTREAM, DIGEST)
    assert fetcher.kept.store.path(DIGEST).read_bytes() == DATA
    assert server.total == 2 * len(DATA)


def test_another_checksum_is_refused_with_the_name_and_nothing_stays(fetcher: Fetcher, server: Files) -> None:
    server.put("tool-1.0", DATA + b"!")
    with pytest.raises(
        FetchError, match=r"tool 1\.0 for amd64: what came from http://.* has another checksum"
    ) as refused:
        fetcher.fetch("tool 1.0 for amd64", UPSTREAM, DIGEST)
    assert DIGEST in str(refused.value)
    assert list(fetcher.kept.store.digests()) == []
    assert not part_of(fetcher).exists()


def test_what_is_not_there_is_said_at_once(fetcher: Fetcher, server: Files) -> None:
    with pytest.raises(FetchError, match=r"tool: http://.*/nothing: HTTP status 404"):
        fetcher.fetch("tool", "https://example.org/nothing", DIGEST)


def test_a_server_that_is_off_is_asked_again_and_then_named(fetcher: Fetcher, server: Files) -> None:
    server.off()
    with pytest.raises(FetchError, match=f"tool: {server.address}/tool-1.0: .*Connection refused"):
        fetcher.fetch("tool", UPSTREAM, DIGEST)


def test_a_server_that_comes_back_is_enough(fetcher: Fetcher, server: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    server.off()
    monkeypatch.setattr(bundle_fetch, "PAUSES", (1.0,))
    timer = threading.Timer(0.3, server.on)
    timer.start()
    assert fetcher.fetch("tool", UPSTREAM, DIGEST) == len(DATA)
    timer.join()


def test_two_that_want_the_same_fetch_it_once(fetcher: Fetcher, server: Files) -> None:
    threads = [threading.Thread(target=fetcher.fetch, args=("tool", UPSTREAM, DIGEST)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.total == len(DATA)


def test_a_transfer_ends_when_another_one_failed(fetcher: Fetcher) -> None:
    fetcher.meter.stop()
    with pytest.raises(StoppedError):
        fetcher.fetch("tool", UPSTREAM, DIGEST)


def test_a_local_file_is_taken_in_from_where_the_part_ends(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(DATA)
    fetcher = Fetcher(Kept(Store(tmp_path / "bundle")), Sources(), Meter())
    part_of(fetcher).write_bytes(DATA[:1000])
    assert fetcher.fetch("tool", f"file://{tmp_path / 'here'}", DIGEST) == len(DATA)
    assert fetcher.meter.fetched == len(DATA) - 1000
    with pytest.raises(FetchError, match="tool: file:///nowhere/tool: "):
        fetcher.fetch("tool", "file:///nowhere/tool", f"sha256:{'0' * 64}")


def test_a_login_goes_to_its_host_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine nexus.bank.internal login builder password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert bundle_fetch.logins() == {"nexus.bank.internal": ("builder", "secret")}
