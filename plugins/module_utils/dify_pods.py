# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pods of one Dify: what runs in them, as whom, with what, and how it is known to be well. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils import dify_facts, dify_proxy, dify_secrets, dify_settings
from ansible_collections.onprem.dify.plugins.module_utils.dify_build import PREFIX, Build, digest
from ansible_collections.onprem.dify.plugins.module_utils.dify_release import ROUTER, ROUTER_PORT
from ansible_collections.onprem.dify.plugins.module_utils.dify_volumes import CLAIMS

# Where a volume is mounted, and the volume.
Folder = Tuple[str, Dict[str, Any]]

CONFIGURATION = "/etc/onprem-dify/configuration"
AUTHORITIES_FOLDER = dify_facts.AUTHORITIES.rpartition("/")[0]
SCRATCH = "2Gi"
ROUTER_USER = 101
TLS = "router-tls"
TLS_FOLDER = "/etc/onprem-dify/tls"
# Starting takes long where all processors start something at once.
START_SECONDS = 600


def settings_map(family: str) -> str:
    """The ConfigMap with the settings of a family."""
    return f"settings-{family}"


def template(build: Build, name: str, entry: Mapping[str, Any], service: Mapping[str, Any]) -> Dict[str, Any]:
    """The pod of a service. `entry`: its size and its queues."""
    family = service.get("settings", "")
    image = build.release["images"][service["image"]]["reference"]
    folders = _folders(build, service)
    container = _container(entry["service"], image, entry["size"], folders, service)
    container.update(_environment(build, service, entry["queues"]))
    if service.get("proxy"):
        container["command"] = ["squid", "-N", "-f", f"{CONFIGURATION}/squid.conf"]
    marks: Dict[str, str] = {}
    if family:
        marks["settings"] = digest([build.family_settings(family), build.wishes.authorities])
        marks["secrets"] = build.checksums[family]
    elif service.get("proxy"):
        marks["settings"] = digest(dify_proxy.configuration(build, service["proxy"]))
    return _pod(build, name, container, folders, marks, service)


def router(build: Build, size: Mapping[str, Any], configuration: str) -> Dict[str, Any]:
    """The pod that lets the users in."""
    service = {"health": {"tcp": True}, "port": ROUTER_PORT, "user": ROUTER_USER}
    folders = [
        ("/tmp", {"name": "tmp", "emptyDir": {"sizeLimit": SCRATCH}}),
        (CONFIGURATION, {"name": "configuration", "configMap": {"name": ROUTER}}),
        (TLS_FOLDER, {"name": "tls", "secret": {"secretName": TLS}}),
    ]
    container = _container(ROUTER, build.wishes.router_image, size, folders, service)
    container["command"] = ["nginx", "-c", f"{CONFIGURATION}/nginx.conf", "-g", "daemon off;"]
    return _pod(build, ROUTER, container, folders, {"settings": digest(configuration)}, service)


def _container(
    name: str, image: str, size: Mapping[str, Any], folders: Sequence[Folder], service: Mapping[str, Any]
) -> Dict[str, Any]:
    found: Dict[str, Any] = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": _resources(size),
        "securityContext": _container_security(service),
        "volumeMounts": [_mount(volume, path) for path, volume in folders],
        **probes(service),
    }
    if "port" in service:
        found["ports"] = [{"name": "main", "containerPort": service["port"], "protocol": "TCP"}]
        # The endpoints of a service are a moment behind its pods.
        found["lifecycle"] = {"preStop": {"sleep": {"seconds": 5}}}
    return found


def _pod(
    build: Build,
    name: str,
    container: Mapping[str, Any],
    folders: Sequence[Folder],
    marks: Mapping[str, str],
    service: Mapping[str, Any],
) -> Dict[str, Any]:
    spec: Dict[str, Any] = {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _pod_security(service),
        "terminationGracePeriodSeconds": 300 if service.get("queues") else 60,
        "containers": [dict(container)],
        "volumes": [volume for _path, volume in folders],
    }
    if not service.get("dns", True):
        spec.update(dnsPolicy="None", dnsConfig={"nameservers": ["127.0.0.1"]})
    elif service.get("settings") and not service.get("isolated"):
        spec["hostAliases"] = build.aliases
    metadata: Dict[str, Any] = {"labels": build.labels(container["name"], name)}
    metadata["annotations"] = {f"onprem.dify/{mark}": value for mark, value in marks.items()}
    return {"metadata": metadata, "spec": spec}


