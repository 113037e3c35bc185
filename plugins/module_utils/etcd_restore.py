# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of a control plane's etcd, replaced by those of a snapshot.

All members begin anew from the same snapshot, so all of them must have stopped before one of them starts: this is done
in two steps, `replace` and `start`, and the first has ended everywhere before the second begins anywhere.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from pathlib import Path
from typing import Any, Callable, Iterator, List, Mapping, NamedTuple

from ansible_collections.onprem.dify.plugins.module_utils import etcd_snapshots as snapshots
from ansible_collections.onprem.dify.plugins.module_utils.etcd_snapshots import SnapshotError
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import within

# There while a restore has begun and not ended. Holds the name under which the earlier data are set aside.
RECORD = Path("/var/lib/onprem-dify/etcd-restore.begun")
MANIFESTS = Path("/etc/kubernetes/manifests")
# Not below the manifests: the kubelet starts whatever lies there.
STOPPED = Path("/etc/kubernetes/onprem-dify/stopped")
DATA = Path("/var/lib/etcd")
# In the order in which they start. The API server waits for etcd, the others for the API server.
PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
# Clients that have seen a later state than the snapshot must not take it for an older one: all of them look again.
BUMP = 1_000_000_000


class Wish(NamedTuple):
    """`peers`: the address of each member for the others. `token`: of the new cluster, the same everywhere."""

    name: str
    snapshot: Path
    peers: Mapping[str, str]
    token: str


def command(wish: Wish, target: Path) -> List[str]:
    members = ",".join(f"{name}={url}" for name, url in sorted(wish.peers.items()))
    return [
        *("etcdutl", "snapshot", "restore", str(wish.snapshot), f"--data-dir={target}"),
        *(f"--name={wish.name}", f"--initial-cluster={members}", f"--initial-cluster-token={wish.token}"),
        *(f"--initial-advertise-peer-urls={wish.peers[wish.name]}", f"--bump-revision={BUMP}", "--mark-compacted"),
    ]


class Places(NamedTuple):
    """Where things stand on the host. Other ones in tests."""

    record: Path = RECORD
    manifests: Path = MANIFESTS
    stopped: Path = STOPPED
    data: Path = DATA


def begin(places: Places) -> str:
    """Note that a restore begins, and return where it sets the data aside. One that was broken off goes on."""
    with contextlib.suppress(FileNotFoundError):
        return places.record.read_text(encoding="utf-8").strip()
    places.record.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    name = f"before-{secrets.token_hex(4)}"
    places.record.write_text(f"{name}\n", encoding="utf-8")
    return name


def stop(places: Places) -> None:
    """Take the static pods from the kubelet, those first that write."""
    files = [f"{pod}.yaml" for pod in reversed(PODS)]
    for file in files:
        if not (places.manifests / file).exists() and not (places.stopped / file).exists():
            raise SnapshotError(f"{places.manifests} has no {file}: this host is no control plane of kubeadm")
    places.stopped.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in files:
        if (places.manifests / file).exists():
            (places.manifests / file).replace(places.stopped / file)


def replace(places: Places, wish: Wish, aside: str, run: snapshots.Run) -> None:
    """Put the data of the snapshot in the place of those that are there, which stay beside it."""
    fresh, member = places.data / "restored", places.data / "member"
    places.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.rmtree(fresh, ignore_errors=True)
    run(command(wish, fresh))
    earlier = places.data / aside
    if earlier.exists():
        # Of a run that was broken off: what stands here now came from a snapshot.
        shutil.rmtree(member, ignore_errors=True)
    elif member.exists():
        member.replace(earlier)
    (fresh / "member").replace(member)
    fresh.rmdir()
    for old in places.data.glob("before-*"):
        if old.name != aside:
            shutil.rmtree(old)


def give_back(places: Places) -> Iterator[str]:
    """Give the static pods back to the kubelet, one after the other, each when the one before it was waited for."""
    for pod in PODS:
        manifest = places.stopped / f"{pod}.yaml"
        if manifest.exists():
            manifest.replace(places.manifests / manifest.name)
        yield pod
    places.stopped.rmdir()
    places.record.unlink()


def runner(module: Any, programs: Path) -> snapshots.Run:
    def run(words: List[str]) -> str:
        code, out, err = module.run_command([str(programs / words[0]), *words[1:]])
        if code != 0:
            said = (err or out).strip().splitlines()
            raise SnapshotError(f"{' '.join(words[:3])}: {said[-1] if said else f'exit code {code}'}")
        return str(out)

    return run


def revision(run: snapshots.Run) -> int:
    """At which revision etcd is on this host; 0 if it does not answer or has no quorum, for which it has to agree."""
    try:
        run(["etcdctl", *snapshots.CONNECTION, "--command-timeout=5s", "endpoint", "health"])
        words = ["etcdctl", *snapshots.CONNECTION, "--command-timeout=5s", "endpoint", "status", "--write-out=json"]
        return snapshots.parse_revision(run(words))
    except SnapshotError:
        return 0


def until(reached: Callable[[], bool], seconds: float, problem: str) -> None:
    if not within(seconds, reached, pause=0.5):
        raise SnapshotError(f"{problem} after {seconds:g} s: `journalctl -u kubelet` and `crictl ps --all` say more")
