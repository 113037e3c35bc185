"""The broken inventories of broken.yml: each is the example inventory with one thing changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.constants import DEFAULT_VAULT_ID_MATCH
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.onprem.dify.plugins.module_utils.site import GROUPS
from ansible_collections.onprem.dify.plugins.module_utils.site_secrets import (
    DEFAULT_TENANTS,
    complete,
    needed,
    tenants_of,
)

HERE = Path(__file__).resolve().parent
GOOD = HERE.parents[2] / "inventories/prod"
VAULT_PASSWORD = "vault password of throw-away inventories"

Case = dict[str, Any]


def cases() -> list[Case]:
    loaded: list[Case] = yaml.safe_load((HERE / "broken.yml").read_text(encoding="utf-8"))
    return loaded


def write(case: Case, folder: Path) -> None:
    """Write the example inventory with the changes of a case; null takes something away."""
    hosts = merged(read(GOOD / "hosts.yml"), case.get("hosts", {}))
    variables = merged(read(GOOD / "group_vars/all/site.yml"), case.get("vars", {}))
    tenants = tenants_of(variables.get("dify_tenants")) or DEFAULT_TENANTS
    made = complete({}, {group: ["a host"] for group in ("all", *GROUPS)}, tenants=tenants)
    groups = groups_with_hosts(hosts)
    secrets = {name: made[name] for name in needed({group: ["a host"] for group in {"all"} | groups}, tenants=tenants)}
    all_vars = folder / "group_vars/all"
    all_vars.mkdir(parents=True)
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts, sort_keys=False), encoding="utf-8")
    (all_vars / "site.yml").write_text(yaml.safe_dump(variables, sort_keys=False), encoding="utf-8")
    text = yaml.safe_dump({"site_secrets": merged(secrets, case.get("secrets", {}))}, sort_keys=False)
    (all_vars / "secrets.yml").write_bytes(text.encode() if case.get("plain_secrets") else vault().encrypt(text))


def vault() -> VaultLib:
    return VaultLib([(DEFAULT_VAULT_ID_MATCH, VaultSecret(VAULT_PASSWORD.encode()))])


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def merged(good: Any, change: Any) -> Any:
    if not isinstance(good, dict) or not isinstance(change, dict):
        return change
    both = {key: merged(good.get(key), change[key]) if key in change else good[key] for key in {**good, **change}}
    return {key: value for key, value in both.items() if value is not None or key not in change}


def groups_with_hosts(groups: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    for name, group in groups.items():
        inner = groups_with_hosts(group.get("children") or {})
        found |= inner | ({name} if group.get("hosts") or inner else set())
    return found
