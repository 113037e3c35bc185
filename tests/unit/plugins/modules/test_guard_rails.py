"""The doors of the guard rails: what endangers data fails the task, in words for the user, and nothing is touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.onprem.dify.plugins.module_utils import seaweedfs
from ansible_collections.onprem.dify.plugins.modules import etcd_data, postgresql_data, seaweedfs_guard

Say = Callable[..., dict[str, Any]]


class Api:
    """Members of Patroni that answer, by name, with the name of their leader."""

    leaders: ClassVar[dict[str, str]] = {}

    def __init__(self, *_place: Any) -> None:
        pass

    def cluster(self, name: str) -> dict[str, Any] | None:
        if name not in self.leaders:
            return None
        leader = {"name": self.leaders[name], "role": "leader", "state": "running"}
        return {"scope": "dify", "members": [leader]}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Say:
    def main(module: Any, **params: Any) -> dict[str, Any]:
        with patch_module_args(params), pytest.raises(SystemExit):
            module.main()
        return dict(json.loads(capsys.readouterr().out))

    return main


@pytest.fixture
def postgresql(run: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    monkeypatch.setattr(postgresql_data, "Api", Api)
    monkeypatch.setattr(Api, "leaders", {})

    def main(**params: Any) -> dict[str, Any]:
        wish = {
            "name": "db1",
            "members": {"db1": "10.0.3.11", "db2": "10.0.3.12"},
            "directory": str(tmp_path / "15"),
            "major": "15",
            "scope": "dify",
            "configuration": str(tmp_path / "patroni.yml"),
            "holders": [],
            "certificates": str(tmp_path),
            "patience": 0,
        }
        before = sorted(tmp_path.rglob("*"))
        said = run(postgresql_data, **{**wish, **params})
        assert sorted(tmp_path.rglob("*")) == before
        return said

    return main


def data(folder: Path, version: str) -> Path:
    folder.mkdir()
    (folder / "PG_VERSION").write_text(f"{version}\n", encoding="ascii")
    return folder


def test_a_new_host_may_begin(postgresql: Say) -> None:
    assert postgresql()["version"] == ""


def test_another_major_version_is_refused(postgresql: Say, tmp_path: Path) -> None:
    folder = data(tmp_path / "15", "15")
    (tmp_path / "patroni.yml").write_text(f"scope: dify\n  data_dir: {folder}\n", encoding="utf-8")
    said = postgresql(major="16", directory=str(tmp_path / "16"), holders=["db1"])
    assert f"{folder} holds data of PostgreSQL 15, wanted is 16" in said["msg"]
    assert postgresql(holders=["db1"])["version"] == "15"


def test_data_of_postgresql_do_not_move(postgresql: Say, tmp_path: Path) -> None:
    folder = data(tmp_path / "15", "15")
    (tmp_path / "patroni.yml").write_text(f"scope: dify\n  data_dir: {folder}\n", encoding="utf-8")
    said = postgresql(directory=str(tmp_path / "elsewhere"), holders=["db1"])
    assert f"the data stand in {folder}" in said["msg"]


def test_no_new_cluster_beside_data_that_nobody_leads(postgresql: Say) -> None:
    assert "must not begin a new cluster beside these data" in postgresql(holders=["db2"])["msg"]
    Api.leaders = {"db2": "db2"}
    assert postgresql(holders=["db2"])["version"] == ""


def test_a_leader_does_not_leave_the_inventory(postgresql: Say, tmp_path: Path) -> None:
    data(tmp_path / "15", "15")
    Api.leaders = {"db1": "db2"}
    said = postgresql(members={"db1": "10.0.3.11"}, holders=["db1"])
    assert "db2 leads the cluster and is no host of the group database any more" in said["msg"]
    assert postgresql(holders=["db1"])["version"] == "15"


def test_data_of_etcd_do_not_move(run: Say, tmp_path: Path) -> None:
    (tmp_path / "old/member/wal").mkdir(parents=True)
    wish = {"directory": str(tmp_path / "new"), "configuration": str(tmp_path / "etcd.env")}
    (tmp_path / "etcd.env").write_text("ETCD_NAME=db1\n", encoding="utf-8")
    assert run(etcd_data, **wish)["holds"] is False
    (tmp_path / "etcd.env").write_text(f"ETCD_DATA_DIR={tmp_path / 'old'}\n", encoding="utf-8")
    assert f"stand in {tmp_path / 'old'}, etcd_data_directory is {tmp_path / 'new'}" in run(etcd_data, **wish)["msg"]
    assert run(etcd_data, **{**wish, "directory": str(tmp_path / "old")})["holds"] is True


def test_stored_objects_do_not_move_and_keep_their_copies(
    run: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seaweedfs_guard, "UNITS", f"{tmp_path}/{{}}.service")
    monkeypatch.setattr(seaweedfs, "CONFIGURATION", str(tmp_path))
    (tmp_path / "data/volume").mkdir(parents=True)
    (tmp_path / "data/volume/1.dat").touch()
    for process, option in (("volume", f"dir={tmp_path}/data/volume"), ("filer", "defaultReplicaPlacement=010")):
        (tmp_path / f"{process}.service").write_text(f"ExecStart=/bin/weed {process} -{option}\n", encoding="utf-8")
    (tmp_path / "filer.toml").write_text("[postgres2]\n", encoding="utf-8")
    wish = {"host": "db1", "data": f"{tmp_path}/data", "replication": "010", "metadata": "postgresql"}
    assert run(seaweedfs_guard, **wish)["has_data"] is True
    assert "wanted /srv/volume" in run(seaweedfs_guard, **{**wish, "data": "/srv"})["msg"]
    assert "less safe" in run(seaweedfs_guard, **{**wish, "replication": "000"})["msg"]
    assert "metadata" in run(seaweedfs_guard, **{**wish, "metadata": "local"})["msg"]
