# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the secrets that a site needs and does not have yet, and new ones on request, in one encrypted file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.parsing.vault import VaultLib, match_encrypt_secret
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.onprem.dify.plugins.module_utils import storage
from ansible_collections.onprem.dify.plugins.module_utils.site_secrets import (
    DEFAULT_TENANTS,
    SECRETS_FILE,
    RotationError,
    complete,
    rotate,
    tenants_of,
)
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

display = Display()

VARIABLE = "site_secrets"
HEADER = """---
# Made by playbooks/secrets.yml. Change it with `ansible-vault edit`, and keep a copy outside of the site.
"""
VAULT_HEADER = b"$ANSIBLE_VAULT;"


class ActionModule(ActionBase):
    """Runs on the controller; no host is touched, no value is shown."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        path = _folder(variables) / SECRETS_FILE
        content = self._read(path)
        existing = content.get(VARIABLE) or {}
        _refuse_others(variables, existing)

        groups, services, tenants = variables["groups"], _services(variables), _tenants(variables)
        try:
            kept = rotate(existing, self._task.args.get("rotate") or [], groups, services, tenants)
        except RotationError as error:
            raise AnsibleActionFail(str(error)) from error
        secrets = complete(kept, groups, services, _storage(variables), tenants)
        made = [name for name in secrets if secrets[name] != existing.get(name)]
        if made and not self._task.check_mode:
            self._write(path, {**content, VARIABLE: secrets})
        names = {"before": "".join(f"{name}\n" for name in existing), "after": "".join(f"{name}\n" for name in secrets)}
        result.update(
            changed=bool(made), made=made, diff={**names, "before_header": str(path), "after_header": str(path)}
        )
        verb = "would make" if self._task.check_mode else "made"
        display.display(f"{path}: " + (f"{verb} {', '.join(made)}" if made else "has every secret that the site needs"))
        return result

    def _read(self, path: Path) -> dict[str, Any]:
        """The content of the file as it is; empty if there is none."""
        if not path.exists():
            _refuse_hiding(path.parent)
            return {}
        if not path.read_bytes().startswith(VAULT_HEADER):
            raise AnsibleActionFail(f"{path} is not encrypted. Encrypt it first: ansible-vault encrypt {path}")
        content = self._loader.load_from_file(str(path)) or {}
        if not isinstance(content, Mapping) or not isinstance(content.get(VARIABLE) or {}, Mapping):
            raise AnsibleActionFail(
                f"{path} does not hold a mapping {VARIABLE}. Look at it with: ansible-vault edit {path}"
            )
        return dict(plain(content))

    def _write(self, path: Path, content: Mapping[str, Any]) -> None:
        """Replace the file in one step, so that an interrupted run leaves the old one."""
        text = HEADER + yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
        encrypted = self._encrypt(text)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made with mode 0600.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".secrets.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(encrypted)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _encrypt(self, text: str) -> bytes:
        secrets = self._loader._vault.secrets
        if not secrets:
            raise AnsibleActionFail(
                "Ansible has no vault password to encrypt the secrets with. Write a long one into a file that only you "
                "can read, keep a copy of it outside of the site, and name the file as vault_password_file in "
                "ansible.cfg, in ANSIBLE_VAULT_PASSWORD_FILE or with --vault-password-file."
            )
        vault_id, secret = match_encrypt_secret(secrets, encrypt_vault_id=constants.DEFAULT_VAULT_ENCRYPT_IDENTITY)
        encrypted: bytes = VaultLib(secrets).encrypt(text, secret=secret, vault_id=vault_id)
        return encrypted


def _services(variables: Mapping[str, Any]) -> list[str]:
    """The services that the site gives."""
    hosts = variables["groups"].get("all", [])
    services = {
        name: True
        for host in hosts
        for name, at in (variables["hostvars"][host].get("site_services") or {}).items()
        if at
    }
    return list(services)


def _storage(variables: Mapping[str, Any]) -> dict[str, str]:
    """Where the site stores what, as far as it does not leave that to the defaults."""
    hosts = [variables["hostvars"][host] for host in variables["groups"].get("all", [])]
    return {name: host[variable] for name, variable in storage.VARIABLES.items() for host in hosts if variable in host}


def _tenants(variables: Mapping[str, Any]) -> list[str]:
    """The tenants of the site, as far as it does not leave that to the default."""
    for host in variables["groups"].get("all", []):
        if "dify_tenants" in variables["hostvars"][host]:
            return tenants_of(plain(variables["hostvars"][host]["dify_tenants"]))
    return list(DEFAULT_TENANTS)


def _folder(variables: Mapping[str, Any]) -> Path:
    """The folder of the inventory."""
    hosts = variables["groups"].get("all", [])
    folders = {
        str(variables["hostvars"][host]["inventory_dir"])
        for host in hosts
        if variables["hostvars"][host].get("inventory_dir")
    }
    if len(folders) != 1:
        found = " and ".join(sorted(folders)) or "no inventory with hosts"
        raise AnsibleActionFail(f"The secrets belong to one inventory folder, found {found}. Name it with -i.")
    return Path(folders.pop())


def _refuse_hiding(folder: Path) -> None:
    """Ansible reads either the folder group_vars/all or a file of that name, so a new folder would hide the file."""
    if folder.is_dir():
        return
    for name in ("all", "all.yml", "all.yaml", "all.json"):
        file = folder.parent / name
        if file.is_file():
            raise AnsibleActionFail(f"A folder {folder} would hide {file}. Move that file to {folder}/site.yml first.")


def _refuse_others(variables: Mapping[str, Any], existing: Mapping[str, Any]) -> None:
    """Ansible does not merge mappings: of two site_secrets only one would count."""
    for host in variables["groups"].get("all", []):
        others = [name for name in variables["hostvars"][host].get(VARIABLE) or {} if name not in existing]
        if others:
            raise AnsibleActionFail(
                f"{VARIABLE} of {host} is also set outside of {SECRETS_FILE}: move {', '.join(others)} into that file."
            )
