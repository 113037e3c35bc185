# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of an inventory: the storage classes of the cluster have something to give."""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping

from ansible_collections.onprem.dify.plugins.module_utils.kubernetes_volumes import VARIABLE, problems
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import NOT_SET, SITE, Finding, Inventory, show
from ansible_collections.onprem.dify.plugins.module_utils.preflight_storage import FILE_SERVER, served
from ansible_collections.onprem.dify.plugins.module_utils.site import CLUSTER_GROUPS
from ansible_collections.onprem.dify.plugins.module_utils.storage import LOCAL, NFS

CHECKS = {
    "storage-class-default": "The default storage class of the cluster is one of those that it has",
    "storage-class-nfs": "The storage class for NFS has a file server",
    "storage-class-pins": "The driver of the storage class for NFS has images with digests",
    "storage-class-local": "The storage class for local disks has volumes, on hosts of the cluster",
    "storage-volume": "Each local volume has a name, a size and a place of its own",
}

# Their makers publish no digests.
DRIVER = ("csi-driver-nfs", "csi-node-driver-registrar", "csi-provisioner")
CLASSES, DEFAULT = "site_storage_classes", "site_default_storage_class"


def findings(inventory: Inventory) -> Iterator[Finding]:
    classes = inventory.setting(CLASSES)
    default = inventory.setting(DEFAULT)
    if default and default not in classes:
        wanted = f"one of {CLASSES}: {', '.join(map(str, classes))}" if classes else f"{CLASSES} with it, or nothing"
        yield Finding("storage-class-default", SITE, DEFAULT, show(default), wanted)
    if NFS in classes and not served(inventory, "files", NFS):
        yield Finding("storage-class-nfs", SITE, CLASSES, "with nfs, without a file server", FILE_SERVER)
    lacking = [name for name in DRIVER if not _images(inventory.setting("site_pins").get(name))]
    if NFS in classes and lacking:
        wanted = "images with digests, as `ansible-playbook playbooks/bundle_pins.yml` asks for them"
        yield Finding("storage-class-pins", SITE, "site_pins", f"without {', '.join(lacking)}", wanted)
    holders = [host for host, variables in inventory.hosts.items() if _volumes(variables)]
    if LOCAL in classes and not holders:
        wanted = "the volumes of at least one worker, as site_storage_classes has local"
        yield Finding("storage-class-local", SITE, VARIABLE, NOT_SET, wanted)
    for host in holders:
        yield from _of_host(inventory, host, LOCAL in classes)


def _of_host(inventory: Inventory, host: str, wished: bool) -> Iterator[Finding]:
    if not wished:
        yield Finding("storage-class-local", host, VARIABLE, "set", f"local in {CLASSES}, or no volumes")
    elif not any(host in inventory.members(group) for group in CLUSTER_GROUPS):
        wanted = "a variable of hosts in control_plane or workers, where pods run"
        yield Finding("storage-class-local", host, VARIABLE, "set", wanted)
    for problem in problems(_volumes(inventory.hosts[host])):
        yield Finding("storage-volume", host, problem.variable, show(problem.found), problem.wanted)


def _images(pin: Any) -> Any:
    return pin.get("images") if isinstance(pin, Mapping) else None


def _volumes(variables: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    given = variables.get(VARIABLE)
    return [entry for entry in given if isinstance(entry, Mapping)] if isinstance(given, (list, tuple)) else []
