# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of Dify's services: what a tenant may say, and what comes of it. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Collection, Dict, Iterator, List, Mapping, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils import dify_limits
from ansible_collections.onprem.dify.plugins.module_utils.dify_release import Release, families_of, names
from ansible_collections.onprem.dify.plugins.module_utils.dify_tenants import Fault
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import nearest, one_of

CHECK = "dify-setting"
Wishes = Mapping[str, Mapping[str, Any]]

DECIDED = {
    "fixed": "to leave it out: the collection decides it",
    "site": "to leave it out: it follows from the site and the tenant",
    "secret": "it in site_secrets, and nowhere else",
}


def text(value: Any) -> str:
    """A value as an environment variable holds it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def faults(release: Release, wishes: Any) -> Iterator[Fault]:
    """What is wrong with the settings that a site or a tenant wants, by family of services."""
    if not isinstance(wishes, Mapping):
        return
    for family, settings in wishes.items():
        if family not in release["settings"]:
            yield Fault(CHECK, f".{family}", "unknown", one_of(str(family), list(release["settings"])))
        elif not isinstance(settings, Mapping):
            yield Fault(CHECK, f".{family}", "not a mapping", "settings by their names")
        else:
            for name, value in settings.items():
                yield from _fault(release, family, str(name), value)
    yield from _apart(release, wishes)


def refusals(release: Release, settings: Any, tenants: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong with the settings of the site and of its tenants, a line for each fault."""
    places = {"dify_settings": settings}
    places.update({f"dify_tenants: settings of {tenant['name']}": tenant["settings"] for tenant in tenants})
    for place, wishes in places.items():
        yield from (fault.line(place) for fault in faults(release, wishes))


def _fault(release: Release, family: str, name: str, value: Any) -> Iterator[Fault]:
    known = names(release, family)
    place = f".{family}.{name}"
    kind = known.get(name)
    if kind in DECIDED:
        yield Fault(CHECK, place, "not a tenant's to decide", DECIDED[str(kind)])
    elif kind is None:
        yield Fault(CHECK, place, f"unknown to Dify {release['version']}", _instead(release, family, name, known))
    elif value is None or isinstance(value, (Mapping, list, tuple)):
        yield Fault(CHECK, place, "not a text or a number", "one value")
    elif name in dify_limits.NUMBERS and not dify_limits.is_number(value):
        # What lets bodies and answers through goes by it.
        yield Fault(CHECK, place, text(value) or "empty", "a whole number above 0, without a unit")


def _instead(release: Release, family: str, name: str, known: Mapping[str, str]) -> str:
    if name in release["renamed"]:
        return f"{release['renamed'][name]}, as it is called now"
    if name in release["removed"]:
        return f"to leave it out: {release['removed'][name]}"
    elsewhere = families_of(release, name)
    if elsewhere:
        return f"it below {' or '.join(elsewhere)}"
    close = nearest(name, known)
    return close or f"a setting of {family} in releases/{release['version']}.yml"


def _apart(release: Release, wishes: Wishes) -> Iterator[Fault]:
    """Settings that mean one thing, with two values."""
    for pair in release["together"]:
        said = [(family, text(value)) for family, value in _said(wishes, pair).items()]
        for family, value in said[1:]:
            first, wanted = said[0]
            if value != wanted:
                yield Fault(CHECK, f".{family}.{pair[family]}", value, f"{wanted}, as in {first}.{pair[first]}")


def _said(wishes: Wishes, pair: Mapping[str, str]) -> Dict[str, Any]:
    found = {}
    for family, name in pair.items():
        settings = wishes.get(family)
        if isinstance(settings, Mapping) and name in settings:
            found[family] = settings[name]
    return found


def joined(release: Release, *wishes: Wishes) -> Dict[str, Dict[str, str]]:
    """The wishes of the site and then of the tenant, with what goes together. The later one wins."""
    found: Dict[str, Dict[str, str]] = {family: {} for family in release["settings"]}
    for wish in wishes:
        for family, settings in wish.items():
            found[family].update({name: text(value) for name, value in settings.items()})
        for pair in release["together"]:
            said = _said(wish, pair)
            for family, name in pair.items():
                if said:
                    found[family][name] = text(next(iter(said.values())))
    return found


def shared(
    release: Release, family: str, facts: Mapping[str, Any], wishes: Mapping[str, Mapping[str, str]]
) -> Dict[str, str]:
    """The settings that all services of a family have in common."""
    kinds = release["settings"][family]
    worked_out = {name: facts[fact] for name, fact in kinds.get("site", {}).items() if facts[fact] is not None}
    return dict(sorted({**kinds.get("defaults", {}), **wishes[family], **kinds.get("fixed", {}), **worked_out}.items()))


def secret_names(release: Release, family: str, found: Collection[str]) -> List[Tuple[str, str]]:
    """The environment variables of a family that hold secrets, each with the name of its secret."""
    return sorted(
        (entry["names"][family], secret)
        for secret, entry in release["secrets"].items()
        if family in entry["names"] and secret in found
    )
