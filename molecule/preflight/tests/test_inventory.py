"""Preflight of the inventory, with no host there."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from unit.inventories import overlay

Preflight = Callable[..., Any]


@pytest.fixture(scope="module")
def answers(preflight: Preflight, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a user gets for the example inventory and for each broken one."""
    folder = tmp_path_factory.mktemp("inventories")
    password_file = folder / "vault_password"
    password_file.write_text(overlay.VAULT_PASSWORD, encoding="utf-8")

    def ask(number: int, case: overlay.Case) -> Any:
        overlay.write(case, folder / str(number))
        return preflight("--tags", "inventory", inventory=folder / str(number), vault_password_file=password_file)

    cases = [{"name": "the example"}, *overlay.cases()]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(ask, range(len(cases)), cases)
        return {case["name"]: answer for case, answer in zip(cases, found, strict=True)}


@pytest.mark.parametrize("case", overlay.cases(), ids=lambda case: case["name"])
def test_broken_inventory_fails_with_its_one_message(answers: dict[str, Any], case: overlay.Case) -> None:
    answer = answers[case["name"]]
    assert answer.findings == [case["finding"].strip()], answer.output
    assert answer.code != 0
    assert "Traceback" not in answer.output


def test_example_inventory_with_its_secrets_passes(answers: dict[str, Any]) -> None:
    answer = answers["the example"]
    assert answer.code == 0, answer.output
    assert "Preflight of the inventory: no findings" in answer.output


def test_inventory_without_hosts_fails(preflight: Preflight, tmp_path: Path) -> None:
    answer = preflight("--tags", "inventory", inventory=tmp_path)
    assert answer.code != 0
    assert [line.rsplit(" ", 1)[1] for line in answer.findings] == ["[no-hosts]"]
