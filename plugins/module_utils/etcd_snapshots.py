# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of a cluster's etcd: taken, checked, kept. A timer of the control plane runs this very file.

Nothing of the collection is imported: the host has this file alone.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

_PKI = "/etc/kubernetes/pki/etcd"
# The member of this host, as kubeadm made it.
CONNECTION = (
    "--endpoints=https://127.0.0.1:2379",
    f"--cacert={_PKI}/ca.crt",
    f"--cert={_PKI}/healthcheck-client.crt",
    f"--key={_PKI}/healthcheck-client.key",
)
METRIC = Path("/var/lib/node_exporter/textfile/onprem_dify_etcd_snapshot.prom")
NAME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{6}Z)-r(\d+)\.db")
_STAMP = "%Y-%m-%dT%H%M%SZ"
_CHUNK = 1 << 20

# What a program prints; raises SnapshotError where it fails.
Run = Callable[[List[str]], str]


class SnapshotError(Exception):
    """No snapshot that could be trusted; the text is for the user."""


class Snapshot(NamedTuple):
    """`taken`: seconds since the epoch."""

    path: str
    taken: int
    revision: int
    size: int

    @property
    def name(self) -> str:
        return Path(self.path).name

    def __str__(self) -> str:
        return f"{self.path}, taken {moment(self.taken)}, revision {self.revision}, {self.size} bytes"


def moment(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def name_of(taken: int, revision: int) -> str:
    """The name holds what one has to know where only names are seen, and sorts by time."""
    stamp = datetime.datetime.fromtimestamp(taken, datetime.timezone.utc).strftime(_STAMP)
    return f"{stamp}-r{revision}.db"


def parse_name(path: str, size: int) -> Optional[Snapshot]:
    match = NAME.fullmatch(Path(path).name)
    if not match:
        return None
    taken = datetime.datetime.strptime(match[1], _STAMP).replace(tzinfo=datetime.timezone.utc)
    return Snapshot(path, int(taken.timestamp()), int(match[2]), size)


def stored(directory: Path) -> List[Snapshot]:
    """The snapshots of a directory, the oldest first. Files of other names are not ours."""
    files = sorted(directory.glob("*.db")) if directory.is_dir() else []
    found = [parse_name(str(path), path.stat().st_size) for path in files]
    return sorted((one for one in found if one), key=lambda one: (one.taken, one.revision))


def surplus(found: Sequence[Snapshot], keep: int) -> List[Snapshot]:
    return list(found[: max(len(found) - keep, 0)])


def backwards(found: Sequence[Snapshot], revision: int) -> str:
    """Why a new snapshot with this revision must not push out those that are there; empty if it may."""
    newest = max(found, key=lambda one: one.revision, default=None)
    if newest is None or revision >= newest.revision:
        return ""
    return (
        f"etcd is at revision {revision}, and {newest.name} holds {newest.revision}: it has lost data since. Nothing"
        " was stored, so that the snapshots stay. Restore one, or move them away if the loss is meant."
    )


def parse_status(text: str) -> Dict[str, int]:
    """What `etcdutl snapshot status --write-out=json` says."""
    try:
        status = json.loads(text)
        found = {"revision": int(status["revision"]), "keys": int(status["totalKey"])}
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"etcdutl snapshot status printed {text.strip()[:200]!r}") from error
    if found["keys"] < 1 or found["revision"] < 1:
        raise SnapshotError("the snapshot holds no key: this etcd is empty")
    return found


def check(path: Path, run: Run) -> int:
    """The revision of a snapshot that is whole. etcdutl does not look at the checksum at its end, so this does."""
    revision = parse_status(run(["etcdutl", "snapshot", "status", str(path), "--write-out=json"]))["revision"]
    left = path.stat().st_size - hashlib.sha256().digest_size
    if left <= 0 or left % 512:
        raise SnapshotError(f"{path}: no checksum at its end: a part of it is missing")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while left:
            chunk = file.read(min(left, _CHUNK))
            digest.update(chunk)
            left -= len(chunk)
        if file.read() != digest.digest():
            raise SnapshotError(f"{path}: its content has another checksum than the one at its end")
    return revision


