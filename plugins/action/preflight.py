# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the inventory, or what the hosts said, and say everything that is wrong with it at once."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleAction, AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.onprem.dify.plugins.module_utils.preflight import check_hosts, check_inventory
from ansible_collections.onprem.dify.plugins.module_utils.preflight_hosts import Hosts, findings
from ansible_collections.onprem.dify.plugins.module_utils.preflight_kubernetes import version
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import Inventory
from ansible_collections.onprem.dify.plugins.module_utils.site_secrets import SECRETS_FILE
from ansible_collections.onprem.dify.plugins.plugin_utils import collection_files
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

display = Display()

ROLES = Path(__file__).resolve().parents[2] / "roles"
VAULT_HEADER = b"$ANSIBLE_VAULT;"
# The variables that must make sense before any host has been asked; others may use facts in their templates.
WITHOUT_FACTS = ("site_", "preflight_", "ansible_host")


class ActionModule(ActionBase):
    """Runs on the controller; hosts may be down."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result["changed"] = False
        inventory = self._inventory(task_vars or {})
        if "hosts" in self._task.args:
            report = check_hosts(inventory, list(findings(self._hosts(inventory))))
        else:
            report = check_inventory(inventory)
        for line in report.waivers:
            display.display(line, color=constants.COLOR_WARN)
        if not report.passed:
            # Ansible prints the error as it is, and the result as data: the list stands in the error only.
            lines = [report.headline, *(f"  {finding}" for finding in report.findings)]
            raise AnsibleAction(
                "\n".join(lines), result={**result, "failed": True, "msg": f"{report.headline}. Listed above."}
            )
        display.display(report.headline, color=constants.COLOR_OK)
        return result

    def _hosts(self, inventory: Inventory) -> Hosts:
        args = self._task.args
        told = {name: variables.get("mirror_registry_install") for name, variables in inventory.hosts.items()}
        try:
            return Hosts(
                args["site"],
                args["hosts"],
                args["minimums"],
                float(args["max_clock_skew"]),
                version(inventory, "kubelet"),
                {name: str(way) for name, way in told.items() if way},
                collection_files.bundle()["distribution"]["package_names"],
            )
        except KeyError as error:
            raise AnsibleActionFail(f"missing option: {error}") from error

    def _inventory(self, task_vars: Mapping[str, Any]) -> Inventory:
        groups = {group: list(members) for group, members in task_vars["groups"].items()}
        known = _known_variables()
        hosts: dict[str, dict[str, Any]] = {}
        broken: dict[str, dict[str, str]] = {}
        for host in groups.get("all", []):
            hosts[host], broken[host] = _variables(task_vars["hostvars"][host], known)
        return Inventory(
            groups=groups,
            hosts=hosts,
            known=known,
            flows=collection_files.read(ROLES / "site/defaults/main/flows.yml")["site_flows"],
            today=datetime.date.today(),
            broken=broken,
            plain_secret_files=_plain_secret_files(task_vars["hostvars"], groups.get("all", [])),
            pins={name: str(pin["version"]) for name, pin in collection_files.bundle().items()},
            releases=collection_files.releases(),
        )


def _known_variables() -> dict[str, Any]:
    """Every public variable of every role, from the argument specifications."""
    known: dict[str, Any] = {}
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        for entry_point in collection_files.read(path)["argument_specs"].values():
            known.update(entry_point.get("options") or {})
    return known


def _variables(source: Mapping[str, Any], known: Iterable[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The variables of one host that the checks look at, and those whose templates do not work."""
    values: dict[str, Any] = {}
    broken: dict[str, str] = {}
    for name in source:
        wanted = name in known or name.startswith(WITHOUT_FACTS)
        try:
            # Of the user's other variables only the name counts, as it may be a misspelt one.
            values[name] = plain(source[name]) if wanted else None
        except AnsibleError as error:
            if name.startswith(WITHOUT_FACTS):
                broken[name] = str(error.message)
    return values, broken


def _plain_secret_files(hostvars: Mapping[str, Any], hosts: Iterable[str]) -> list[str]:
    folders = {str(hostvars[host].get("inventory_dir")) for host in hosts}
    files = sorted(Path(folder) / SECRETS_FILE for folder in folders)
    return [SECRETS_FILE for file in files if file.is_file() and not file.read_bytes().startswith(VAULT_HEADER)]
