# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundled object store: which process runs where and how, and what would endanger its data. No Ansible, no I/O."""

from __future__ import annotations

import re
import shlex
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

CONFIGURATION = "/etc/seaweedfs"
DATA = "/var/lib/seaweedfs"

MASTER = 9333
VOLUME = 8080
FILER = 8888
S3 = 8333
# On loopback: they speak without TLS. HAProxy gives them to the network.
METRICS = {"s3": 9324, "filer": 9325, "volume": 9326, "master": 9327}


class StoreError(Exception):
    """The site cannot run the store like this; the text is for the user."""


def masters(objects: Sequence[str], witnesses: Sequence[str]) -> List[str]:
    """The hosts that vote on who leads: one, or three."""
    ordered = sorted(objects)
    if len(ordered) < 2:
        return list(ordered)
    third = [host for host in [*sorted(witnesses), *ordered[2:]] if host not in ordered[:2]][:1]
    if not third:
        raise StoreError(
            f"group objects: found two hosts ({', '.join(ordered)}) and no witness, of which neither could lead alone. "
            "Wanted: a host in group witness, or a third one in group objects"
        )
    return [*ordered[:2], *third]


def copies(replication: str) -> int:
    return 1 + sum(map(int, replication))


def default_replication(objects: Sequence[str]) -> str:
    """Two copies on two hosts, each of which is a rack of its own, where there are two hosts."""
    return "010" if len(objects) > 1 else "000"


def plan(site: Mapping[str, Any], host: str, settings: Mapping[str, Any]) -> Dict[str, Any]:
    """What this host runs, as plain data: ``members``, and the command of each process in the order of their start."""
    addresses = {name: data["address"] for name, data in site["hosts"].items()}
    objects = sorted(name for name, data in site["hosts"].items() if "objects" in data["groups"])
    witnesses = sorted(name for name, data in site["hosts"].items() if "witness" in data["groups"])
    leaders = masters(objects, witnesses)
    replication = settings["replication"] or default_replication(objects)
    _check_replication(replication, objects, settings["racks"])
    own = addresses[host]
    master_list = ",".join(f"{addresses[name]}:{MASTER}" for name in leaders)
    # The filer of the same host first.
    others = [name for name in objects if name != host]
    filers = ",".join(f"{addresses[name]}:{FILER}" for name in ([host] if host in objects else []) + others)
    here = {"ip": own, "ip.bind": own}
    processes: Dict[str, Dict[str, Any]] = {}
    if host in leaders:
        processes["master"] = {
            **here,
            "port": MASTER,
            "mdir": f"{settings['data']}/master",
            "peers": master_list if len(leaders) > 1 else "none",
            "defaultReplication": replication,
            "volumeSizeLimitMB": settings["volume_size"],
            "electionTimeout": "3s",
            "telemetry": "false",
        }
    if host in objects:
        processes["volume"] = {
            **here,
            "port": VOLUME,
            "dir": f"{settings['data']}/volume",
            "max": 0,
            "minFreeSpace": settings["free_space"],
            "master": master_list,
            "dataCenter": site["name"],
            "rack": settings["racks"].get(host, host),
            "preStopSeconds": 3,
        }
        processes["filer"] = {
            **here,
            "port": FILER,
            # No rack: it would ask for all copies there.
            "master": master_list,
            "dataCenter": site["name"],
            "defaultReplicaPlacement": replication,
            "defaultStoreDir": f"{settings['data']}/filer",
            "exposeDirectoryData": "false",
            "ui.deleteDir": "false",
        }
        processes["s3"] = {
            "ip.bind": own,
            "port": S3,
            "filer": filers,
            "dataCenter": site["name"],
            "cert.file": f"{settings['certificates']}/tls.crt",
            "key.file": f"{settings['certificates']}/tls.key",
            "config": f"{CONFIGURATION}/s3.json",
            "autoCreateBucket": "false",
            "iam": "false",
            "port.iceberg": 0,
            "port.lance": 0,
        }
    return {
        "masters": leaders,
        "objects": objects,
        "names": [f"{name}.{site['domain']}" for name in sorted({*leaders, *objects})],
        "replication": replication,
        "processes": {name: _command(settings["program"], name, options) for name, options in processes.items()},
        "gateway": [
            *_program(settings["program"]),
            "s3",
            *(f"-{name}={value}" for name, value in processes["s3"].items() if name in _OF_A_GATEWAY),
        ]
        if "s3" in processes
        else [],
        "lifecycle": f"{own if host in objects else addresses[objects[0]]}:{S3 + 10000}" if objects else "",
    }


# The listener and the users of a gateway for the moment are its own.
_OF_A_GATEWAY = ("filer", "dataCenter", "autoCreateBucket", "iam", "port.iceberg", "port.lance")


def _program(path: str) -> List[str]:
    return [path, "-logtostderr=true", f"-config_dir={CONFIGURATION}"]


def _command(path: str, process: str, options: Mapping[str, Any]) -> str:
    full = {**options, "metricsIp": "127.0.0.1", "metricsPort": METRICS[process]}
    return " ".join([*_program(path), process, *(f"-{name}={value}" for name, value in full.items())])


