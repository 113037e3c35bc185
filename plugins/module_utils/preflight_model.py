# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks of an inventory read and what they return. No Ansible, no I/O."""

from __future__ import annotations

import datetime
import difflib
import ipaddress
from dataclasses import dataclass, field
from typing import Any, Iterable, List, Mapping, Optional, Sequence

from ansible_collections.onprem.dify.plugins.module_utils.site import GROUPS, ZONE_OF_GROUP, ZONES

SITE = "site"
NOT_SET = "not set"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, in one line: where, which variable, what was found and what is wanted."""

    check: str
    where: str
    variable: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.where}: {self.variable} is {self.found}, wanted: {self.wanted} [{self.check}]"

    @property
    def order(self) -> tuple[bool, str, str, str, str]:
        return (self.where != SITE, self.where, self.variable, self.check, self.found)


@dataclass(frozen=True)
class Inventory:
    """The inventory as the checks see it: only what the user wrote, and what the collection knows."""

    groups: Mapping[str, Sequence[str]]
    hosts: Mapping[str, Mapping[str, Any]]
    # The variables that the roles declare, by name, in the form of their argument specifications.
    known: Mapping[str, Mapping[str, Any]]
    # The table of flows that comes with the collection.
    flows: Sequence[Mapping[str, Any]]
    today: datetime.date
    # Variables that could not be worked out, by host and name, with the reason.
    broken: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # Files that hold secrets and are not encrypted.
    plain_secret_files: Sequence[str] = ()
    # The versions that come with the collection, by component.
    pins: Mapping[str, str] = field(default_factory=dict)
    # The releases of Dify that the collection knows, by version.
    releases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def setting(self, name: str) -> Any:
        """A variable of the whole site; its default or an empty value if it is not set or of the wrong type."""
        option = self.known.get(name, {})
        default = option.get("default")
        if default is None:
            default = {"dict": {}, "list": [], "str": ""}.get(option.get("type", "str"))
        for variables in self.hosts.values():
            if name in variables:
                value = variables[name]
                return value if type_fits(value, option.get("type", "str")) else default
        return default

    def members(self, group: str) -> Sequence[str]:
        return self.groups.get(group, ())

    def zones_of(self, host: str) -> List[str]:
        """The zones of a host: those that it is put in, and those of its service groups."""
        groups = [group for group in GROUPS if host in self.members(group)]
        return [
            zone
            for zone in ZONES
            if host in self.members(zone) or any(ZONE_OF_GROUP[group] == zone for group in groups)
        ]


def type_fits(value: Any, wanted: str) -> bool:
    """Whether a value can serve as an option of this type of an argument specification."""
    if wanted == "dict":
        return isinstance(value, Mapping)
    if wanted == "list":
        return isinstance(value, (list, tuple))
    if wanted == "bool":
        return isinstance(value, bool) or str(value).lower() in ("yes", "no", "true", "false", "on", "off", "1", "0")
    if wanted == "int":
        return not isinstance(value, bool) and str(value).lstrip("-").isdigit()
    if wanted == "float":
        return not isinstance(value, bool) and str(value).lstrip("-").replace(".", "", 1).isdigit()
    if wanted in ("str", "path"):
        return isinstance(value, (str, int, float, datetime.date)) and not isinstance(value, bool)
    return True


def nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> Optional[str]:
    """The known name that a misspelt one most likely means."""
    lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower().replace("-", "_"), lower, n=1, cutoff=cutoff)
    return lower[close[0]] if close else None


def one_of(name: str, names: Sequence[str]) -> str:
    """What to write instead of an unknown name: the nearest, or the choice."""
    close = nearest(name, names)
    return close if close else "one of " + ", ".join(names)


def as_address(value: Any) -> Optional[ipaddress.IPv4Address]:
    try:
        return ipaddress.IPv4Address(str(value))
    except ValueError:
        return None


def as_network(value: Any) -> Optional[ipaddress.IPv4Network]:
    """The network, if its prefix is written out and its host part is zero."""
    try:
        return ipaddress.IPv4Network(str(value)) if "/" in str(value) else None
    except ValueError:
        return None


def show(value: Any) -> str:
    """A value as it may stand in one line."""
    if value is None or value == "":
        return "empty"
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