def take(directory: Path, keep: int, run: Run, now: Callable[[], float] = time.time) -> Snapshot:
    """Store a new snapshot, and remove those that are more than are kept. Only a whole one gets its name."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for leftover in directory.glob(".new*"):
        leftover.unlink()
    new = directory / ".new"
    try:
        run(["etcdctl", *CONNECTION, "snapshot", "save", str(new)])
        new.chmod(0o600)
        taken, revision = int(now()), check(new, run)
        earlier = stored(directory)
        why = backwards(earlier, revision)
        if why:
            raise SnapshotError(why)
        _sync(new)
        target = directory / name_of(taken, revision)
        new.replace(target)
        _sync(directory)
    finally:
        new.unlink(missing_ok=True)
    for old in surplus(stored(directory), keep):
        Path(old.path).unlink()
    return Snapshot(str(target), taken, revision, target.stat().st_size)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def metric_text(newest: Snapshot, number: int) -> str:
    """What is known of the newest snapshot, in the text format of Prometheus."""
    values = {
        "time_seconds": ("When the newest snapshot of etcd was taken, in seconds since the epoch.", newest.taken),
        "revision": ("Revision of etcd in the newest snapshot.", newest.revision),
        "bytes": ("Size of the newest snapshot.", newest.size),
        "kept": ("How many snapshots are kept.", number),
    }
    lines = []
    for name, (about, value) in values.items():
        metric = f"onprem_dify_etcd_snapshot_{name}"
        lines += [f"# HELP {metric} {about}", f"# TYPE {metric} gauge", f"{metric} {value}"]
    return "\n".join(lines) + "\n"


def write_metric(path: Path, text: str) -> None:
    """Never half a file: the exporter reads at any time."""
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.chmod(0o644)
    beside.replace(path)


def parse_revision(text: str) -> int:
    """What `etcdctl endpoint status --write-out=json` says."""
    try:
        return int(json.loads(text)[0]["Status"]["header"]["revision"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise SnapshotError(f"etcdctl endpoint status printed {text.strip()[:200]!r}") from error


class Choice(NamedTuple):
    """Which snapshot is restored, and from which host it comes."""

    host: str
    snapshot: Snapshot


def choose(found: Mapping[str, Mapping[str, Any]], wanted: str, healthy_too: bool) -> Choice:
    """The snapshot to restore: `newest`, or the one of that name or path.

    `found`: what each control plane said; `revision` is 0 where etcd has no quorum.
    """
    newest = max((one["revision"] for seen in found.values() for one in seen["snapshots"]), default=0)
    alive = {host: seen["revision"] for host, seen in sorted(found.items()) if seen["revision"]}
    begun = any(seen["begun"] for seen in found.values())
    # Without its data a member begins anew and is in good health, too.
    if alive and max(alive.values()) >= newest and not begun and not healthy_too:
        raise SnapshotError(
            f"etcd answers on {', '.join(alive)} and has lost nothing: it is at revision {max(alive.values())}, the"
            f" newest snapshot at {newest}. What happened since would be lost. If that is wanted:"
            " -e control_plane_restore_healthy=true"
        )
    offers = [
        Choice(host, Snapshot(one["path"], one["taken"], one["revision"], one["size"]))
        for host in sorted(found)
        for one in found[host]["snapshots"]
        if wanted in ("newest", one["path"], Path(one["path"]).name)
    ]
    if not offers:
        what = "no snapshot" if wanted == "newest" else f"no snapshot {wanted}"
        raise SnapshotError(f"{what} on {', '.join(sorted(found))}. Wanted is one that control_plane_snapshot names")
    return max(offers, key=lambda one: (one.snapshot.revision, one.snapshot.taken))


def execute(programs: Path) -> Run:
    def run(command: List[str]) -> str:
        words = [str(programs / command[0]), *command[1:]]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise SnapshotError(f"{' '.join(command[:3])}: {said[-1] if said else f'exit code {done.returncode}'}")
        return done.stdout

    return run


def main() -> int:
    parser = argparse.ArgumentParser(description="Take a snapshot of this control plane's etcd.")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--keep", type=int, required=True)
    parser.add_argument("--programs", type=Path, required=True, help="where etcdctl and etcdutl are")
    asked = parser.parse_args()
    try:
        newest = take(asked.directory, asked.keep, execute(asked.programs))
    except (SnapshotError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    write_metric(METRIC, metric_text(newest, len(stored(asked.directory))))
    sys.stdout.write(f"{newest}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
