"""Every broken inventory gets its one clear message, read by Ansible as a real run reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from unit.inventories import overlay

from ansible_collections.onprem.dify.plugins.action.preflight import ActionModule
from ansible_collections.onprem.dify.plugins.module_utils.preflight import Report, check_inventory


def report_of(folder: Path) -> Report:
    loader = DataLoader()
    loader.set_vault_secrets(overlay.vault().secrets)
    inventory = InventoryManager(loader=loader, sources=[str(folder)])
    hostvars = HostVars(inventory, VariableManager(loader, inventory), loader)
    action = ActionModule(None, None, None, loader, None, None)
    return check_inventory(action._inventory({"groups": inventory.get_groups_dict(), "hostvars": hostvars}))


@pytest.mark.parametrize("case", overlay.cases(), ids=lambda case: case["name"])
def test_broken_inventory_gets_its_one_message(case: overlay.Case, tmp_path: Path) -> None:
    overlay.write(case, tmp_path)
    assert [str(finding) for finding in report_of(tmp_path).findings] == [case["finding"].strip()]


def test_a_site_that_keeps_its_files_on_nfs_needs_no_store_and_no_keys(tmp_path: Path) -> None:
    files = {"hosts": {"files1": {"ansible_host": "10.20.3.41"}}}
    variables = {"site_endpoints": {"s3": None}, "site_storage_uploads": "nfs", "site_storage_plugins": "nfs"}
    overlay.write({"hosts": {"data": {"children": {"objects": None, "files": files}}}, "vars": variables}, tmp_path)
    assert report_of(tmp_path).findings == []


def test_example_inventory_with_its_secrets_has_no_findings(tmp_path: Path) -> None:
    overlay.write({}, tmp_path)
    assert report_of(tmp_path).findings == []
