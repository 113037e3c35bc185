# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the bundle of a site on the controller."""

from __future__ import annotations

import datetime
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.onprem.dify.plugins.module_utils import pins
from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import release_order
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_plan, bundle_systems, collection_files
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_builder import Build, BuildError, Settings
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_debian import with_debian
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import size
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import SourceError, Sources
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_systems import Repository, System
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_tool import tool
from ansible_collections.onprem.dify.plugins.plugin_utils.plain import plain

display = Display()

REPOSITORY = {
    "system": {"type": "str", "required": True},
    "uri": {"type": "str", "required": True},
    "suites": {"type": "list", "elements": "str", "default": []},
    "components": {"type": "list", "elements": "str", "default": ["main"]},
    "signed_by": {"type": "path", "required": True},
}
ARGUMENTS = {
    "directory": {"type": "path", "required": True},
    "work_directory": {"type": "path", "required": True},
    "release": {"type": "str", "required": True},
    "architectures": {"type": "list", "elements": "str", "default": ["amd64"], "choices": ["amd64", "arm64"]},
    "systems": {"type": "list", "elements": "str", "default": ["Debian_12"]},
    "pins": {"type": "dict", "default": {}},
    "sources": {"type": "list", "elements": "dict", "default": []},
    "repositories": {"type": "list", "elements": "dict", "default": [], "options": REPOSITORY},
    "keyrings": {"type": "dict", "default": {}, "no_log": False},
    "packages": {"type": "list", "elements": "str", "default": []},
    "earlier": {"type": "list", "elements": "path", "default": []},
    "controller_pythons": {"type": "list", "elements": "str", "default": []},
    "wheel_links": {"type": "list", "elements": "str", "default": []},
    "ca_file": {"type": "path", "default": ""},
    "signing_key": {"type": "path", "default": "", "no_log": False},
    "repository_key": {"type": "path", "required": True, "no_log": False},
    "parallel": {"type": "int", "default": 6},
}


class ActionModule(ActionBase):
    """Runs on the controller; no host is touched."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _result, given = self.validate_argument_spec(argument_spec=ARGUMENTS)
        values: Mapping[str, Any] = plain(given)
        if self._task.check_mode:
            return {**result, "skipped": True, "msg": "what a build would fetch is known only to upstream"}
        try:
            build = self._build(values)
            built = build.run()
        except (BuildError, pins.PinError, SourceError, bundle_systems.UnknownSystemError) as error:
            # Ansible would add the message of each cause, which is the same again.
            raise AnsibleActionFail(f"The bundle was not built. {error}") from None
        for line in _ending(build.pins):
            display.warning(line)
        for line in built.left_out:
            display.warning(f"not in the bundle: {line}")
        if not values["signing_key"]:
            display.warning("The bundle is not signed, and no site takes it as it is: give bundle_signing_key.")
        lock = built.lock
        result.update(
            changed=built.changed,
            release=lock.release,
            digest=lock.digest,
            files=len(lock.files),
            images=len(lock.images),
            size=sum(lock.blobs().values()),
            fetched=built.fetched,
            left_out=list(built.left_out),
        )
        display.display(
            f"bundle {lock.release}: {len(lock.files)} files and {len(lock.images)} images, {size(result['size'])}, "
            f"in {values['directory']}"
        )
        return result

    def _build(self, values: Mapping[str, Any]) -> Build:
        if not release_order(values["release"]):
            raise BuildError(f"bundle_release {values['release']!r} is not a day as 2026.11.25 or 2026.11.25.2")
        if values["parallel"] < 1:
            raise BuildError("bundle_parallel must be 1 or more")
        if any(pins.LOGIN.match(link) for link in values["wheel_links"]):
            raise BuildError(f"bundle_wheel_links: an address {pins.LOGIN_FAULT}")
        systems = [bundle_systems.named(name) for name in values["systems"]]
        site = pins.of_site(collection_files.bundle(), values["pins"])
        roles = {
            system.name: bundle_systems.packages_of_roles(collection_files.ROOT / "roles", system) for system in systems
        }
        settings = Settings(
            directory=Path(values["directory"]).absolute(),
            work=Path(values["work_directory"]).absolute(),
            release=values["release"],
            architectures=tuple(values["architectures"]),
            sources=with_debian(Sources.parse(values["sources"]), systems),
            repositories=_repositories(systems, values["repositories"], values["keyrings"]),
            repository_key=Path(values["repository_key"]),
            signing_key=Path(values["signing_key"]) if values["signing_key"] else None,
            earlier=tuple(Path(folder).expanduser().absolute() for folder in values["earlier"]),
            wheel_links=tuple(values["wheel_links"]),
            ca_file=values["ca_file"],
            parallel=values["parallel"],
        )
        wishes = bundle_plan.plan(
            site, settings.architectures, systems, roles, values["packages"], values["controller_pythons"]
        )
        display.display(f"bundle {settings.release} for {', '.join(system.title for system in systems)}")
        return Build(
            settings, wishes, site, collection_files.ROOT, _place_of, tool, lambda line: display.display(f"  {line}")
        )


def _ending(site: Mapping[str, pins.Pin]) -> list[str]:
    """What is at its end today. The clock of the machine that builds is no reason to refuse, but one to say it."""
    today = datetime.datetime.now(datetime.UTC).date()
    return [
        f"{name} {pin['version']}: {fault}"
        for name, pin in sorted(site.items())
        for fault in pins.end_of_life_faults(pin, today)
    ]


def _repositories(
    systems: Sequence[System], more: Sequence[Mapping[str, Any]], keyrings: Mapping[str, str]
) -> dict[str, list[Repository]]:
    found = {
        system.name: [replace(one, signed_by=keyrings.get(system.name, one.signed_by)) for one in system.repositories]
        for system in systems
    }
    for name in keyrings:
        if name not in found:
            raise BuildError(f"bundle_keyrings: {name} is not one of bundle_systems")
    for entry in more:
        if not (entry["suites"] or bundle_systems.named(entry["system"]).uses_rpm):
            raise BuildError(f"bundle_repositories: {entry['uri']} has no suites, and {entry['system']} has them")
        if pins.LOGIN.match(entry["uri"]):
            raise BuildError(f"bundle_repositories: an address {pins.LOGIN_FAULT}")
        if entry["system"] not in found:
            raise BuildError(f"bundle_repositories: {entry['system']} is not one of bundle_systems")
        repository = Repository(
            entry["uri"].rstrip("/"), tuple(entry["suites"]), tuple(entry["components"]), entry["signed_by"]
        )
        found[entry["system"]].append(repository)
    return found


def _place_of(collection: str) -> Path | None:
    """Where a collection is installed, as Ansible finds it for this run."""
    try:
        spec = importlib.util.find_spec(f"ansible_collections.{collection}")
    except ModuleNotFoundError:
        return None
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None
