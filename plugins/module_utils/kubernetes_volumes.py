# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of pods that the inventory declares, each on the disk of one node. No Ansible, no I/O."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence

from ansible_collections.onprem.dify.plugins.module_utils.storage import LOCAL

# The variable of a host that lists its volumes.
VARIABLE = "storage_local_volumes"
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")
SIZE = re.compile(r"[1-9]\d*(Mi|Gi|Ti)")


class Problem(NamedTuple):
    variable: str
    found: str
    wanted: str


def problems(volumes: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """What is wrong with the volumes of a host. Whatever is of another type is said elsewhere."""
    names: Dict[str, int] = {}
    paths: Dict[str, int] = {}
    for number, volume in enumerate(volumes):
        variable, name, path = f"{VARIABLE}[{number}]", str(volume.get("name", "")), volume.get("path")
        if name and not NAME.fullmatch(name):
            yield Problem(f"{variable}.name", name, "a short name of a-z, 0-9 and -")
        elif name in names:
            yield Problem(f"{variable}.name", f"{name}, as of [{names[name]}]", "a name of its own")
        names.setdefault(name, number)
        if "size" in volume and not SIZE.fullmatch(str(volume["size"])):
            yield Problem(f"{variable}.size", str(volume["size"]), "a size such as 50Gi")
        if path is None:
            continue
        place = str(path).rstrip("/")
        if not place.startswith("/") or ".." in place.split("/"):
            yield Problem(f"{variable}.path", str(path), "an absolute path below the root of the host")
        elif place in paths:
            yield Problem(f"{variable}.path", f"{path}, as of [{paths[place]}]", "a path of its own")
        paths.setdefault(place, number)


def place(volume: Mapping[str, Any], directory: str) -> str:
    """Where a volume lies: in the place that the site has for it, or in a directory of its name."""
    return str(volume.get("path") or f"{directory}/{volume['name']}")


def persistent_volumes(volumes: Mapping[str, Sequence[Mapping[str, Any]]], directory: str) -> List[Dict[str, Any]]:
    """The volumes of all hosts as Kubernetes knows them, bound to their nodes."""
    return [
        _persistent_volume(host, volume, place(volume, directory))
        for host, members in sorted(volumes.items())
        for volume in members
    ]


def _persistent_volume(host: str, volume: Mapping[str, Any], path: str) -> Dict[str, Any]:
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{LOCAL}-{host}-{volume['name']}"},
        "spec": {
            "storageClassName": LOCAL,
            "capacity": {"storage": str(volume["size"])},
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }
