"""The catalogue of controls as delivered: its form, and that it speaks of roles and variables that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.onprem.dify.plugins.module_utils.controls_schema import entry_faults

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "roles/verify/files/controls").glob("*.yml"))
CATALOGUE: dict[str, list[dict[str, Any]]] = {
    file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in FILES
}
SUBJECTS = ["accounts", "audit", "firewall", "kernel", "mac", "packages", "sshd", "time"]


def options(role: str) -> dict[str, Any]:
    specification = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text(encoding="utf-8"))
    return {
        name: option for entry in specification["argument_specs"].values() for name, option in entry["options"].items()
    }


def test_every_subject_of_hardening_and_the_firewall_has_controls() -> None:
    assert sorted(CATALOGUE) == SUBJECTS
    assert all(CATALOGUE.values())


@pytest.mark.parametrize("subject", CATALOGUE)
def test_every_entry_is_well_formed(subject: str) -> None:
    assert [fault for entry in CATALOGUE[subject] for fault in entry_faults(entry, subject)] == []


@pytest.mark.parametrize("subject", CATALOGUE)
def test_the_governing_variable_belongs_to_the_role(subject: str) -> None:
    known = options(subject)
    assert [entry["id"] for entry in CATALOGUE[subject] if entry["variable"] and entry["variable"] not in known] == []


def test_ids_are_unique() -> None:
    ids = [entry["id"] for entries in CATALOGUE.values() for entry in entries]
    assert sorted(ids) == sorted(set(ids))


def test_no_two_controls_have_the_same_title() -> None:
    titles = [entry["title"] for entries in CATALOGUE.values() for entry in entries]
    assert sorted(titles) == sorted(set(titles))
