"""The controller's half of a load, with a mirror that is a folder of this machine: what is asked, what is sent."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from unit.plugins.module_utils.bundles import CONTENT, ETCD, blob, public, write_bundle

from ansible_collections.onprem.dify.plugins.action import bundle_carry as action
from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import Mirror, MirrorError
from ansible_collections.onprem.dify.plugins.modules import mirror_arrivals, mirror_load

SIGNERS = [f"release@bank {public('release')}"]


class Site:
    """A mirror, and a connection that may be cut after so many transfers."""

    def __init__(self, folder: Path) -> None:
        self.mirror, self.remote = Mirror(folder / "mirror"), folder / "remote"
        self.remote.mkdir()
        self.sent: list[int] = []
        self.transfers = 1000

    def carry(self, bundle: Path | str, check: bool = False, **args: Any) -> dict[str, Any]:
        plugin = action.ActionModule.__new__(action.ActionModule)
        plugin._task = SimpleNamespace(check_mode=check)
        plugin._host, plugin._task_vars = "mirror1", {}
        plugin._loader = SimpleNamespace(path_dwim=str)
        shell = SimpleNamespace(tmpdir=str(self.remote), join_path=lambda *parts: "/".join(parts))
        plugin._connection = SimpleNamespace(_shell=shell)
        plugin._execute_module, plugin._transfer_file = self._execute, self._transfer
        self.sent.clear()
        directory = str(self.mirror.root)
        return plugin._carry({"bundle": str(bundle), "signers": SIGNERS, "directory": directory, **args})

    def _execute(self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        if "lock" in module_args:
            return mirror_arrivals.inspect(self.mirror, mirror_arrivals.Lock.parse(module_args["lock"]))
        try:
            archive, digest = Path(module_args["archive"]), module_args["digest"]
            return {"received": mirror_arrivals.take_in(self.mirror, archive, digest)}
        except MirrorError as error:
            return {"failed": True, "msg": str(error)}

    def _transfer(self, local: str, remote: str) -> None:
        if len(self.sent) >= self.transfers:
            raise KeyboardInterrupt
        self.sent.append(Path(local).stat().st_size)
        shutil.copy(local, remote)

    def load(self) -> dict[str, Any]:
        return mirror_load.bring(self.mirror, None, SIGNERS, False)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(action.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    # The smallest load is a megabyte, and this bundle is no larger.
    monkeypatch.setattr(action, "MEGABYTE", 10_000)
    return Site(tmp_path)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    write_bundle(folder)
    return folder


def test_the_first_run_sends_all_and_the_second_asks_once(site: Site, bundle: Path) -> None:
    first = site.carry(bundle, megabytes=1)
    assert first["changed"]
    assert len(site.sent) > 5
    assert site.load()["release"] == first["release"]
    second = site.carry(bundle, megabytes=1)
    assert (second["changed"], second["sent"], site.sent) == (False, 0, [])


def test_the_dry_run_says_how_much_and_sends_nothing(site: Site, bundle: Path) -> None:
    predicted = site.carry(bundle, check=True)
    assert site.sent == []
    assert not site.mirror.root.exists()
    assert {**predicted, "diff": {}} == {**site.carry(bundle), "diff": {}}


def test_nothing_is_sent_of_a_bundle_with_one_wrong_byte(site: Site, bundle: Path) -> None:
    path = blob(bundle, ETCD)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(MirrorError, match=rf"the bundle is refused:\n  {ETCD}: was altered"):
        site.carry(bundle)
    assert site.sent == []


def test_an_old_bundle_is_refused_with_what_the_mirror_serves(site: Site, bundle: Path, tmp_path: Path) -> None:
    site.carry(bundle)
    site.load()
    (tmp_path / "older").mkdir()
    write_bundle(tmp_path / "older", release="2026.11.24")
    with pytest.raises(MirrorError, match=r"2026\.11\.24 is older than 2026\.11\.25"):
        site.carry(tmp_path / "older")
    assert site.sent == []


def test_a_run_that_was_broken_off_goes_on_where_it_was(site: Site, bundle: Path) -> None:
    whole = site.carry(bundle, check=True)["sent"]
    site.transfers = 3
    with pytest.raises(KeyboardInterrupt):
        site.carry(bundle, megabytes=1)
    site.transfers = 1000
    assert site.carry(bundle, megabytes=1)["sent"] == whole - 30_000
    assert site.load()["changed"]


def test_a_bundle_that_is_served_is_not_hashed_again(site: Site, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.carry(bundle)
    site.load()
    monkeypatch.setattr(action, "verify", None)
    assert not site.carry(bundle)["changed"]


def test_a_delta_is_enough_where_the_rest_is(site: Site, bundle: Path, tmp_path: Path) -> None:
    site.carry(bundle)
    site.load()
    newer = tmp_path / "newer"
    newer.mkdir()
    write_bundle(newer, {**CONTENT, ETCD: ("archive", "etcd", b"patched " * 100)}, release="2026.12.01")
    for path in (newer / "blobs/sha256").iterdir():
        if path.stat().st_size != 800:
            path.unlink()
    assert site.carry(newer)["sent"] == 800
    assert site.load()["release"].startswith("2026.12.01-")


def test_a_disk_that_is_too_small_is_said_before_anything_is_sent(
    site: Site, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mirror, "free", lambda _self: 1_000_000)
    with pytest.raises(MirrorError, match=r"has 1\.0 MB free, wanted are 67\.\d MB"):
        site.carry(bundle)
    assert site.sent == []


def test_mistakes_of_a_task_are_named(site: Site, bundle: Path) -> None:
    with pytest.raises(MirrorError, match="unknown option speed"):
        site.carry(bundle, speed=1)
    with pytest.raises(MirrorError, match="bundle is missing"):
        site.carry("")
