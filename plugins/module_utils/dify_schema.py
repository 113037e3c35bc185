# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the file of a release of Dify. No Ansible, no I/O."""

from __future__ import annotations

import re
from typing import Any, Iterator, List, Mapping

from ansible_collections.onprem.dify.plugins.module_utils.dify_facts import FACTS
from ansible_collections.onprem.dify.plugins.module_utils.dify_release import (
    OUTSIDE,
    PATH,
    ROUTER,
    Release,
    families_of,
    names,
)
from ansible_collections.onprem.dify.plugins.module_utils.dify_secrets import COMPOSED, OWN, SERVICES
from ansible_collections.onprem.dify.plugins.module_utils.pins import Pin, to_resolve
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import nearest, one_of, type_fits

PARTS = {
    "version": "str",
    "upgrade": "dict",
    "migration": "dict",
    "images": "dict",
    "services": "dict",
    "flows": "dict",
    "paths": "list",
    "secrets": "dict",
    "settings": "dict",
    "together": "list",
    "renamed": "dict",
    "removed": "dict",
    "unproven": "list",
}
SERVICE = {
    "image": "str",
    "settings": "str",
    "environment": "dict",
    "port": "int",
    "health": "dict",
    "user": "int",
    "root": "dict",
    "scratch": "list",
    "uploads": "str",
    "packages": "str",
    "queues": "list",
    "job": "bool",
    "single": "bool",
    "isolated": "bool",
    "dns": "bool",
    "agents": "bool",
    "writes_root": "bool",
    "proxy": "str",
}
HEALTH = {"http": "str", "headers": "dict", "tcp": "bool", "command": "str", "seconds": "int"}
KINDS = {"fixed": "dict", "site": "dict", "defaults": "dict", "known": "list"}
ROUTE = {
    "path": "str",
    "to": "str",
    **dict.fromkeys(("open", "keyed", "hook", "stream", "closed"), "bool"),
}
# What may be added in a namespace whose Pod Security is `baseline`.
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "SYS_CHROOT")


def faults(release: Any, pins: Mapping[str, Pin]) -> List[str]:
    """One sentence for each fault, beginning with its place in the file."""
    if not isinstance(release, Mapping):
        return ["the file is not a mapping"]
    found = list(_form("the file", release, PARTS, tuple(PARTS)))
    if found:
        return found
    for part in (_images, _services, _flows, _paths, _secrets, _settings, _together, _renamed, _removed, _unproven):
        found += part(release, pins)
    return found


def _form(place: str, value: Any, known: Mapping[str, str], required: tuple[str, ...] = ()) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{place} is not a mapping"
        return
    for key in value:
        if key not in known:
            yield f"{place}: unknown {key}, wanted: {one_of(str(key), list(known))}"
        elif not type_fits(value[key], known[key]):
            yield f"{place}.{key} is not of type {known[key]}"
    yield from (f"{place}.{key} is missing" for key in required if key not in value)


def _images(release: Release, pins: Mapping[str, Pin]) -> Iterator[str]:
    for key, image in release["images"].items():
        form = {"pin": "str", "name": "str", "tag": "str"}
        broken = list(_form(f"images.{key}", image, form, tuple(form)))
        if broken:
            yield from broken
        elif image["pin"] not in pins:
            yield f"images.{key}.pin: no component {image['pin']}, wanted: {one_of(image['pin'], list(pins))}"
        elif not _named(pins[image["pin"]], image):
            yield f"images.{key}: the pin {image['pin']} has no image {image['name']}"


def _named(pin: Pin, image: Mapping[str, str]) -> bool:
    known = [entry["name"] for entry in pin.get("images") or ()]
    return image["name"] in [*known, *(name for name, _tag in to_resolve(pin).images)]


def _services(release: Release, _pins: Mapping[str, Pin]) -> Iterator[str]:
    for name, service in release["services"].items():
        place = f"services.{name}"
        broken = list(_form(place, service, SERVICE, ("image", "scratch" if "user" in service else "image")))
        if broken:
            yield from broken
            continue
        if service["image"] not in release["images"]:
            yield f"{place}.image is {service['image']}, wanted: {one_of(service['image'], list(release['images']))}"
        if "settings" in service and service["settings"] not in release["settings"]:
            yield f"{place}.settings is {service['settings']}, wanted: one of {', '.join(release['settings'])}"
        if ("user" in service) == ("root" in service):
            yield f"{place}: wanted: either a user, or root with its capabilities"
        if service.get("user") == 0:
            yield f"{place}.user is 0, wanted: root with its capabilities"
        for capability in service.get("root", {}).get("capabilities", ()):
            if capability not in CAPABILITIES:
                yield f"{place}.root: capability {capability}, wanted: one of {', '.join(CAPABILITIES)}"
        if service.get("root") and not service.get("isolated"):
            yield f"{place} is root outside of the namespace of the sandboxes, wanted: isolated"
        yield from _health(place, service)
        yield from (f"{place}.scratch: {path} is not absolute" for path in service.get("scratch", ()) if path[0] != "/")


def _health(place: str, service: Mapping[str, Any]) -> Iterator[str]:
    if service.get("job"):
        return
    health = service.get("health", {})
    yield from _form(f"{place}.health", health, HEALTH)
    ways = [way for way in ("http", "tcp", "command") if way in health]
    if len(ways) != 1:
        yield f"{place}.health has {', '.join(ways) or 'nothing'}, wanted: one of http, tcp, command"
    elif ways[0] != "command" and "port" not in service:
        yield f"{place} has a health by {ways[0]} and no port"


