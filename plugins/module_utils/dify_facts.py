# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settings of one Dify follow from: addresses, databases, stores. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from ansible_collections.onprem.dify.plugins.module_utils import endpoints
from ansible_collections.onprem.dify.plugins.module_utils.dify_release import services
from ansible_collections.onprem.dify.plugins.module_utils.dify_tenants import namespace_of
from ansible_collections.onprem.dify.plugins.module_utils.site import ENDPOINT_GROUPS

# Where pods find the authorities that they trust.
AUTHORITIES = "/etc/onprem-dify/authorities/ca.crt"
SSL_MODE = "verify-full"

# What a release may name under `site`, besides `service.<name>`.
FACTS = (
    "agent_stub_url",
    "agents",
    "authorities",
    "database.name",
    "database.options",
    "database.user",
    "hook_url",
    "package_index",
    "packages.bucket",
    "packages.type",
    "plugin_database.name",
    "plugin_database.user",
    "postgres.host",
    "postgres.port",
    "postgres.ssl_mode",
    "redis.database",
    "redis.host",
    "redis.port",
    "redis.user",
    "s3.region",
    "s3.url",
    "socket_url",
    "uploads.bucket",
    "uploads.type",
    "url",
    "vectors.name",
    "vectors.user",
)

SITE_SERVICES = {"postgres": "PostgreSQL", "redis": "Redis", "s3": "S3 store"}


class FactError(Exception):
    """The site lacks what Dify needs; the text is for the user."""


class Endpoint(NamedTuple):
    """Where a service of the data tier is. `alias`: the address that pods have to know its name by."""

    host: str
    port: int
    addresses: List[str]
    alias: Optional[str]


def endpoint(site: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]], name: str) -> Endpoint:
    """`given`: the services that the site gives, as the lookup onprem.dify.external_services describes them."""
    if name in given:
        service = given[name]
        return Endpoint(str(service["host"]), int(service["port"]), list(service["addresses"]), None)
    group = ENDPOINT_GROUPS[name]
    hosts = [entry["address"] for entry in endpoints.members(site, group)]
    if not hosts:
        raise FactError(
            f"site_services.{name} is not set and the group {group} has no hosts, wanted: a {SITE_SERVICES[name]}"
        )
    address = site["endpoints"].get(name, hosts[0])
    # The certificates hold this name, and not every client compares addresses.
    return Endpoint(f"{name}.{site['domain']}", endpoints.SERVICES[name].port, [address], address)


def host_aliases(site: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """The names of the data tier for pods: nobody's DNS has to know them."""
    found = [endpoint(site, given, name) for name in SITE_SERVICES if name != "s3" or uses_s3(site)]
    return [{"ip": one.alias, "hostnames": [one.host]} for one in found if one.alias]


def uses_s3(site: Mapping[str, Any]) -> bool:
    return "s3" in (stored(site, "uploads"), stored(site, "plugins"))


def stored(site: Mapping[str, Any], purpose: str) -> str:
    return str((site.get("storage") or {}).get(purpose, "s3"))


def facts(
    release: Mapping[str, Any],
    site: Mapping[str, Any],
    tenant: Mapping[str, Any],
    given: Mapping[str, Mapping[str, Any]],
    package_index: str = "",
) -> Dict[str, Any]:
    """The facts of a tenant; None is what this tenant has no use for."""
    postgres, redis = (endpoint(site, given, name) for name in ("postgres", "redis"))
    store = endpoint(site, given, "s3") if uses_s3(site) else None
    databases, buckets = tenant["databases"], tenant["buckets"]
    uploads, packages = (stored(site, purpose) == "s3" for purpose in ("uploads", "plugins"))
    found = {
        "url": f"https://{tenant['hostname']}",
        "socket_url": f"wss://{tenant['hostname']}",
        "hook_url": f"https://{tenant['hostname']}/e/{{hook_id}}",
        "agents": "true" if tenant["agents"] else "false",
        "authorities": AUTHORITIES,
        "package_index": package_index or None,
        "postgres.host": postgres.host,
        "postgres.port": str(postgres.port),
        "postgres.ssl_mode": SSL_MODE,
        "database.name": databases["main"],
        "database.user": databases["main"],
        "database.options": f"sslmode={SSL_MODE}&sslrootcert={AUTHORITIES}",
        "plugin_database.name": databases["plugin"],
        "plugin_database.user": databases["plugin"],
        "vectors.name": databases["vector"],
        "vectors.user": databases["vector"],
        "redis.host": redis.host,
        "redis.port": str(redis.port),
        "redis.user": tenant["redis"]["user"],
        "redis.database": str(tenant["redis"]["database"]),
        "s3.url": f"https://{store.host}:{store.port}" if store else None,
        "s3.region": "us-east-1" if store else None,
        "uploads.type": "s3" if uploads else "opendal",
        "uploads.bucket": buckets["uploads"] if uploads else None,
        "packages.type": "aws_s3" if packages else "local",
        "packages.bucket": buckets["packages"] if packages else None,
    }
    found.update(_addresses(release, tenant))
    stub = found.get("service.agent-backend")
    return {**found, "agent_stub_url": f"{stub}/agent-stub" if stub else None}


def _addresses(release: Mapping[str, Any], tenant: Mapping[str, Any]) -> Dict[str, Optional[str]]:
    """The address of every service of the tenant within the cluster."""
    found: Dict[str, Optional[str]] = {}
    running = services(release, tenant["agents"])
    for name, service in release["services"].items():
        if "port" in service:
            address = f"http://{name}.{namespace_of(tenant, service)}.svc:{service['port']}"
            found[f"service.{name}"] = address if name in running else None
    return found
