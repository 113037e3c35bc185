# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deployments, Jobs, Services and budgets around the pods of one Dify. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from ansible_collections.onprem.dify.plugins.module_utils import dify_pods
from ansible_collections.onprem.dify.plugins.module_utils.dify_build import Build, digest
from ansible_collections.onprem.dify.plugins.module_utils.dify_release import ROUTER

Object = Dict[str, Any]


def services(build: Build) -> List[Object]:
    made = []
    by_address = {end for name in build.services for end in build.by_address(name)}
    for name, service in build.services.items():
        if "port" in service:
            spec = _ports(build, name, service["port"])
            if name in by_address:
                # Who knows no names needs an address that stays.
                spec["clusterIP"] = build.tenant["proxy_address"]
            made.append(_service(build, name, build.namespace(service), spec))
    spec = _ports(build, ROUTER, 443)
    spec["ports"][0]["nodePort"] = build.tenant["node_port"]
    # The policy of the router goes by the address of the gateway, which this leaves as it is.
    spec.update(type="NodePort", externalTrafficPolicy="Local")
    return [*made, _service(build, ROUTER, build.tenant["namespace"], spec)]


def _ports(build: Build, name: str, port: int) -> Dict[str, Any]:
    ports = [{"name": "main", "port": port, "targetPort": "main", "protocol": "TCP"}]
    return {"type": "ClusterIP", "selector": dify_pods.selector(build, name), "ports": ports}


def _service(build: Build, name: str, namespace: str, spec: Mapping[str, Any]) -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": build.meta(name, namespace, name), "spec": dict(spec)}


def job(build: Build, name: str, pod: Mapping[str, Any]) -> Object:
    """A Job cannot be changed, so that each release and each change of its settings has one of its own."""
    unique = f"{name}-{build.release['version'].replace('.', '-')}-{digest(pod)[:8]}"
    spec = {**pod["spec"], "restartPolicy": "Never"}
    template = {**pod, "spec": spec}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": build.meta(unique, service=name),
        # A migration that failed is looked at by a person.
        "spec": {"backoffLimit": 0, "activeDeadlineSeconds": 3600, "template": template},
    }


def deployment(build: Build, name: str, entry: Mapping[str, Any], pod: Mapping[str, Any]) -> Object:
    """`entry`: its service and its size."""
    service = build.services.get(entry["service"], {})
    labels = dify_pods.selector(build, name)
    template = {**pod, "spec": dict(pod["spec"])}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    spec: Dict[str, Any] = {
        "replicas": entry["size"]["replicas"],
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": 900,
        "strategy": {"type": "Recreate"} if service.get("single") else rolling,
        "selector": {"matchLabels": labels},
        "template": template,
    }
    if not service.get("single"):
        spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        template["spec"]["topologySpreadConstraints"] = [{**spread, "labelSelector": {"matchLabels": labels}}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": build.meta(name, build.namespace(service), entry["service"], name),
        "spec": spec,
    }


def budget(build: Build, name: str, entry: Mapping[str, Any]) -> Object:
    """One at a time may be taken away on purpose. That holds for single ones too, or no node could be emptied."""
    namespace = build.namespace(build.services.get(entry["service"], {}))
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": dify_pods.selector(build, name)}}
    metadata = build.meta(name, namespace, entry["service"], name)
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}
