"""What an operator does with a bundle, from the first signature to the delta a month later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleAction
from unit.plugins.module_utils.bundles import CONTENT, ETCD, blob, key, public, write_bundle

from ansible_collections.onprem.dify.plugins.action import (
    bundle_delta,
    bundle_join,
    bundle_sign,
    bundle_split,
    bundle_verify,
)
from ansible_collections.onprem.dify.plugins.module_utils.bundle_parts import PartsError
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import SignatureError

NEWER = "files/etcd/3.6.15/amd64/etcd.tar.gz"


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    write_bundle(tmp_path / "2026.11.25")
    return str(tmp_path / "2026.11.25")


@pytest.fixture
def newer(tmp_path: Path) -> str:
    files = {path: content for path, content in CONTENT.items() if path != ETCD}
    write_bundle(tmp_path / "2026.12.01", {**files, NEWER: ("archive", "etcd", bytes(9000))}, release="2026.12.01")
    return str(tmp_path / "2026.12.01")


def act(module: Any, **asked: Any) -> dict[str, Any]:
    """The action with its defaults, as Ansible would call it."""
    action = module.ActionModule
    defaults = {name: option.get("default") for name, option in action.OPTIONS.items()}
    return dict(action.__new__(action).act({**defaults, **asked}))


def signers(*names: str) -> list[str]:
    return [f"{name}@bank {public(name)}" for name in names or ("release",)]


def test_a_good_bundle_is_reported_with_its_signer_and_licences(bundle: str) -> None:
    found = act(bundle_verify, directory=bundle, signers=signers())
    assert (found["release"], found["signer"]) == ("2026.11.25", "release@bank")
    assert "| etcd | 1.0 | Apache-2.0 |" in found["licences"]


def test_a_bad_bundle_fails_with_the_artefact_in_the_error(bundle: str) -> None:
    blob(Path(bundle), ETCD).unlink()
    with pytest.raises(AnsibleAction) as error:
        act(bundle_verify, directory=bundle, signers=signers())
    assert f"  {ETCD}: is not there" in str(error.value)
    assert error.value.result["msg"] == f"{bundle} is refused. Listed above."


def test_a_bundle_older_than_the_sites_fails(bundle: str) -> None:
    with pytest.raises(AnsibleAction, match=r"is older than 2026\.12\.01"):
        act(bundle_verify, directory=bundle, signers=signers(), newest_release="2026.12.01")


def test_a_signature_is_made_once(bundle: str) -> None:
    assert act(bundle_sign, directory=bundle, key=str(key("release")))["changed"] is False
    assert act(bundle_sign, directory=bundle, key=str(key("deputy"))) == {"changed": True, "release": "2026.11.25"}
    assert act(bundle_verify, directory=bundle, signers=signers("deputy"))["signer"] == "deputy@bank"
    with pytest.raises(SignatureError):
        act(bundle_sign, directory=bundle, key="/nowhere/key")


def test_parts_are_written_and_joined_once(bundle: str, tmp_path: Path) -> None:
    asked = {"directory": bundle, "parts_directory": str(tmp_path / "parts"), "part_size": "50k"}
    assert [act(bundle_split, **asked)["changed"] for _ in range(2)] == [True, False]
    joined = {"directory": str(tmp_path / "joined"), "parts": [str(tmp_path / "parts")]}
    assert [act(bundle_join, **joined)["changed"] for _ in range(2)] == [True, False]
    assert act(bundle_verify, directory=str(tmp_path / "joined"), signers=signers())["release"] == "2026.11.25"


def test_one_part_is_written_alone(bundle: str, tmp_path: Path) -> None:
    act(bundle_split, directory=bundle, parts_directory=str(tmp_path / "stick"), part_size="50k", part=2)
    assert [path.name for path in (tmp_path / "stick").glob("*.0*")] == ["2026.11.25.002"]
    with pytest.raises(PartsError):
        act(bundle_join, directory=str(tmp_path / "joined"), parts=[str(tmp_path / "stick")])


def test_a_delta_is_made_and_made_whole_once(bundle: str, newer: str, tmp_path: Path) -> None:
    asked = {"directory": newer, "base_lock": f"{bundle}/lock.json", "delta_directory": str(tmp_path / "delta")}
    first, second = (act(bundle_delta, **asked) for _ in range(2))
    assert (first["changed"], second["changed"]) == (True, False)
    assert (first["base"], first["release"], first["size"]) == ("2026.11.25", "2026.12.01", 9000)
    whole = {"directory": str(tmp_path / "whole"), "delta": str(tmp_path / "delta"), "base": bundle}
    for changed in (True, False):
        found = act(bundle_join, **whole, signers=signers())
        assert (found["changed"], found["release"], found["signer"]) == (changed, "2026.12.01", "release@bank")
    with pytest.raises(AnsibleAction, match="is signed by the key"):
        act(bundle_join, **{**whole, "directory": str(tmp_path / "other")}, signers=signers("stranger"))
