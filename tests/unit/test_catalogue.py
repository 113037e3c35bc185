"""The catalogue of controls as delivered: its form, and that it speaks of roles and variables that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.onprem.dify.plugins.module_utils.controls_schema import clauses, entry_faults

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "roles/verify/files/controls").glob("*.yml"))
CATALOGUE: dict[str, list[dict[str, Any]]] = {
    file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in FILES
}
ENTRIES = [entry for entries in CATALOGUE.values() for entry in entries]
# Where the variables of a subject stand that is not a role.
OWNERS = {"pins": "site"}
SUBJECTS = [
    "accounts",
    "audit",
    "control_plane",
    "endpoint",
    "etcd",
    "files",
    "firewall",
    "gateway",
    "kernel",
    "kubeadm",
    "mac",
    "mirror",
    "objects",
    "packages",
    "pins",
    "pki",
    "postgresql",
    "redis",
    "sshd",
    "time",
]

# How many recommendations each section has: CIS Debian Linux 12 1.1.0, CIS Red Hat Enterprise Linux 9 2.0.0,
# CIS Kubernetes 1.12, and the general requirements of level 3 in GB/T 22239-2019.
PARTITIONS = {"1.1.2.1": 4, "1.1.2.2": 4, "1.1.2.3": 3, "1.1.2.4": 3, "1.1.2.5": 4, "1.1.2.6": 4, "1.1.2.7": 4}
ACCESS = {"5.1": 22, "5.2": 7, "5.3.1": 3, "5.3.3.1": 3, "5.3.3.3": 3, "5.3.3.4": 4, "5.4.1": 6, "5.4.2": 8, "5.4.3": 3}
NETWORK = {"3.1": 3, "3.2": 4, "3.3": 11}
CRON = {"2.4.1": 8, "2.4.2": 1}
SECTIONS: dict[str, dict[str, int]] = {
    "cis_debian12": {
        **PARTITIONS,
        **ACCESS,
        **NETWORK,
        **CRON,
        **{"1.1.1": 10, "1.2.1": 2, "1.2.2": 1, "1.3.1": 4, "1.4": 2, "1.5": 3, "1.6": 6, "1.7": 10},
        **{"2.1": 22, "2.2": 6, "2.3.1": 1, "2.3.2": 2, "2.3.3": 3, "4.1": 1, "4.2": 7, "4.3": 10},
        **{"4.4.1": 3, "4.4.2": 4, "4.4.3": 4, "5.3.2": 4, "5.3.3.2": 8, "6.1.1": 4, "6.1.2": 4, "6.1.2.1": 4},
        **{"6.1.3": 8, "6.1.4": 1, "6.2.1": 4, "6.2.2": 4, "6.2.3": 21, "6.2.4": 10, "6.3": 3, "7.1": 13, "7.2": 10},
    },
    "cis_rhel9": {
        **PARTITIONS,
        **ACCESS,
        **NETWORK,
        **CRON,
        **{"1.1.1": 9, "1.2.1": 4, "1.2.2": 1, "1.3.1": 8, "1.4": 2, "1.5": 4, "1.6": 7, "1.7": 6, "1.8": 10},
        **{"2.1": 22, "2.2": 5, "2.3": 3, "4.1": 2, "4.2": 2, "4.3": 4, "5.3.2": 5, "5.3.3.2": 7, "6.1": 3},
        **{"6.2.1": 4, "6.2.2": 4, "6.2.2.1": 4, "6.2.3": 8, "6.2.4": 1, "6.3.1": 4, "6.3.2": 4, "6.3.3": 21},
        **{"6.3.4": 10, "7.1": 13, "7.2": 9},
    },
    "cis_kubernetes": {
        **{"1.1": 21, "1.2": 30, "1.3": 7, "1.4": 2, "2": 7, "3.1": 3, "3.2": 2, "4.1": 10, "4.2": 14, "4.3": 1},
    },
    "mlps3": {"8.1.2": 3, "8.1.3": 6, "8.1.4": 11, "8.1.5": 4, "8.1.10": 14},
}


def exists(clause: str, sections: dict[str, int]) -> bool:
    section, _dot, number = clause.split(" ")[0].rpartition(".")
    return 1 <= int(number) <= sections.get(section, 0)


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
    known = options(OWNERS.get(subject, subject))
    assert [entry["id"] for entry in CATALOGUE[subject] if entry["variable"] and entry["variable"] not in known] == []


def test_ids_are_unique() -> None:
    ids = [entry["id"] for entry in ENTRIES]
    assert sorted(ids) == sorted(set(ids))


def test_no_two_controls_that_apply_to_the_same_hosts_have_the_same_title() -> None:
    titles = [(entry["title"], tuple(entry.get("when", ()))) for entry in ENTRIES]
    assert sorted(titles) == sorted(set(titles))


@pytest.mark.parametrize("standard", SECTIONS)
def test_every_clause_exists_in_its_standard(standard: str) -> None:
    named = [(entry["id"], clause) for entry in ENTRIES for clause in clauses(entry, standard)]
    assert [(control, clause) for control, clause in named if not exists(clause, SECTIONS[standard])] == []
