"""The data of etcd are replaced wholly, and those that were there stay beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import etcd_restore as restore
from ansible_collections.onprem.dify.plugins.module_utils.etcd_restore import Places, Wish
from ansible_collections.onprem.dify.plugins.module_utils.etcd_snapshots import SnapshotError

PEERS = {"cp2": "https://10.0.0.2:2380", "cp1": "https://10.0.0.1:2380"}
WISH = Wish("cp1", Path("/s/a.db"), PEERS, "restored-7")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(tmp_path / "lib/record", tmp_path / "manifests", tmp_path / "own/stopped", tmp_path / "etcd")
    found.manifests.mkdir()
    for pod in restore.PODS:
        (found.manifests / f"{pod}.yaml").write_text(pod)
    (found.data / "member").mkdir(parents=True)
    (found.data / "member/db").write_text("lost")
    return found


def etcdutl(command: list[str]) -> str:
    target = Path(next(word for word in command if word.startswith("--data-dir=")).partition("=")[2])
    (target / "member").mkdir(parents=True)
    (target / "member/db").write_text("restored")
    return ""


def data(places: Places) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in places.data.glob("*/db")}


def test_all_members_begin_one_new_cluster_that_clients_take_for_a_later_one() -> None:
    words = restore.command(WISH, Path("/var/lib/etcd/restored"))
    assert "--initial-cluster=cp1=https://10.0.0.1:2380,cp2=https://10.0.0.2:2380" in words
    assert "--initial-advertise-peer-urls=https://10.0.0.1:2380" in words
    assert {"--initial-cluster-token=restored-7", "--mark-compacted", "--bump-revision=1000000000"} <= set(words)


def test_the_control_plane_is_taken_from_the_kubelet_and_given_back_in_order(places: Places) -> None:
    restore.begin(places)
    restore.stop(places)
    assert list(places.manifests.iterdir()) == []
    order = []
    for pod in restore.give_back(places):
        order.append(pod)
        assert sorted(path.stem for path in places.manifests.iterdir()) == sorted(order)
    assert order == ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    assert not places.record.exists()
    assert not places.stopped.exists()


def test_a_host_that_is_no_control_plane_is_refused(places: Places) -> None:
    (places.manifests / "etcd.yaml").unlink()
    with pytest.raises(SnapshotError, match=r"has no etcd\.yaml"):
        restore.stop(places)
    # And nothing of it was stopped.
    assert len(list(places.manifests.iterdir())) == len(restore.PODS) - 1


def test_the_data_that_were_there_stay_beside(places: Places) -> None:
    aside = restore.begin(places)
    restore.replace(places, WISH, aside, etcdutl)
    assert data(places) == {"member": "restored", aside: "lost"}


def test_a_restore_without_data_is_one_too(places: Places) -> None:
    (places.data / "member/db").unlink()
    (places.data / "member").rmdir()
    restore.replace(places, WISH, restore.begin(places), etcdutl)
    assert data(places) == {"member": "restored"}


def test_a_restore_that_was_broken_off_keeps_the_lost_data_and_not_its_own(places: Places) -> None:
    restore.replace(places, WISH, restore.begin(places), etcdutl)
    again = restore.begin(places)
    restore.stop(places)
    restore.stop(places)
    restore.replace(places, WISH, again, etcdutl)
    assert data(places) == {"member": "restored", again: "lost"}


def test_of_earlier_restores_nothing_stays(places: Places) -> None:
    (places.data / "before-1").mkdir()
    (places.data / "before-1/db").write_text("of last year")
    aside = restore.begin(places)
    restore.replace(places, WISH, aside, etcdutl)
    assert data(places) == {"member": "restored", aside: "lost"}


def test_a_snapshot_that_cannot_be_restored_leaves_the_data_where_they_are(places: Places) -> None:
    def broken(command: list[str]) -> str:
        raise SnapshotError("expected sha256")

    with pytest.raises(SnapshotError):
        restore.replace(places, WISH, restore.begin(places), broken)
    assert data(places) == {"member": "lost"}


def test_what_does_not_come_is_not_waited_for_longer() -> None:
    with pytest.raises(SnapshotError, match="etcd has no quorum after 0 s"):
        restore.until(lambda: False, 0, "etcd has no quorum")
    restore.until(lambda: True, 0, "etcd has no quorum")


def test_an_etcd_without_a_quorum_is_at_no_revision() -> None:
    def without_quorum(command: list[str]) -> str:
        if "health" in command:
            raise SnapshotError("context deadline exceeded")
        return '[{"Status": {"header": {"revision": 7}}}]'

    assert restore.revision(without_quorum) == 0
    assert restore.revision(lambda command: '[{"Status": {"header": {"revision": 7}}}]') == 7
    assert restore.revision(lambda command: "") == 0
