# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tenants need of the data tier, in the forms in which its roles take it. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.onprem.dify.plugins.module_utils.dify_build import Build
from ansible_collections.onprem.dify.plugins.module_utils.dify_secrets import SERVICES
from ansible_collections.onprem.dify.plugins.module_utils.storage import PURPOSES

# What each database is for: its secret, and the extensions that Dify wants in it.
DATABASES = {
    "main": ("database_password", ["uuid-ossp"]),
    "plugin": ("plugin_database_password", ["uuid-ossp"]),
    "vector": ("vector_password", ["vector"]),
}
# Uploads are kept for a month after they were replaced; packages can be fetched again.
BUCKETS: Dict[str, Dict[str, Any]] = {
    "uploads": {"purpose": "uploads", "versioning": True, "noncurrent_days": 30},
    "packages": {"purpose": "plugins"},
}
UPLOAD_DAYS = 7
# It only asks what is due.
BEAT_CONNECTIONS = 5


def databases(tenants: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """As `postgresql_databases` has them."""
    return [
        {"name": name, "owner": name, "secret": SERVICES[secret].format(tenant=tenant["key"]), "extensions": extensions}
        for tenant in tenants
        for name, (secret, extensions) in ((tenant["databases"][use], wish) for use, wish in DATABASES.items())
    ]


def buckets(tenants: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """As `objects_buckets` has them."""
    return [
        {
            "name": tenant["buckets"][use],
            **wish,
            "secret": PURPOSES[wish["purpose"]].secret.format(tenant=tenant["key"]),
            "upload_days": UPLOAD_DAYS,
        }
        for tenant in tenants
        for use, wish in BUCKETS.items()
    ]


def redis_users(tenants: Sequence[Mapping[str, Any]], secrets: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """As `redis_applications` has them."""
    return [{"name": tenant["redis"]["user"], "password": secrets[f"redis_{tenant['key']}"]} for tenant in tenants]


def clients(build: Build) -> Dict[str, Dict[str, int]]:
    """The connections that the pods of a tenant may open, as `postgresql_expected_clients` has them."""
    found: Dict[str, Dict[str, int]] = {}
    for name, entry in build.deployments().items():
        service = build.services[entry["service"]]
        family = service.get("settings", "")
        own = {**_defaults(build, family), **build.settings.get(family, {}), **service.get("environment", {})}
        number = _of_pool(own) if family == "api" else int(own.get("DB_MAX_OPEN_CONNS", 0))
        if entry["service"] == "beat":
            number = BEAT_CONNECTIONS
        if number:
            # Workers run everything in one process; the API says in how many.
            processes = int(own["SERVER_WORKER_AMOUNT"]) if "port" in service and family == "api" else 1
            key = f"{build.tenant['key']}_{name.replace('-', '_')}"
            found[key] = {"pods": int(entry["size"]["replicas"]), "processes": processes, "connections": number}
    return found


def _defaults(build: Build, family: str) -> Mapping[str, str]:
    kinds: Mapping[str, Any] = build.release["settings"].get(family, {})
    found: Mapping[str, str] = kinds.get("defaults", {})
    return found


def _of_pool(settings: Mapping[str, str]) -> int:
    return sum(
        int(settings[name]) for name in ("SQLALCHEMY_POOL_SIZE", "SQLALCHEMY_MAX_OVERFLOW", "PGVECTOR_MAX_CONNECTION")
    )
