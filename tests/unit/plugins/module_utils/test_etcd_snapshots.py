"""Snapshots of etcd: only whole ones are kept, and a loss never pushes them out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import etcd_snapshots as snapshots
from ansible_collections.onprem.dify.plugins.module_utils.etcd_snapshots import SnapshotError

NOON = 1_795_867_200


def whole(content: bytes = b"\x01" * 1024) -> bytes:
    """A file as etcd sends it: pages, and their checksum."""
    return content + hashlib.sha256(content).digest()


class Etcd:
    """What etcdctl and etcdutl do, as far as a snapshot shows it."""

    def __init__(self, revision: int = 7, keys: int = 3, content: bytes | None = None) -> None:
        self.revision, self.keys, self.content = revision, keys, content or whole()
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str]) -> str:
        self.commands.append(command)
        if command[0] == "etcdctl":
            Path(command[-1]).write_bytes(self.content)
            return ""
        return json.dumps({"hash": 1, "revision": self.revision, "totalKey": self.keys, "totalSize": 20480})


def taken(directory: Path, etcd: Any, keep: int = 3, at: int = NOON) -> snapshots.Snapshot:
    return snapshots.take(directory, keep, etcd, now=lambda: at)


def test_a_snapshot_tells_by_its_name_when_it_was_taken_and_what_it_holds(tmp_path: Path) -> None:
    found = taken(tmp_path / "snapshots", Etcd(revision=1234))
    assert found.name == "2026-11-28T120000Z-r1234.db"
    assert snapshots.stored(tmp_path / "snapshots") == [found]
    assert str(found).endswith("taken 2026-11-28 12:00:00 UTC, revision 1234, 1056 bytes")


def test_root_alone_reads_it(tmp_path: Path) -> None:
    found = taken(tmp_path / "snapshots", Etcd())
    assert Path(found.path).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "snapshots").stat().st_mode & 0o777 == 0o700


def test_the_newest_are_kept_and_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.db").write_text("not of the timer")
    for hour in range(5):
        taken(tmp_path, Etcd(revision=10 + hour), keep=2, at=NOON + 3600 * hour)
    assert [one.revision for one in snapshots.stored(tmp_path)] == [13, 14]
    assert (tmp_path / "mine.db").exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (whole()[:700], "a part of it is missing"),
        (whole()[:544], "another checksum"),
        (whole()[:500] + b"x" + whole()[501:], "another checksum"),
        (b"", "a part of it is missing"),
    ],
)
def test_what_is_not_whole_is_not_stored(tmp_path: Path, content: bytes, why: str) -> None:
    taken(tmp_path, Etcd())
    etcd = Etcd(revision=8)
    etcd.content = content
    with pytest.raises(SnapshotError, match=why):
        taken(tmp_path, etcd, at=NOON + 60)
    assert [path.name for path in tmp_path.iterdir()] == ["2026-11-28T120000Z-r7.db"]


def test_an_empty_etcd_is_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="this etcd is empty"):
        taken(tmp_path, Etcd(keys=0))


def test_an_etcd_that_has_lost_data_pushes_out_no_snapshot(tmp_path: Path) -> None:
    taken(tmp_path, Etcd(revision=1234))
    with pytest.raises(SnapshotError, match=r"at revision 7, and 2026-11-28T120000Z-r1234\.db holds 1234"):
        taken(tmp_path, Etcd(revision=7), keep=1, at=NOON + 60)
    assert [one.revision for one in snapshots.stored(tmp_path)] == [1234]


def test_the_leftover_of_a_killed_run_goes(tmp_path: Path) -> None:
    (tmp_path / ".new").write_text("half")
    (tmp_path / ".new.part").write_text("half")
    found = taken(tmp_path, Etcd())
    assert [path.name for path in tmp_path.iterdir()] == [found.name]


def test_the_metric_is_what_prometheus_reads(tmp_path: Path) -> None:
    text = snapshots.metric_text(snapshots.Snapshot("/x/a.db", NOON, 7, 1056), 3)
    assert f"onprem_dify_etcd_snapshot_time_seconds {NOON}\n" in text
    assert "# TYPE onprem_dify_etcd_snapshot_kept gauge\nonprem_dify_etcd_snapshot_kept 3\n" in text
    snapshots.write_metric(tmp_path / "etcd.prom", text)
    assert (tmp_path / "etcd.prom").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["etcd.prom"]


@pytest.mark.parametrize("text", ["", "{}", '{"revision": "many", "totalKey": 1}'])
def test_a_status_that_says_nothing_is_no_status(text: str) -> None:
    with pytest.raises(SnapshotError, match="printed"):
        snapshots.parse_status(text)


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    program = tmp_path / "etcdctl"
    program.write_text("#!/bin/sh\necho first; echo refused >&2; exit 3\n")
    program.chmod(0o755)
    with pytest.raises(SnapshotError, match=r"etcdctl snapshot save: refused"):
        snapshots.execute(tmp_path)(["etcdctl", "snapshot", "save"])


# Which one is restored


def seen(*revisions: int, at: int = 0, begun: bool = False) -> dict[str, Any]:
    """Snapshots with these revisions; `at`: that of an etcd that answers."""
    found = [snapshots.Snapshot(f"/s/{snapshots.name_of(NOON, one)}", NOON, one, 9)._asdict() for one in revisions]
    return {"snapshots": found, "revision": at, "begun": begun}


def test_the_newest_of_all_control_planes_is_restored() -> None:
    choice = snapshots.choose({"cp1": seen(5, 7), "cp2": seen(9), "cp3": seen()}, "newest", healthy_too=False)
    assert (choice.host, choice.snapshot.revision) == ("cp2", 9)


@pytest.mark.parametrize("wanted", ["2026-11-28T120000Z-r5.db", "/s/2026-11-28T120000Z-r5.db"])
def test_an_older_one_is_restored_if_it_is_named(wanted: str) -> None:
    assert snapshots.choose({"cp1": seen(5, 7)}, wanted, healthy_too=False).snapshot.revision == 5


def test_what_has_a_quorum_is_left_alone_unless_told() -> None:
    found = {"cp1": seen(5), "cp2": seen(at=6)}
    with pytest.raises(SnapshotError, match="etcd answers on cp2 and has lost nothing: it is at revision 6"):
        snapshots.choose(found, "newest", healthy_too=False)
    assert snapshots.choose(found, "newest", healthy_too=True).snapshot.revision == 5


def test_an_etcd_that_began_anew_without_its_data_has_lost_them() -> None:
    assert snapshots.choose({"cp1": seen(1234, at=210)}, "newest", healthy_too=False).snapshot.revision == 1234
    # Whichever snapshot is wanted, what was lost is seen by the newest.
    older = snapshots.choose({"cp1": seen(100, 1234, at=210)}, snapshots.name_of(NOON, 100), healthy_too=False)
    assert older.snapshot.revision == 100


def test_a_restore_that_was_broken_off_goes_on_although_etcd_answers() -> None:
    found = {"cp1": seen(5, at=6, begun=True)}
    assert snapshots.choose(found, "newest", healthy_too=False).snapshot.revision == 5


@pytest.mark.parametrize(("wanted", "what"), [("newest", "no snapshot on cp1"), ("/x.db", "no snapshot /x.db on cp1")])
def test_without_a_snapshot_nothing_is_restored(wanted: str, what: str) -> None:
    with pytest.raises(SnapshotError, match=what):
        snapshots.choose({"cp1": seen()}, wanted, healthy_too=False)


def test_the_host_has_this_file_alone() -> None:
    for module in ("etcd_snapshots", "kubeadm_certificates"):
        source = Path(snapshots.__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
        assert "ansible" not in source.partition('"""')[2].replace("ansible_collections", "ansible")
