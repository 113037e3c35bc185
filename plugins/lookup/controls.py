# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of controls, as it stands for one host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: controls
short_description: Load the catalogue of controls for the current host
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Loads the catalogue that comes with the collection and fills in the variables that its checks name.
  - Joins the waivers of the site to the controls.
  - A variable that the inventory does not set has the default of the role that owns it, as if that role ran.
  - Fails if an entry is malformed.
  - Fails if a waiver lacks its reason or its last day, and if it speaks of a control or a host that is not there.
options:
  _terms:
    description: Subjects to load, which are names of roles. All without any.
    type: list
    elements: str
  waivers:
    description: Waivers of the site, as described for O(onprem.dify.verify#role:main:verify_waivers).
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show how many controls of the SSH server there are
  ansible.builtin.debug:
    msg: "{{ lookup('onprem.dify.controls', 'sshd').controls | length }}"
"""

RETURN = r"""
_list:
  description:
    - One dictionary. C(controls) holds the entries, with a C(waiver) where the site has one.
    - C(sha256) is the hash of the catalogue files as delivered, C(collection) the version of the collection.
  type: list
  elements: dict
"""

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

from ansible_collections.onprem.dify.plugins.module_utils.controls_schema import check_faults, entry_faults
from ansible_collections.onprem.dify.plugins.module_utils.controls_waivers import Waiver, parse_waivers

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "roles" / "verify" / "files" / "controls"


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        variables = variables or {}
        files = sorted(CATALOGUE.glob("*.yml"))
        catalogue = {file.stem: self._load(file) or [] for file in files}
        unknown = sorted(set(terms) - set(catalogue))
        if unknown:
            raise AnsibleError(f"The catalogue has no subject {', '.join(unknown)}. Known are {', '.join(catalogue)}.")
        waivers = self._waivers(catalogue, variables)
        controls = [
            control | self._waiver_of(control["id"], waivers, variables)
            for subject, entries in catalogue.items()
            if not terms or subject in terms
            for control in self._fill_in(subject, entries, variables)
        ]
        digest = hashlib.sha256(b"".join(file.name.encode() + b"\0" + file.read_bytes() for file in files)).hexdigest()
        return [{"controls": controls, "sha256": digest, "collection": collection_version(ROOT)}]

    def _load(self, path: Path) -> Any:
        """Return the data of a file of the collection, whose templates are trusted like those of a role."""
        try:
            return self._loader.load_from_file(str(path), trusted_as_template=True)
        except TypeError:  # ansible-core 2.18 trusts every file
            return self._loader.load_from_file(str(path))

    def _fill_in(self, subject: str, entries: list[Any], variables: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        faults = [fault for entry in entries for fault in entry_faults(entry, subject)]
        if faults:
            raise AnsibleError("The catalogue of controls is malformed:\n" + "\n".join(faults))
        templar = self._templar.copy_with_new_env(available_variables=self._role_variables(subject, variables))
        for entry in entries:
            try:
                check = templar.template(entry["check"])
            except AnsibleError as error:
                raise AnsibleError(f"The check of control {entry['id']} cannot be filled in: {error}") from error
            faults = check_faults(check)
            if faults:
                raise AnsibleError(
                    f"The check of control {entry['id']} is malformed with its variables filled in: {', '.join(faults)}"
                )
            yield {**entry, "check": check}

    def _role_variables(self, role: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the tasks of the role would see: defaults, inventory, data of the operating system."""
        facts = variables.get("ansible_facts", {})
        distribution, version = facts.get("distribution"), facts.get("distribution_major_version")
        systems = [f"{distribution}_{version}", distribution, facts.get("os_family")]
        found = [
            path for path in (ROOT / "roles" / role / "vars" / f"{name}.yml" for name in systems) if path.is_file()
        ]
        merged: dict[str, Any] = {}
        for path in _yaml_files(ROOT / "roles" / role / "defaults"):
            merged.update(self._load(path) or {})
        merged.update(variables)
        for path in [*_yaml_files(ROOT / "roles" / role / "vars"), *found[:1]]:
            merged.update(self._load(path) or {})
        return merged

    def _waivers(self, catalogue: Mapping[str, list[Any]], variables: Mapping[str, Any]) -> list[Waiver]:
        known = [str(entry.get("id")) for entries in catalogue.values() for entry in entries if isinstance(entry, dict)]
        try:
            return parse_waivers(self.get_option("waivers"), known, variables.get("groups", {}))
        except ValueError as error:
            raise AnsibleError(f"The waivers of the site are not valid:\n{error}") from error

    def _waiver_of(self, control: str, waivers: list[Waiver], variables: Mapping[str, Any]) -> dict[str, Any]:
        host, groups = variables.get("inventory_hostname", ""), variables.get("groups", {})
        mine = [waiver for waiver in waivers if waiver.covers(control, host, groups)]
        if not mine:
            return {}
        waiver = max(mine, key=lambda one: one.expires)
        today = datetime.datetime.now(datetime.UTC).date()
        return {"waiver": {"reason": waiver.reason, "expires": waiver.expires, "expired": waiver.expired(today)}}


def _yaml_files(folder: Path) -> list[Path]:
    """Return the files from which Ansible loads the main variables of a role."""
    main = folder / "main"
    return sorted(main.glob("*.yml")) if main.is_dir() else [file for file in [folder / "main.yml"] if file.is_file()]


def collection_version(root: Path) -> str:
    """Return the version of an installed collection or of a checkout."""
    manifest = root / "MANIFEST.json"
    if manifest.is_file():
        return str(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"])
    lines = (root / "galaxy.yml").read_text(encoding="utf-8").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("version:")), "unknown")