def _environment(build: Build, service: Mapping[str, Any], queues: Sequence[str]) -> Dict[str, Any]:
    family = service.get("settings")
    own = dict(service.get("environment", {}))
    if queues:
        own["CELERY_WORKER_QUEUES"] = ",".join(queues)
    found: Dict[str, Any] = {}
    if family:
        found["envFrom"] = [{"configMapRef": {"name": settings_map(family)}}]
    entries: List[Dict[str, Any]] = [{"name": name, "value": value} for name, value in sorted(own.items())]
    for name, secret in dify_settings.secret_names(build.release, family, build.secrets) if family else ():
        reference = {"secretKeyRef": {"name": dify_secrets.OBJECT, "key": secret}}
        entries.append({"name": name, "valueFrom": reference})
    return {**found, "env": entries} if entries else found


def _folders(build: Build, service: Mapping[str, Any]) -> List[Folder]:
    """What is mounted where, with its volume."""
    claims = {
        service[claim]: claim
        for purpose, claim in CLAIMS.items()
        if claim in service and dify_facts.stored(build.site, purpose) != "s3"
    }
    found = [
        (path, {"name": _volume(path), "emptyDir": {"sizeLimit": SCRATCH}})
        for path in service.get("scratch", ())
        if path not in claims
    ]
    found += [(path, {"name": claim, "persistentVolumeClaim": {"claimName": claim}}) for path, claim in claims.items()]
    settings = build.family_settings(service["settings"]) if "settings" in service else {}
    if dify_facts.AUTHORITIES in settings.values():
        found.append((AUTHORITIES_FOLDER, {"name": "authorities", "configMap": {"name": "authorities"}}))
    if service.get("proxy"):
        found.append((CONFIGURATION, {"name": "configuration", "configMap": {"name": f"squid-{service['proxy']}"}}))
    return found


def _volume(path: str) -> str:
    return path.strip("/").replace("/", "-").replace(".", "-")


def _mount(volume: Mapping[str, Any], path: str) -> Dict[str, Any]:
    fixed = "configMap" in volume or "secret" in volume
    return {"name": volume["name"], "mountPath": path, **({"readOnly": True} if fixed else {})}


def _resources(size: Mapping[str, Any]) -> Dict[str, Any]:
    return {kind: {resource: str(value) for resource, value in size[kind].items()} for kind in ("requests", "limits")}


def _pod_security(service: Mapping[str, Any]) -> Dict[str, Any]:
    found: Dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if "root" in service:
        return {**found, "runAsUser": 0}
    number = service["user"]
    return {**found, "runAsNonRoot": True, "runAsUser": number, "runAsGroup": number, "fsGroup": number}


def _container_security(service: Mapping[str, Any]) -> Dict[str, Any]:
    capabilities: Dict[str, Any] = {"drop": ["ALL"]}
    if "root" in service:
        capabilities["add"] = list(service["root"]["capabilities"])
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": capabilities,
        "readOnlyRootFilesystem": not service.get("writes_root", False),
    }


def probes(service: Mapping[str, Any]) -> Dict[str, Any]:
    """Started, ready, alive: three questions of one kind, asked more or less often."""
    if service.get("job"):
        return {}
    health = service["health"]
    seconds = int(health.get("seconds", 5))
    # A command starts a whole Python, so it is asked less often.
    often = 60 if "command" in health else 10
    asked = {**_question(health), "timeoutSeconds": seconds}
    return {
        "startupProbe": {
            **asked,
            "periodSeconds": max(seconds, 10),
            "failureThreshold": START_SECONDS // max(seconds, 10),
        },
        "readinessProbe": {**asked, "periodSeconds": often, "failureThreshold": 3},
        "livenessProbe": {**asked, "periodSeconds": often * 2, "failureThreshold": 3},
    }


def _question(health: Mapping[str, Any]) -> Dict[str, Any]:
    if "command" in health:
        return {"exec": {"command": ["/bin/sh", "-c", health["command"]]}}
    if health.get("tcp"):
        return {"tcpSocket": {"port": "main"}}
    headers = [{"name": name, "value": value} for name, value in health.get("headers", {}).items()]
    return {"httpGet": {"path": health["http"], "port": "main", **({"httpHeaders": headers} if headers else {})}}


def selector(build: Build, name: str) -> Dict[str, str]:
    return {f"{PREFIX}/instance": build.tenant["name"], f"{PREFIX}/component": name}
