# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of an inventory: what is stored has a place that all who use it reach, and backups a place of their own."""

from __future__ import annotations

from typing import Iterator, List

from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import SITE, Finding, Inventory
from ansible_collections.onprem.dify.plugins.module_utils.storage import LOCAL, NFS, PURPOSES, S3, VARIABLES

CHECKS = {
    "storage-objects": "What is stored in S3 has a store",
    "storage-files": "What is stored on NFS has a file server",
    "storage-local": "What is stored on the disk of a worker is used by one worker only",
    "storage-backups": "Backups do not lie where the data lies that they are of",
}

BACKUPS = VARIABLES["backups"]
BACKED_UP = ("control_plane", "database", "objects", "files")

FILE_SERVER = "a host in group files or the site's own filer in site_services.nfs"


def findings(inventory: Inventory) -> Iterator[Finding]:
    on_s3 = _stored(inventory, S3)
    if on_s3 and not served(inventory, "objects", S3):
        wanted = "a host in group objects or the site's own store in site_services.s3"
        yield Finding("storage-objects", SITE, ", ".join(on_s3), "s3, without a store", wanted)
    on_nfs = _stored(inventory, NFS)
    if on_nfs and not served(inventory, "files", NFS):
        yield Finding("storage-files", SITE, ", ".join(on_nfs), "nfs, without a file server", FILE_SERVER)
    workers = len(inventory.members("workers"))
    on_disk = [variable for variable in _stored(inventory, LOCAL) if variable != BACKUPS]
    if on_disk and workers > 1:
        found = f"local, with {workers} workers"
        yield Finding("storage-local", SITE, ", ".join(on_disk), found, "s3 or nfs, which each of them reaches")
    yield from _backups(inventory)


def served(inventory: Inventory, group: str, service: str) -> bool:
    """Whether a group of the site, or a service that the site gives, stores this kind."""
    return bool(inventory.members(group) or inventory.setting("site_services").get(service))


def _stored(inventory: Inventory, kind: str) -> List[str]:
    """The variables that choose this kind, for what the groups of the site use."""
    return [
        VARIABLES[name]
        for name, purpose in PURPOSES.items()
        if inventory.members(purpose.group)
        and inventory.setting(VARIABLES[name]) == kind
        and kind in inventory.known[VARIABLES[name]]["choices"]
    ]


def _backups(inventory: Inventory) -> Iterator[Finding]:
    keepers = inventory.members("backup")
    if BACKUPS in _stored(inventory, S3) and inventory.members("objects"):
        wanted = f"local, the disk of {keepers[0]}, or no group objects and the site's own store in site_services.s3"
        yield Finding("storage-backups", SITE, BACKUPS, "s3, in the bundled store, which is backed up itself", wanted)
    held = [host for host in keepers if any(host in inventory.members(group) for group in BACKED_UP)]
    if BACKUPS in _stored(inventory, LOCAL) and held:
        found = f"local, on {', '.join(held)}, which is backed up itself"
        wanted = "s3, in the site's own store in site_services.s3, or another host in group backup"
        yield Finding("storage-backups", SITE, BACKUPS, found, wanted)