def _flows(release: Release, _pins: Mapping[str, Pin]) -> Iterator[str]:
    starts, ends = [*release["services"], ROUTER], [*release["services"], *OUTSIDE]
    for start, targets in release["flows"].items():
        if start not in starts:
            yield f"flows: unknown {start}, wanted: {one_of(start, starts)}"
        for end in targets:
            if end not in ends:
                yield f"flows.{start}: unknown {end}, wanted: {one_of(end, ends)}"
            elif end in release["services"] and "port" not in release["services"][end]:
                yield f"flows.{start}: {end} has no port"


def _paths(release: Release, _pins: Mapping[str, Pin]) -> Iterator[str]:
    seen: List[str] = []
    for number, route in enumerate(release["paths"]):
        place = f"paths[{number}]"
        broken = list(_form(place, route, ROUTE, ("path",)))
        if broken:
            yield from broken
            continue
        if not PATH.fullmatch(route["path"]):
            yield f"{place}.path is {route['path']}, wanted: a path"
        if route["path"] in seen:
            yield f"{place}.path {route['path']} stands twice"
        seen.append(route["path"])
        if bool(route.get("closed")) == ("to" in route):
            yield f"{place}: wanted: either closed, or a service that it leads to"
        elif "to" in route and route["to"] not in release["flows"].get(ROUTER, ()):
            yield f"{place}.to is {route['to']}, wanted: one of flows.{ROUTER}"


def _secrets(release: Release, _pins: Mapping[str, Pin]) -> Iterator[str]:
    known = [*OWN, *SERVICES, *COMPOSED]
    for secret, entry in release["secrets"].items():
        place = f"secrets.{secret}"
        broken = list(_form(place, entry, {"form": "str", "names": "dict", "optional": "bool"}, ("names",)))
        if broken:
            yield from broken
            continue
        if secret not in known:
            yield f"{place}: unknown, wanted: {one_of(secret, known)}"
        elif entry.get("form") != OWN.get(secret):
            yield f"{place}.form is {entry.get('form')}, wanted: {OWN.get(secret) or 'none'}"
        for family in entry["names"]:
            if family not in release["settings"]:
                yield f"{place}.names: unknown {family}, wanted: {one_of(family, list(release['settings']))}"


def _settings(release: Release, _pins: Mapping[str, Pin]) -> Iterator[str]:
    facts = [*FACTS, *(f"service.{name}" for name, service in release["services"].items() if "port" in service)]
    for family, kinds in release["settings"].items():
        place = f"settings.{family}"
        yield from _form(place, kinds, KINDS)
        for kind in ("fixed", "defaults"):
            for name, value in kinds.get(kind, {}).items():
                if not isinstance(value, str):
                    yield f"{place}.{kind}.{name} is not a text; put it in quotes"
        for name, fact in kinds.get("site", {}).items():
            if fact not in facts:
                yield f"{place}.site.{name}: unknown {fact}, wanted: {one_of(fact, facts)}"
        every = [name for kind in KINDS for name in kinds.get(kind, ())]
        every += [entry["names"][family] for entry in release["secrets"].values() if family in entry["names"]]
        yield from sorted({f"{place}: {name} stands twice" for name in every if every.count(name) > 1})
        yield from (f"{place}: {name} is no name" for name in every if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name))


def _together(release: Release, _pins: Mapping[str, Pin]) -> Iterator[str]:
    for number, pair in enumerate(release["together"]):
        for family, name in pair.items():
            if names(release, family).get(name) not in ("defaults", "known"):
                yield f"together[{number}]: {name} is nothing that a tenant sets for {family}"


def _renamed(release: Release, _pins: Mapping[str, Pin]) -> Iterator[str]:
    every = [name for family in release["settings"] for name in names(release, family)]
    for old, new in release["renamed"].items():
        if old in every:
            yield f"renamed.{old} is a setting of this release"
        if new not in every:
            yield f"renamed.{old}: unknown {new}, wanted: {nearest(new, every) or 'a setting of this release'}"


def _removed(release: Release, _pins: Mapping[str, Pin]) -> Iterator[str]:
    for name, why in release["removed"].items():
        if families_of(release, name) or name in release["renamed"]:
            yield f"removed.{name} is a setting of this release, or renamed"
        if not why or not isinstance(why, str):
            yield f"removed.{name} does not say why"


def _unproven(release: Release, _pins: Mapping[str, Pin]) -> Iterator[str]:
    for number, entry in enumerate(release["unproven"]):
        place = f"unproven[{number}]"
        form = {"of": "str", "why": "str", "check": "str"}
        broken = list(_form(place, entry, form, tuple(form)))
        if broken:
            yield from broken
        elif not _exists(release, entry["of"]):
            yield f"{place}.of: there is no {entry['of']}"
    head = release["migration"].get("head")
    if head is None and "migration.head" not in [entry.get("of") for entry in release["unproven"]]:
        yield "migration.head is not known, and nothing under unproven says how it is found"
    if head is not None and not re.fullmatch(r"[0-9a-f]{12}", str(head)):
        yield f"migration.head is {head}, wanted: a revision of twelve hexadecimal digits"


def _exists(release: Release, place: str) -> bool:
    value: Any = release
    for key in place.split("."):
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        else:
            return isinstance(value, list) and key in value
    return True
