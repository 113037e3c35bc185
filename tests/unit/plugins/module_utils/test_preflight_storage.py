"""What is stored has a place that all who use it reach. Beside the broken inventories: sites that leave groups out."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import Inventory
from ansible_collections.onprem.dify.plugins.module_utils.preflight_storage import findings

SPECS = Path(__file__).resolve().parents[4] / "roles/site/meta/argument_specs.yml"
KNOWN = yaml.safe_load(SPECS.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
GIVEN = {"site_services": {"s3": ["10.0.0.70"], "nfs": ["10.0.0.60"]}}
LOCAL = dict.fromkeys(("site_storage_uploads", "site_storage_plugins", "site_storage_backups"), "local")


def checks(groups: dict[str, list[str]], **variables: Any) -> list[str]:
    hosts = {host: variables for members in groups.values() for host in members}
    return [finding.check for finding in findings(Inventory(groups, hosts, KNOWN, [], datetime.date(2026, 11, 23)))]


@pytest.mark.parametrize("groups", [{"database": ["db1"]}, {"control_plane": ["cp1"], "objects": ["db1"]}])
def test_a_site_that_stores_nothing_needs_no_place(groups: dict[str, list[str]]) -> None:
    assert checks(groups) == []


def test_what_is_stored_needs_a_place_that_the_site_runs_or_is_given() -> None:
    assert checks({"workers": ["w1"], "backup": ["b1"]}) == ["storage-objects"]
    assert checks({"workers": ["w1"], "objects": ["o1"]}) == []
    assert checks({"workers": ["w1"], "backup": ["b1"]}, **GIVEN) == []
    assert checks({"workers": ["w1"], "files": ["f1"]}, site_storage_uploads="nfs") == ["storage-objects"]
    assert checks({"workers": ["w1"], "objects": ["o1"]}, site_storage_uploads="nfs") == ["storage-files"]
    assert checks({"workers": ["w1", "w2"]}, **GIVEN, site_storage_plugins="nfs") == []


def test_one_worker_may_use_its_own_disk() -> None:
    assert checks({"workers": ["w1"]}, **LOCAL) == []
    assert checks({"workers": ["w1", "w2"]}, **LOCAL) == ["storage-local"]


def test_backups_lie_on_no_host_that_is_backed_up() -> None:
    assert checks({"backup": ["b1"], "database": ["d1"], "objects": ["o1"]}, **LOCAL) == []
    assert checks({"backup": ["one"], "database": ["one"]}, **LOCAL) == ["storage-backups"]
    assert checks({"backup": ["b1"], "objects": ["o1"]}, **GIVEN) == ["storage-backups"]
