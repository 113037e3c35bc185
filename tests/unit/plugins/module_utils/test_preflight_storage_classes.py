"""Storage classes have something to give. Beside the broken inventories: sites in which all is right."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import Inventory
from ansible_collections.onprem.dify.plugins.module_utils.preflight_storage_classes import DRIVER, findings

SPECS = Path(__file__).resolve().parents[4] / "roles/site/meta/argument_specs.yml"
KNOWN = yaml.safe_load(SPECS.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
GROUPS = {"control_plane": ["cp1"], "workers": ["w1"], "files": ["f1"]}
PINNED = {"site_pins": {name: {"images": [{}]} for name in DRIVER}}
VOLUMES = {"storage_local_volumes": [{"name": "data", "size": "50Gi"}]}


def checks(site: dict[str, Any], own: dict[str, dict[str, Any]], groups: dict[str, list[str]] = GROUPS) -> list[str]:
    hosts = {host: {**site, **own.get(host, {})} for members in groups.values() for host in members}
    return [finding.check for finding in findings(Inventory(groups, hosts, KNOWN, [], datetime.date(2026, 11, 23)))]


def test_a_site_without_classes_needs_nothing() -> None:
    assert checks({}, {}) == []


@pytest.mark.parametrize("default", ["", "local", "nfs"])
def test_a_site_with_both_classes_may_make_one_the_default(default: str) -> None:
    site = {"site_storage_classes": ["local", "nfs"], "site_default_storage_class": default, **PINNED}
    assert checks(site, {"w1": VOLUMES}) == []


def test_a_filer_of_the_site_takes_the_place_of_the_group() -> None:
    groups = {"control_plane": ["cp1"], "workers": ["w1"]}
    site = {"site_storage_classes": ["nfs"], **PINNED}
    assert checks(site, {}, groups) == ["storage-class-nfs"]
    assert checks({**site, "site_services": {"nfs": ["10.0.0.60"]}}, {}, groups) == []


def test_the_driver_is_pinned_by_the_site() -> None:
    assert checks({"site_storage_classes": ["nfs"]}, {}) == ["storage-class-pins"]


def test_volumes_of_another_type_are_left_to_the_check_of_types() -> None:
    assert checks({"site_storage_classes": ["local"]}, {"w1": {"storage_local_volumes": "data"}}) == [
        "storage-class-local"
    ]
    assert checks({"site_storage_classes": ["local"]}, {"w1": {"storage_local_volumes": ["data"]}}) == [
        "storage-class-local"
    ]
