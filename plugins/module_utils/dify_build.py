# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the manifests of one Dify are built from, and what all of its objects have in common. No Ansible, no I/O."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, List, Mapping, Optional

from ansible_collections.onprem.dify.plugins.module_utils import (
    dify_facts,
    dify_release,
    dify_secrets,
    dify_settings,
    dify_tenants,
)

PREFIX = "app.kubernetes.io"


class BuildError(Exception):
    """The manifests cannot be built; the text is for the user."""


def tenant_labels(tenant: Mapping[str, Any]) -> Dict[str, str]:
    """What all objects of a tenant carry."""
    return {
        f"{PREFIX}/part-of": "dify",
        f"{PREFIX}/instance": tenant["name"],
        f"{PREFIX}/managed-by": "onprem.dify",
    }


@dataclass(frozen=True)
class Wishes:
    """What the site says of all its tenants."""

    # Replicas, requests and limits by workload.
    sizes: Mapping[str, Mapping[str, Any]]
    # Settings by family of services.
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # Groups of workers with the queues that they read; one for all queues if there is none.
    workers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    quota: Mapping[str, Any] = field(default_factory=dict)
    templates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    package_index: str = ""
    # The certificates that pods trust.
    authorities: str = ""
    # With name, tag and digest.
    router_image: str = ""
    kubernetes_version: str = ""
    # Under which the file server exports its volumes.
    files_directory: str = "/srv/files"


@dataclass(frozen=True)
class Build:
    """One tenant, with all that follows from it. It knows the names of secrets and not their values."""

    release: Mapping[str, Any]
    site: Mapping[str, Any]
    tenant: Mapping[str, Any]
    wishes: Wishes
    # The services that the site gives, as the lookup onprem.dify.external_services describes them.
    given: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, str]]
    aliases: List[Dict[str, Any]]
    # A checksum for each family of settings, by the secrets that it reads.
    checksums: Mapping[str, str]
    # Which secrets there are.
    secrets: FrozenSet[str]

    @property
    def services(self) -> Dict[str, Mapping[str, Any]]:
        return dify_release.services(self.release, self.tenant["agents"])

    def namespace(self, service: Mapping[str, Any]) -> str:
        return dify_tenants.namespace_of(self.tenant, service)

    @property
    def namespaces(self) -> List[str]:
        return [self.tenant["namespace"], self.tenant["sandbox_namespace"]]

    def labels(self, service: str = "", component: str = "") -> Dict[str, str]:
        found = tenant_labels(self.tenant)
        if service:
            found[f"{PREFIX}/name"] = service
        if component:
            found[f"{PREFIX}/component"] = component
        return found

    def meta(
        self, name: str, namespace: Optional[str] = None, service: str = "", component: str = ""
    ) -> Dict[str, Any]:
        place = namespace or self.tenant["namespace"]
        return {"name": name, "namespace": place, "labels": self.labels(service, component)}

    def by_address(self, name: str) -> List[str]:
        """What a service without DNS opens connections to."""
        return [] if self.services[name].get("dns", True) else list(self.release["flows"][name])

    def family_settings(self, family: str) -> Dict[str, str]:
        """The settings that the services of a family share."""
        facts = dict(self.facts)
        for name, service in self.services.items():
            if service.get("settings") == family:
                for end in self.by_address(name):
                    port = self.services[end]["port"]
                    facts[f"service.{end}"] = f"http://{self.tenant['proxy_address']}:{port}"
        return dify_settings.shared(self.release, family, facts, self.settings)

    def size(self, service: str, group: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
        """Replicas, requests and limits: the site's, then the tenant's, then those of a group of workers."""
        found: Dict[str, Any] = {"replicas": 1, "requests": {}, "limits": {}}
        for wish in (self.wishes.sizes.get(service), self.tenant["workloads"].get(service), group):
            for key, value in (wish or {}).items():
                found[key] = {**found[key], **value} if isinstance(found.get(key), Mapping) else value
        for kind in ("requests", "limits"):
            for resource in ("cpu", "memory"):
                if not found[kind].get(resource):
                    raise BuildError(f"dify_workloads.{service}.{kind}.{resource} is not set, wanted: a quantity")
        return found

    def deployments(self) -> Dict[str, Dict[str, Any]]:
        """Every Deployment by its name: the service, its size, and the queues of a group of workers."""
        found: Dict[str, Dict[str, Any]] = {}
        groups = self.tenant["workers"] or self.wishes.workers
        for name, service in self.services.items():
            if service.get("job"):
                continue
            if not service.get("queues"):
                found[name] = {"service": name, "size": self.size(name), "queues": []}
            elif not groups:
                found[name] = {"service": name, "size": self.size(name), "queues": list(service["queues"])}
            else:
                for group, wish in groups.items():
                    own = {key: value for key, value in wish.items() if key != "queues"}
                    size = self.size(name, own)
                    found[f"{name}-{group}"] = {"service": name, "size": size, "queues": list(wish["queues"])}
        for name, entry in found.items():
            if self.services[entry["service"]].get("single") and entry["size"]["replicas"] != 1:
                number = entry["size"]["replicas"]
                raise BuildError(
                    f"dify_workloads.{name}.replicas is {number}, wanted: 1, as two would disturb each other"
                )
        return found


def prepare(
    release: Mapping[str, Any],
    site: Mapping[str, Any],
    tenant: Mapping[str, Any],
    wishes: Wishes,
    given: Mapping[str, Mapping[str, Any]],
    site_secrets: Mapping[str, Any],
) -> Build:
    """Everything about a tenant; fails in the user's words where something is missing."""
    _refuse(release, tenant, wishes)
    facts = dify_facts.facts(release, site, tenant, given, wishes.package_index)
    values = dify_secrets.values(release, tenant, facts, site_secrets)
    return Build(
        release=release,
        site=site,
        tenant=tenant,
        wishes=wishes,
        given=given,
        facts=facts,
        settings=dify_settings.joined(release, wishes.settings, tenant["settings"]),
        aliases=dify_facts.host_aliases(site, given),
        checksums={
            family: dify_secrets.checksum(values, dify_secrets.used(release, [family]))
            for family in release["settings"]
        },
        secrets=frozenset(values),
    )


def _refuse(release: Mapping[str, Any], tenant: Mapping[str, Any], wishes: Wishes) -> None:
    lines = list(dify_settings.refusals(release, wishes.settings, [tenant]))
    groups = tenant["workers"] or wishes.workers
    if groups:
        queues = {group: wish.get("queues") or [] for group, wish in groups.items()}
        lines += [f"dify_workers: {fault}" for fault in dify_release.queue_faults(release, queues)]
    if lines:
        raise BuildError("\n".join(lines))


def digest(value: Any) -> str:
    """A short checksum of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
