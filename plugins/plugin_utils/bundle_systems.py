# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operating systems for which a bundle can carry packages, and what the roles install there. No Ansible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.onprem.dify.plugins.plugin_utils import collection_files

# What a role installs it names in its vars, in variables of this ending ...
_PACKAGES = "_packages"
# ... and in these.
_MORE = ("__packages_base", "__packages_selinux_tools")


class UnknownSystemError(Exception):
    """There is no such system here, or a role is not clear about it; the text is for the user."""


@dataclass(frozen=True)
class Repository:
    """A repository of packages as upstream serves it."""

    uri: str
    suites: tuple[str, ...] = ()
    components: tuple[str, ...] = ("main",)
    signed_by: str = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class System:
    """An operating system of the hosts."""

    name: str
    title: str
    codename: str
    family: str
    python: str
    end_of_life: str | None
    repositories: tuple[Repository, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What files and pins may call it, the most exact first."""
        return (self.name, self.name.partition("_")[0], self.family)

    @property
    def uses_rpm(self) -> bool:
        return self.family == "RedHat"

    @property
    def component(self) -> str:
        return self.name.lower().replace("_", "-")

    @property
    def version(self) -> str:
        return self.name.partition("_")[2]


# Debian has many mirrors. Which one is asked stands in no project but in the apt of the machine that builds.
_DEBIAN = "debian://debian"


def _debian(version: str, codename: str, python: str, end_of_life: str) -> System:
    archive = Repository(_DEBIAN, (codename, f"{codename}-updates"))
    security = Repository(f"{_DEBIAN}-security", (f"{codename}-security",))
    name = f"Debian_{version}"
    return System(name, f"Debian {version}", codename, "Debian", python, end_of_life, (archive, security))


def _red_hat(name: str, title: str, python: str, end_of_life: str | None, *uris: str) -> System:
    """`codename` is the platform that decides which modules fit. The keys of the packages the site has to give."""
    version = name.partition("_")[2]
    repositories = tuple(Repository(uri, signed_by="") for uri in uris)
    return System(name, title, f"platform:el{version}", "RedHat", python, end_of_life, repositories)


# dnf puts the architecture in the place of its word for it.
_ROCKY = "https://dl.rockylinux.org/pub/rocky/9"
_ALMA = "https://repo.almalinux.org/almalinux/9"
_RHEL = "https://cdn.redhat.com/content/dist/rhel9/9/$basearch"
_OPENEULER = "https://repo.openeuler.org/openEuler"

SYSTEMS = {
    system.name: system
    for system in (
        _debian("12", "bookworm", "3.11", "2028-06-30"),
        _debian("13", "trixie", "3.13", "2030-06-30"),
        _red_hat(
            *("Rocky_9", "Rocky Linux 9", "3.9", "2032-05-31"),
            *(f"{_ROCKY}/{part}/$basearch/os" for part in ("BaseOS", "AppStream")),
        ),
        _red_hat(
            *("AlmaLinux_9", "AlmaLinux 9", "3.9", "2032-05-31"),
            *(f"{_ALMA}/{part}/$basearch/os" for part in ("BaseOS", "AppStream")),
        ),
        _red_hat(
            *("RedHat_9", "Red Hat Enterprise Linux 9", "3.9", "2032-05-31"),
            *(f"{_RHEL}/{part}/os" for part in ("baseos", "appstream")),
        ),
        _red_hat(
            *("openEuler_22", "openEuler 22.03", "3.9", None),
            *(f"{_OPENEULER}-22.03-LTS-SP4/{part}/$basearch" for part in ("OS", "everything", "update")),
        ),
        _red_hat(
            *("openEuler_24", "openEuler 24.03", "3.11", None),
            *(f"{_OPENEULER}-24.03-LTS/{part}/$basearch" for part in ("OS", "everything", "update")),
        ),
    )
}


def named(name: str) -> System:
    if name not in SYSTEMS:
        raise UnknownSystemError(f"bundle_systems: {name} is unknown, known are {', '.join(SYSTEMS)}")
    return SYSTEMS[name]


def packages_of_roles(roles: Path, system: System) -> dict[str, list[str]]:
    """What each role installs on a system, by role."""
    found: dict[str, list[str]] = {}
    for folder in sorted(path for path in roles.iterdir() if (path / "vars").is_dir()):
        packages = sorted(
            {package for values in _vars(folder / "vars", system) for package in _named_in(folder, values)}
        )
        if packages:
            found[folder.name] = packages
    return found


def _vars(folder: Path, system: System) -> Iterator[Mapping[str, Any]]:
    """The variables that hold on every system, and those of the first file for this one, as the roles include it."""
    own = next((folder / f"{name}.yml" for name in system.names if (folder / f"{name}.yml").is_file()), None)
    for path in (folder / "main.yml", own):
        if path is not None and path.is_file():
            yield collection_files.read(path) or {}


def _named_in(role: Path, values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if not (name.endswith(_PACKAGES) or name in _MORE):
            continue
        if isinstance(value, str) and _PACKAGES in value:  # composed of other variables, which are looked at themselves
            continue
        if not isinstance(value, Sequence) or not all(isinstance(item, str) and "{" not in item for item in value):
            raise UnknownSystemError(
                f"role {role.name}: {name} is not a list of names of packages, so the bundle would miss some"
            )
        yield from value


def packages_of_pins(pins: Mapping[str, Mapping[str, Any]], system: System) -> dict[str, str]:
    """The component of every package that pins name for a system."""
    found: dict[str, str] = {}
    for component, pin in sorted(pins.items()):
        names = pin.get("package_names") or {}
        for package in next((names[name] for name in system.names if name in names), []):
            found[package] = component
    return found
