# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into a bundle, from the pins and the roles. No Ansible, no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import Component
from ansible_collections.onprem.dify.plugins.module_utils.pins import Pin, unresolved
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_images, bundle_wheels
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_systems import System, packages_of_pins

GIVE_PYTHON = "give bundle_controller_pythons to have it in the bundle"
# Fields of a pin that lead to something in the bundle.
GIVING = ("archives", "images", "requirements", "package_names", "collections")
ASK = "playbooks/bundle_pins.yml asks their makers for those that site_pins lacks"
# What a controller is installed from, and the Pythons of systems that it does not run on.
CONTROLLER = "ansible-core"
TOO_OLD = ("3.9", "3.10")


@dataclass(frozen=True)
class Archive:
    """A file that a pin names: an archive or a plain program."""

    component: str
    version: str
    architecture: str
    url: str
    digest: str

    @property
    def path(self) -> str:
        name = unquote(urlsplit(self.url).path).rpartition("/")[2]
        return f"files/{self.component}/{self.version}/{self.architecture}/{name}"


@dataclass(frozen=True)
class Packages:
    """What a system needs of its packages: names, versions of the pinned ones, and the component of these."""

    system: System
    wanted: frozenset[str]
    versions: Mapping[str, str]
    components: Mapping[str, str]
    # Named by a pin that does not say which version this system has of it: taken if the repositories have it.
    optional: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """The wishes of a build. `left_out`: what a pin does not name for an architecture, a sentence each."""

    archives: tuple[Archive, ...]
    images: tuple[bundle_images.Wish, ...]
    wheels: tuple[bundle_wheels.Wish, ...]
    packages: tuple[Packages, ...]
    left_out: tuple[str, ...]


def plan(
    pins: Mapping[str, Pin],
    architectures: Sequence[str],
    systems: Sequence[System],
    of_roles: Mapping[str, Mapping[str, Sequence[str]]],
    more: Sequence[str] = (),
    controller_pythons: Sequence[str] = (),
) -> Plan:
    """`of_roles`: packages by system and role. `more`: packages that a site wants besides."""
    of_systems = {system.python for system in systems}
    of_controllers = {python for python in of_systems.union(controller_pythons) if python not in TOO_OLD}
    archives: list[Archive] = []
    images: list[bundle_images.Wish] = []
    wheels: list[bundle_wheels.Wish] = []
    left_out: list[str] = []
    for name, pin in sorted(pins.items()):
        version = str(pin["version"])
        archives += _archives(pin, name, version, architectures)
        images += [bundle_images.Wish(i["name"], i["tag"], i["digest"], name, version) for i in pin.get("images") or ()]
        pythons = of_controllers if name == CONTROLLER else of_systems
        for python in sorted(pythons):
            wheels += _wheels(pin, name, version, python, architectures)
        missing = [one for one in architectures if pin.get("archives") and one not in pin["archives"]]
        if missing:
            left_out.append(f"{name} {version} for {', '.join(missing)}: its pin names no archive for it")
        if name == CONTROLLER and systems and not of_controllers:
            left_out.append(f"{name} {version}: no controller runs on {', '.join(sorted(of_systems))}; {GIVE_PYTHON}")
        unknown = _unknown(pin, architectures)
        if unknown:
            left_out.append(f"{name} {version}: nobody gave a digest for {', '.join(unknown)}; {ASK}")
        elif not any(pin.get(field) for field in GIVING):
            left_out.append(
                f"{name} {version}: its pin names no archive, image, wheels or packages; give them in site_pins.{name}"
            )
    packages = [_packages(pins, system, of_roles.get(system.name, {}), more) for system in systems]
    return Plan(tuple(archives), tuple(images), tuple(wheels), tuple(packages), tuple(left_out))


def _unknown(pin: Pin, architectures: Sequence[str]) -> list[str]:
    """Images and archives whose digest neither the pin nor the site has."""
    lacking = unresolved(pin)
    images = [f"{image}:{tag}" for image, tag in lacking.images]
    return images + [f"the archive for {one}" for one in architectures if one in lacking.archives]


def _wheels(pin: Pin, name: str, version: str, python: str, architectures: Sequence[str]) -> list[bundle_wheels.Wish]:
    requirements = str(pin.get("requirements") or "")
    return [
        bundle_wheels.Wish(name, version, requirements, python, architecture)
        for architecture in architectures
        if requirements
    ]


def _archives(pin: Pin, name: str, version: str, architectures: Sequence[str]) -> list[Archive]:
    return [
        Archive(name, version, architecture, str(archive["url"]), f"sha256:{archive['sha256']}")
        for architecture, archive in sorted((pin.get("archives") or {}).items())
        if architecture in architectures
    ]


def _packages(
    pins: Mapping[str, Pin], system: System, of_roles: Mapping[str, Sequence[str]], more: Sequence[str]
) -> Packages:
    components = packages_of_pins(pins, system)
    versions: dict[str, str] = {}
    for package, component in components.items():
        by_system: Mapping[str, str] = pins[component].get("packages") or {}
        known = next((by_system[name] for name in system.names if name in by_system), None)
        if known is not None:
            versions[package] = known
    of_all_roles = frozenset(package for packages in of_roles.values() for package in packages)
    optional = frozenset(components) - frozenset(versions) - of_all_roles
    return Packages(system, of_all_roles | frozenset(more) | frozenset(versions), versions, components, optional)


def component_of(pin: Pin) -> Component:
    end = pin["end_of_life"]
    return Component(
        str(pin["name"]), str(pin["version"]), str(pin["licence"]), str(pin["source"]), str(end) if end else None
    )


def component_of_system(system: System) -> Component:
    return Component(
        system.component,
        system.version,
        "of each package, in its /usr/share/doc/<package>/copyright",
        system.repositories[0].uri,
        system.end_of_life,
    )
