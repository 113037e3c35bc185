# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubernetes objects of one Dify, in the order in which they are applied. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import (
    dify_pods,
    dify_policies,
    dify_proxy,
    dify_quota,
    dify_rights,
    dify_router,
    dify_volumes,
    dify_workloads,
)
from ansible_collections.onprem.dify.plugins.module_utils.dify_build import Build
from ansible_collections.onprem.dify.plugins.module_utils.dify_release import ROUTER

Object = Dict[str, Any]

SECURITY = "pod-security.kubernetes.io"


def manifests(build: Build) -> Dict[str, List[Object]]:
    """`foundation` is there before a pod, `migration` is done before `workloads`, which run before `way_in` lets in."""
    configuration = dify_router.configuration(build)
    deployments = build.deployments()
    pods = {
        name: dify_pods.template(build, name, entry, build.services[entry["service"]])
        for name, entry in deployments.items()
    }
    deployments[ROUTER] = {"service": ROUTER, "size": build.size(ROUTER)}
    pods[ROUTER] = dify_pods.router(build, deployments[ROUTER]["size"], configuration)
    jobs = {
        name: dify_pods.template(build, name, {"service": name, "size": build.size(name), "queues": []}, service)
        for name, service in build.services.items()
        if service.get("job")
    }
    return {
        "foundation": [
            *_namespaces(build),
            *dify_quota.quotas(build),
            *dify_policies.policies(build),
            *_accounts(build, [*pods, *jobs]),
            *_rights(build),
            *_settings(build),
            *_configurations(build, configuration),
            *dify_volumes.volumes(build),
            *dify_workloads.services(build),
        ],
        "migration": [dify_workloads.job(build, name, pod) for name, pod in jobs.items()],
        "workloads": [
            made
            for name, entry in deployments.items()
            if name != ROUTER
            for made in _workload(build, name, entry, pods)
        ],
        "way_in": _workload(build, ROUTER, deployments[ROUTER], pods),
    }


def _workload(build: Build, name: str, entry: Mapping[str, Any], pods: Mapping[str, Object]) -> List[Object]:
    return [dify_workloads.deployment(build, name, entry, pods[name]), dify_workloads.budget(build, name, entry)]


def _namespaces(build: Build) -> List[Object]:
    """`baseline` forbids all that leads to the host, and lets the sandboxes be root in their container."""
    made = []
    main, sandbox = build.namespaces
    for namespace, enforced in ((main, "restricted"), (sandbox, "baseline")):
        labels = build.labels()
        for mode, level in (("enforce", enforced), ("audit", "restricted"), ("warn", enforced)):
            labels[f"{SECURITY}/{mode}"] = level
            labels[f"{SECURITY}/{mode}-version"] = _minor(build.wishes.kubernetes_version)
        made.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    return made


def _minor(version: str) -> str:
    return "v" + ".".join(version.split(".")[:2])


def _accounts(build: Build, names: Sequence[str]) -> List[Object]:
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": build.meta(name, _namespace_of(build, name)),
            "automountServiceAccountToken": False,
        }
        for name in names
    ]


def _namespace_of(build: Build, name: str) -> str:
    return build.namespace(build.services.get(name, {}))


def _rights(build: Build) -> List[Object]:
    return dify_rights.objects(build.wishes.templates, build.tenant, build.namespaces, build.labels())


def _settings(build: Build) -> List[Object]:
    families: Dict[str, str] = {}
    for service in build.services.values():
        if "settings" in service:
            families[service["settings"]] = build.namespace(service)
    return [
        _map(build, dify_pods.settings_map(family), namespace, build.family_settings(family))
        for family, namespace in families.items()
    ]


def _configurations(build: Build, router: str) -> List[Object]:
    main = build.tenant["namespace"]
    made = [
        _map(build, "authorities", main, {"ca.crt": build.wishes.authorities}),
        _map(build, ROUTER, main, {"nginx.conf": router}),
    ]
    for service in build.services.values():
        if service.get("proxy"):
            text = dify_proxy.configuration(build, service["proxy"])
            made.append(_map(build, f"squid-{service['proxy']}", build.namespace(service), {"squid.conf": text}))
    return made


def _map(build: Build, name: str, namespace: str, data: Mapping[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": build.meta(name, namespace), "data": dict(data)}
