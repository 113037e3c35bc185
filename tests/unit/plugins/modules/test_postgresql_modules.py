"""The doors to etcd, Patroni and PostgreSQL: what they do in which order, and what they leave alone in check mode."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import etcd
from ansible_collections.onprem.dify.plugins.module_utils import postgresql_catalog as catalog
from ansible_collections.onprem.dify.plugins.module_utils.patroni import Member
from ansible_collections.onprem.dify.plugins.modules import (
    etcd_member,
    patroni_cluster,
    postgresql_data,
    postgresql_databases,
)


def module(check_mode: bool = False, **params: Any) -> Any:
    moved = lambda source, target, keep_dest_attrs: Path(source).replace(target)  # noqa: E731
    return SimpleNamespace(params=params, check_mode=check_mode, atomic_move=moved)


class Etcd:
    def __init__(self, view: etcd.View) -> None:
        self.seen, self.done = view, list[str]()

    def view(self) -> etcd.View:
        return self.seen

    def change(self, action: etcd.Action) -> None:
        self.done.append(str(action))

    def start(self) -> None:
        self.done.append("start")


MEMBERS = [{"name": name, "peer": f"https://{name}:2380"} for name in ("db1", "db2", "witness1")]
RUNNING = [etcd.Member(n, m["name"], (m["peer"],), True) for n, m in enumerate(MEMBERS, 1)]


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_lost_member_gets_its_file_before_the_cluster_is_changed(tmp_path: Path, check_mode: bool) -> None:
    path = tmp_path / "etcd" / "first-start.env"
    cluster = Etcd(etcd.View(False, RUNNING, True, ["db1", "db2"]))
    door = module(check_mode, name="witness1", members=MEMBERS, token="bank", path=str(path))
    outcome = etcd_member.prepare(door, cluster)  # type: ignore[arg-type]
    assert (outcome["changed"], outcome["actions"]) == (True, ["remove witness1", "add witness1", "start witness1"])
    assert cluster.done == ([] if check_mode else ["remove witness1", "add witness1", "start"])
    assert path.exists() is not check_mode
    if not check_mode:
        assert "ETCD_INITIAL_CLUSTER_STATE=existing" in path.read_text(encoding="utf-8")


def test_a_member_with_data_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "first-start.env"
    path.write_text("as it was\n", encoding="utf-8")
    door = module(name="db1", members=MEMBERS, token="bank", path=str(path))
    outcome = etcd_member.prepare(door, Etcd(etcd.View(True, RUNNING, True)))  # type: ignore[arg-type]
    assert not outcome["changed"]
    assert path.read_text(encoding="utf-8") == "as it was\n"


class Api:
    """Two members; a restart takes in what was pending."""

    def __init__(self, **pending: bool) -> None:
        self.pending, self.calls = pending, list[tuple[str, str, str]]()
        self.config: dict[str, Any] = {"ttl": 20, "loop_wait": 0}

    def member(self, name: str) -> Member:
        role = "primary" if name == "db1" else "replica"
        return Member(name, "running", role, name != "db1", self.pending.get(name, False), seen_at=1 << 40)

    def call(self, name: str, path: str, method: str = "GET", body: Any = None, timeout: float = 0) -> Any:
        if method != "GET":
            self.calls.append((name, method, path))
        if path == "/restart":
            self.pending[name] = False
        return self.config


def cluster(api: Api, name: str = "db1", check_mode: bool = False, **params: Any) -> patroni_cluster.Cluster:
    wished = {"settings": api.config, "restart_leader": False, "patience": 0, "username": "", "password": "", **params}
    door = module(check_mode, name=name, members={"db1": "1", "db2": "2"}, certificates="/", **wished)
    made = patroni_cluster.Cluster(door)
    made._api = api  # type: ignore[assignment]
    return made


def test_the_leader_waits_for_permission_and_standbys_do_not() -> None:
    api = Api(db1=True, db2=True)
    outcome = cluster(api).run()
    assert api.calls == [("db2", "POST", "/restart")]
    assert (outcome["restarted"], outcome["pending"], outcome["changed"]) == (["db2"], ["db1"], True)
    assert cluster(api).run()["changed"] is False


def test_with_permission_the_leader_comes_last() -> None:
    api = Api(db1=True, db2=True)
    assert cluster(api, restart_leader=True).run()["restarted"] == ["db2", "db1"]


def test_settings_are_patched_by_the_leader_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patroni_cluster.time, "sleep", lambda _seconds: None)
    api, wished = Api(), {"ttl": 30, "loop_wait": 0}
    assert cluster(api, name="db2", settings=wished).run()["changed"] is False
    assert cluster(api, check_mode=True, settings=wished).run()["changed"] is True
    assert api.calls == []
    assert cluster(api, settings=wished).run()["changed"] is True
    assert api.calls == [("db1", "PATCH", "/config")]


def test_scope_and_place_are_read_from_the_configuration_of_an_earlier_run(tmp_path: Path) -> None:
    path = tmp_path / "patroni.yml"
    assert postgresql_data.configured(str(path)) == ("", "")
    path.write_text("scope: dify\nname: db1\npostgresql:\n  data_dir: /data/pg\n  pgpass: /x\n", encoding="utf-8")
    assert postgresql_data.configured(str(path)) == ("dify", "/data/pg")


class Server:
    there = True

    def __init__(self, *answers: Any) -> None:
        self.answers, self.said = list(answers), list[str]()

    def ask(self, _database: str, _query: str) -> Any:
        return self.answers.pop(0)

    def run(self, database: str, script: str) -> str:
        self.said.append(f"{database}: {script}")
        return ""


WISH = {"passwords": {"dify": "correct-horse"}, "roles": [], "databases": [{"name": "dify", "owner": "dify"}]}


def test_a_standby_is_left_alone() -> None:
    server = Server({"standby": True, "roles": {}, "databases": {"dify": {}}})
    outcome = postgresql_databases.bring(module(**WISH), server)  # type: ignore[arg-type]
    assert (outcome["changed"], server.said) == (False, [])


def test_a_leader_gets_its_databases_and_no_password_is_shown_or_sent() -> None:
    server = Server({"standby": False, "roles": {}, "databases": {}})
    outcome = postgresql_databases.bring(module(**WISH), server)  # type: ignore[arg-type]
    assert outcome["changed"] and len(server.said) == 3
    assert "correct-horse" not in str(outcome) + str(server.said)
    assert "SCRAM" not in str(outcome)


def test_a_dry_run_before_the_first_real_one_predicts_everything() -> None:
    server = Server()
    server.there = False
    assert postgresql_databases.bring(module(True, **WISH), server)["changed"]  # type: ignore[arg-type]
    with pytest.raises(catalog.CatalogError, match="not installed"):
        postgresql_databases.bring(module(False, **WISH), server)  # type: ignore[arg-type]
