# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets of one Dify: one value under the name that each service knows it by. No Ansible, no I/O."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any, Dict, List, Mapping, Sequence
from urllib.parse import quote

from ansible_collections.onprem.dify.plugins.module_utils.dify_release import services

# What the site makes for each tenant, and in which form. In `site_secrets` the key of the tenant stands before it.
OWN: Dict[str, str] = {
    "secret_key": "key",
    "init_password": "short_password",
    "admin_password": "login",
    "sandbox_key": "password",
    "plugin_daemon_key": "password",
    "inner_api_key": "password",
    "agent_token": "password",
    "agent_stub_key": "base64url_key",
    "agent_sandbox_token": "password",
}
# What the services of the data tier let a tenant in with, by its name in `site_secrets`.
SERVICES: Dict[str, str] = {
    "database_password": "postgres_{tenant}",
    "plugin_database_password": "postgres_{tenant}_plugin",
    "vector_password": "postgres_{tenant}_vector",
    "redis_password": "redis_{tenant}",
    "s3_access_key": "s3_{tenant}_access_key",
    "s3_secret_key": "s3_{tenant}_secret_key",
    "s3_plugin_access_key": "s3_{tenant}_plugin_access_key",
    "s3_plugin_secret_key": "s3_{tenant}_plugin_secret_key",
    # Other teams give these, where the site has such a service.
    "smtp_password": "{tenant}_smtp_password",
    "otlp_api_key": "{tenant}_otlp_api_key",
}
# Addresses with a password in them.
COMPOSED = ("celery_url", "agent_redis_url")

# What a site that lacks secrets is told.
MISSING = "these too: `ansible-playbook playbooks/secrets.yml -i INVENTORY` makes them"
# The object in each namespace of a tenant.
OBJECT = "secrets"


class SecretError(Exception):
    """Secrets are missing; the text is for the user and names them, never their values."""


def name_at_site(secret: str, key: str) -> str:
    """The name of a secret of a tenant in `site_secrets`."""
    return SERVICES[secret].format(tenant=key) if secret in SERVICES else f"{key}_{secret}"


def without(names: Sequence[str]) -> str:
    """What is said of a site that lacks these secrets."""
    return f"site_secrets is without {', '.join(names)}, wanted: {MISSING}"


def used(release: Mapping[str, Any], families: List[str]) -> List[str]:
    """The secrets that services with these families of settings read."""
    return [secret for secret, entry in release["secrets"].items() if set(entry["names"]) & set(families)]


def values(
    release: Mapping[str, Any], tenant: Mapping[str, Any], facts: Mapping[str, Any], site_secrets: Mapping[str, Any]
) -> Dict[str, str]:
    """Every secret that the services of a tenant read, by its name in the release."""
    found: Dict[str, str] = {}
    missing: List[str] = []
    for secret in used(release, families(release, tenant, False) + families(release, tenant, True)):
        if secret in COMPOSED:
            continue
        name = name_at_site(secret, tenant["key"])
        if site_secrets.get(name):
            found[secret] = str(site_secrets[name])
        elif not release["secrets"][secret].get("optional") and not _without_store(secret, facts):
            missing.append(name)
    if missing:
        raise SecretError(f"tenant {tenant['name']}: {without(missing)}")
    found["celery_url"] = _redis_url(facts, found["redis_password"], tenant["redis"]["celery"], "")
    if tenant["agents"]:
        options = f"?ssl_ca_certs={quote(facts['authorities'], safe='/')}"
        found["agent_redis_url"] = _redis_url(facts, found["redis_password"], tenant["redis"]["agents"], options)
    return found


def families(release: Mapping[str, Any], tenant: Mapping[str, Any], isolated: bool) -> List[str]:
    """The families of settings in one of the two namespaces of a tenant."""
    chosen = [
        service["settings"]
        for service in services(release, tenant["agents"]).values()
        if "settings" in service and bool(service.get("isolated")) == isolated
    ]
    return list(dict.fromkeys(chosen))


def objects(
    release: Mapping[str, Any], tenant: Mapping[str, Any], found: Mapping[str, str], labels: Mapping[str, str]
) -> List[Dict[str, Any]]:
    """The Secret of each namespace, with what the services in it read and nothing else."""
    made = []
    for namespace, isolated in ((tenant["namespace"], False), (tenant["sandbox_namespace"], True)):
        names = [name for name in used(release, families(release, tenant, isolated)) if name in found]
        data = {name: base64.b64encode(found[name].encode()).decode() for name in names}
        metadata = {"name": OBJECT, "namespace": namespace, "labels": dict(labels)}
        made.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data})
    return made


def checksum(found: Mapping[str, str], names: List[str]) -> str:
    """What changes when one of these secrets does. Keyed with the longest of them, it tells nothing of the others."""
    text = json.dumps([[name, found[name]] for name in sorted(names) if name in found])
    return hmac.new(found["secret_key"].encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def _redis_url(facts: Mapping[str, Any], password: str, database: int, options: str) -> str:
    login = f"{quote(facts['redis.user'], safe='')}:{quote(password, safe='')}"
    return f"rediss://{login}@{facts['redis.host']}:{facts['redis.port']}/{database}{options}"


def _without_store(secret: str, facts: Mapping[str, Any]) -> bool:
    """Whether the files that these keys open are not in an S3 store at all."""
    kept = {"s3_plugin_": "packages.bucket", "s3_": "uploads.bucket"}
    fact = next((fact for prefix, fact in kept.items() if secret.startswith(prefix)), None)
    return fact is not None and facts[fact] is None
