# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to get at the database, the console and the one port of each Dify. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from ansible_collections.onprem.dify.plugins.module_utils.certificates import BASE
from ansible_collections.onprem.dify.plugins.module_utils.dify_facts import endpoint
from ansible_collections.onprem.dify.plugins.module_utils.dify_pods import TLS
from ansible_collections.onprem.dify.plugins.module_utils.dify_release import ROUTER
from ansible_collections.onprem.dify.plugins.module_utils.dify_secrets import SecretError, name_at_site, without


def access(
    tenant: Mapping[str, Any],
    site: Mapping[str, Any],
    site_secrets: Mapping[str, Any],
    given: Mapping[str, Mapping[str, Any]],
) -> Dict[str, Any]:
    postgres = endpoint(site, given, "postgres")
    wanted = ("database_password", "init_password", "admin_password")
    names = {secret: name_at_site(secret, tenant["key"]) for secret in wanted}
    missing = [name for name in names.values() if not site_secrets.get(name)]
    if missing:
        raise SecretError(f"tenant {tenant['name']}: {without(missing)}")
    secret = {use: str(site_secrets[name]) for use, name in names.items()}
    directory = f"{BASE}/dify-{tenant['name']}"
    return {
        "database": {
            "tenant": tenant["name"],
            "host": postgres.host,
            "address": postgres.alias or postgres.host,
            "port": postgres.port,
            "name": tenant["databases"]["main"],
            "user": tenant["databases"]["main"],
            "password": secret["database_password"],
        },
        "console": {
            "tenant": tenant["name"],
            "namespace": tenant["namespace"],
            "init_password": secret["init_password"],
            "password": secret["admin_password"],
        },
        "wish": {"name": f"dify-{tenant['name']}", "directory": directory, "names": [tenant["hostname"]]},
        "certificate": {
            "directory": directory,
            "secret": f"{tenant['namespace']}/{TLS}",
            "used_by": f"{tenant['namespace']}/deployment/{ROUTER}",
        },
    }