def _check_replication(replication: str, objects: Sequence[str], racks: Mapping[str, str]) -> None:
    if not re.fullmatch(r"[0-2]{3}", replication):
        raise StoreError(f"objects_replication: found {replication}, wanted three digits such as 010")
    if copies(replication) > max(len(objects), 1):
        raise StoreError(
            f"objects_replication: found {replication}, which keeps {copies(replication)} copies on {len(objects)} "
            "hosts of group objects. Wanted: no more copies than hosts"
        )
    named = {racks.get(host, host) for host in objects}
    if int(replication[1]) >= len(named) and replication[1] != "0":
        raise StoreError(
            f"objects_replication: found {replication}, which needs {int(replication[1]) + 1} racks, and "
            f"{len(named)} in objects_racks. Wanted: more racks, or 001 for another host of the same rack"
        )


def identities(
    buckets: Sequence[Mapping[str, Any]], known: Optional[Mapping[str, Any]] = None, retire: bool = False
) -> Dict[str, Any]:
    """The users of the gateways: each may do with its own buckets what an application does, and nothing else.

    `known`: what a gateway has now. Keys that are replaced stay valid behind the new ones, and users whose bucket is no
    longer listed stay, until `retire`: their objects are still there.
    """
    users: Dict[str, Dict[str, Any]] = {}
    for bucket in buckets:
        name = bucket.get("user") or bucket["name"]
        user = users.setdefault(
            name,
            {
                "name": name,
                "credentials": [{"accessKey": bucket["access_key"], "secretKey": bucket["secret_key"]}],
                "actions": [],
            },
        )
        if user["credentials"][0] != {"accessKey": bucket["access_key"], "secretKey": bucket["secret_key"]}:
            raise StoreError(
                f"objects_buckets: user {name} has two pairs of keys. Wanted: the same for all its buckets"
            )
        user["actions"] += [f"{action}:{bucket['name']}" for action in ("Read", "Write", "List", "Tagging")]
        if bucket.get("object_lock"):
            user["actions"] += [
                f"{action}:{bucket['name']}"
                for action in ("GetBucketObjectLockConfiguration", "GetObjectRetention", "PutObjectRetention")
            ]
    before = {user["name"]: dict(user) for user in (known or {}).get("identities", [])}
    if not retire:
        for name, user in users.items():
            user["credentials"] += _replaced(user["credentials"][0], before.get(name, {}).get("credentials", []))
        users = {**_unlisted(before, users), **users}
    # A gateway that knows no users asks nobody for keys.
    if not users:
        raise StoreError(
            "objects_buckets: found no bucket that the site uses. Wanted: one, or no hosts in group objects, as what "
            "site_storage_* keep elsewhere needs no store"
        )
    return {"identities": [users[name] for name in sorted(users)]}


def _unlisted(
    before: Mapping[str, Dict[str, Any]], users: Mapping[str, Mapping[str, Any]]
) -> Dict[str, Dict[str, Any]]:
    """The users of before whose buckets left the list, unless another user has their keys now."""
    taken = {pair["accessKey"] for user in users.values() for pair in user["credentials"]}
    return {
        name: user for name, user in before.items() if not any(p["accessKey"] in taken for p in user["credentials"])
    }


def _replaced(new: Mapping[str, str], before: Sequence[Mapping[str, str]]) -> List[Dict[str, str]]:
    """The pair of keys that was valid before this one. A pair with the same access key would not be looked at."""
    other = [dict(pair) for pair in before if pair["accessKey"] != new["accessKey"]]
    return other[:1]


# Guard rails


class Found(NamedTuple):
    """What an earlier run left on the host: unit files by process, and how the filer keeps metadata."""

    units: Mapping[str, str]
    filer: str


def options_of(unit: str) -> Dict[str, str]:
    """The options in the command of a unit file."""
    match = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    words = shlex.split(match.group(1)) if match else []
    pairs = (word[1:].partition("=") for word in words if word.startswith("-"))
    return {name: value for name, _equals, value in pairs}


def refusals(
    found: Found, host: str, data: str, replication: str, metadata: str, less_safety: bool, has_data: bool
) -> List[str]:
    """Why this run must not go on, each with host, variable, found and wanted."""
    problems = []
    volume = options_of(found.units.get("volume", ""))
    before = volume.get("dir", "")
    if has_data and before and before != f"{data}/volume":
        problems.append(
            f"host {host}: objects_data_directory: found data in {before}, wanted {data}/volume. "
            "Data is not moved by a run: stop seaweedfs-volume, move the directory, leave a link at the old place or "
            "change the variable back"
        )
    kept = options_of(found.units.get("filer", "")).get("defaultReplicaPlacement", "")
    if has_data and kept and lowers(kept, replication) and not less_safety:
        problems.append(
            f"host {host}: objects_replication: found {kept}, wanted {replication}, which is less safe. "
            "Set objects_allow_less_safety: true for this run if that is meant"
        )
    kind = metadata_of(found.filer)
    if has_data and kind and kind != metadata:
        problems.append(
            f"host {host}: objects_metadata: found {kind}, wanted {metadata}. The new place knows none of the objects; "
            "export them first (weed shell: fs.meta.save), and remove the old volumes"
        )
    return problems


def lowers(before: str, after: str) -> bool:
    """Whether fewer copies are kept, or closer to each other."""
    if not re.fullmatch(r"[0-2]{3}", before):
        return False
    if copies(after) != copies(before):
        return copies(after) < copies(before)
    return after < before


def metadata_of(filer: str) -> str:
    if "[postgres2]" in filer:
        return "postgresql"
    return "local" if "[leveldb2]" in filer else ""
