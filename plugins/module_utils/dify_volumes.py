# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The volumes of one Dify, where the site keeps its files on NFS or on the disk of its worker. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List

from ansible_collections.onprem.dify.plugins.module_utils.dify_build import Build, BuildError
from ansible_collections.onprem.dify.plugins.module_utils.dify_facts import stored
from ansible_collections.onprem.dify.plugins.module_utils.endpoints import members
from ansible_collections.onprem.dify.plugins.module_utils.storage import LOCAL, NFS

# The claim of each purpose, as `site_storage_*` names the purposes.
CLAIMS = {"uploads": "uploads", "plugins": "packages"}
# Kubernetes wants a number; the size of the volume itself is that of its file or disk.
CAPACITY = "1Gi"
LOCAL_DIRECTORY = "/var/lib/onprem-dify/dify"


def volumes(build: Build) -> List[Dict[str, Any]]:
    made: List[Dict[str, Any]] = []
    for purpose, claim in CLAIMS.items():
        kind = stored(build.site, purpose)
        if kind in (NFS, LOCAL):
            made += _volume(build, claim, _source(build, kind, build.tenant["buckets"][claim]))
    return made


def _source(build: Build, kind: str, name: str) -> Dict[str, Any]:
    if kind == NFS:
        servers = [host["address"] for host in members(build.site, "files")] or build.site["services"].get("nfs", [])
        if not servers:
            raise BuildError("site_services.nfs is not set and the group files has no hosts, wanted: a file server")
        directory = build.wishes.files_directory
        return {"nfs": {"server": servers[0], "path": f"{directory}/{name}"}, "mountOptions": ["nfsvers=4.2", "hard"]}
    workers = [host["name"] for host in members(build.site, "workers")]
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": workers}]}]
    return {
        "local": {"path": f"{LOCAL_DIRECTORY}/{name}"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
    }


def _volume(build: Build, claim: str, source: Dict[str, Any]) -> List[Dict[str, Any]]:
    name = f"{build.tenant['namespace']}-{claim}"
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeMode": "Filesystem"}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": build.labels()},
        "spec": {
            **common,
            "capacity": {"storage": CAPACITY},
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": build.tenant["namespace"], "name": claim},
            **source,
        },
    }
    wish = {**common, "volumeName": name, "resources": {"requests": {"storage": CAPACITY}}}
    claimed = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": build.meta(claim), "spec": wish}
    return [volume, claimed]
