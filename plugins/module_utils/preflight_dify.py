# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of an inventory: the tenants of Dify, their settings, who may do what."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import dify_rights, dify_settings, dify_tenants, gateway
from ansible_collections.onprem.dify.plugins.module_utils.dify_release import PIN, Release, queue_faults
from ansible_collections.onprem.dify.plugins.module_utils.firewall import POD_ENDS
from ansible_collections.onprem.dify.plugins.module_utils.preflight_kubernetes import version
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import SITE, Finding, Inventory, show

CHECKS = {
    "dify-release": "The release of Dify is one that the collection knows",
    "dify-setting": "Settings of Dify are known to its release, and are a tenant's to decide",
    "dify-queue": "Each queue of Dify is read by a group of workers",
    "role-template": "Roles of tenants have rights that exist, and do not inherit from themselves",
    "tenant-name": "Every tenant has a name that serves as one of databases and namespaces",
    "tenant-namespace": "Every tenant has a namespace that is valid, and no other's",
    "tenant-hostname": "Every tenant has a full host name, and none of the site's endpoints",
    "tenant-number": "Every tenant has a number for which Redis has databases",
    "tenant-store": "Databases and buckets of tenants have valid names, and none of the site's",
    "tenant-quota": "Quotas of tenants are quantities of Kubernetes",
    "tenant-flow": "A flow leads to the port of every tenant",
    "tenant-groups": "Groups of tenants have roles that exist",
    "tenant-duplicate": "No two tenants share a name, a number, a host name, a namespace, a database or a bucket",
    gateway.CHECK: "Limits of the gateway are whole numbers, and that of a tenant is no smaller than that of a client",
}


def findings(inventory: Inventory) -> Iterator[Finding]:
    if inventory.members("gateway"):
        yield from _told("", gateway.limit_faults({name: inventory.setting(name) for name in gateway.LIMITS}))
    if not inventory.members("workers"):
        return
    tenants = inventory.setting("dify_tenants")
    if not isinstance(tenants, (list, tuple)):
        return
    redis = inventory.setting("redis_databases")
    databases = int(redis) if str(redis).isdigit() else 16
    yield from _told("dify_tenants", dify_tenants.faults(tenants, str(inventory.setting("site_domain")), databases))
    yield from _ways_in(inventory, tenants)
    templates = inventory.setting("dify_role_templates")
    if isinstance(templates, Mapping) and all(isinstance(template, Mapping) for template in templates.values()):
        for fault in dify_rights.faults(templates, tenants):
            variable = "dify_role_templates" if fault.check == "role-template" else "dify_tenants"
            yield from _told(variable, [fault])
    yield from _of_release(inventory, [tenant for tenant in tenants if isinstance(tenant, Mapping)])


def _ways_in(inventory: Inventory, tenants: Sequence[Any]) -> Iterator[Finding]:
    flows = [*inventory.flows, *inventory.setting("site_extra_flows")]
    open_ports = [str(flow.get("port")) for flow in flows if isinstance(flow, Mapping) and flow.get("to") in POD_ENDS]
    for index, tenant in enumerate(tenants):
        number = str(tenant.get("number") or 1) if isinstance(tenant, Mapping) else ""
        if number.isdigit() and str(dify_tenants.node_port(int(number))) not in open_ports:
            port = dify_tenants.node_port(int(number))
            wanted = f"a flow from gateway to workers with port {port} in site_extra_flows"
            yield Finding("tenant-flow", SITE, f"dify_tenants[{index}].number", number, wanted)


def _of_release(inventory: Inventory, tenants: List[Mapping[str, Any]]) -> Iterator[Finding]:
    release = inventory.releases.get(version(inventory, PIN))
    if release is None:
        known = ", ".join(sorted(inventory.releases))
        yield Finding("dify-release", SITE, f"site_pins.{PIN}.version", version(inventory, PIN), f"one of {known}")
        return
    wishes: Dict[str, Any] = {"dify_settings": inventory.setting("dify_settings")}
    workers: Dict[str, Any] = {"dify_workers": inventory.setting("dify_workers")}
    for number, tenant in enumerate(tenants):
        wishes[f"dify_tenants[{number}].settings"] = tenant.get("settings")
        workers[f"dify_tenants[{number}].workers"] = tenant.get("workers")
    for variable, settings in wishes.items():
        yield from _told(variable, dify_settings.faults(release, settings))
    for variable, groups in workers.items():
        yield from _queues(release, variable, groups)


def _queues(release: Release, variable: str, groups: Any) -> Iterator[Finding]:
    if not isinstance(groups, Mapping) or not groups:
        return
    queues = {
        group: list(wish["queues"])
        if isinstance(wish, Mapping) and isinstance(wish.get("queues"), (list, tuple))
        else []
        for group, wish in groups.items()
    }
    for line in queue_faults(release, queues):
        found, _comma, wanted = line.partition(", wanted: ")
        yield Finding("dify-queue", SITE, variable, f"wrong: {found}", wanted)


def _told(variable: str, faults: Any) -> Iterator[Finding]:
    for fault in faults:
        yield Finding(fault.check, SITE, f"{variable}{fault.place}", show(fault.found), fault.wanted)
