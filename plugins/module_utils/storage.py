# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files of Dify and the backups are kept: in S3, on NFS or on a local disk. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Set

S3 = "s3"
NFS = "nfs"
LOCAL = "local"


class Purpose(NamedTuple):
    """What is stored: by the hosts of which group, and how the names of its keys in site_secrets begin for a tenant."""

    group: str
    secret: str


PURPOSES: Dict[str, Purpose] = {
    "uploads": Purpose("workers", "s3_{tenant}"),
    "plugins": Purpose("workers", "s3_{tenant}_plugin"),
    "backups": Purpose("backup", "s3_backup"),
}
VARIABLES: Dict[str, str] = {name: f"site_storage_{name}" for name in PURPOSES}


def stored_on(kind: str, entries: Sequence[Mapping[str, Any]], storage: Mapping[str, str]) -> List[Dict[str, Any]]:
    """The buckets or volumes that the site uses: those without a purpose, and those whose purpose is of this kind."""
    used = [entry for entry in entries if storage.get(entry.get("purpose", ""), kind) == kind]
    return [{key: value for key, value in entry.items() if key != "purpose"} for entry in used]


def secrets_elsewhere(storage: Mapping[str, str], tenants: Sequence[str]) -> Set[str]:
    """The keys of buckets that the site does not use, as what would be in them is stored elsewhere.

    `tenants`: as they stand in the names of secrets.
    """
    patterns = [purpose.secret for name, purpose in PURPOSES.items() if storage.get(name, S3) != S3]
    names = [pattern.format(tenant=tenant) for pattern in patterns for tenant in tenants]
    return {f"{name}_{part}_key" for name in names for part in ("access", "secret")}
