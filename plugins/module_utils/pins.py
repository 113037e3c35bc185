# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins: which version of each component a site runs. No Ansible, no I/O."""

from __future__ import annotations

import datetime
import difflib
import hashlib
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

Pin = Dict[str, Any]

REQUIRED = ("name", "version", "licence", "end_of_life", "source")
OPTIONAL = (
    "end_of_life_note",
    "packages",
    "package_names",
    "archives",
    "images",
    "to_resolve",
    "collections",
    "requirements",
    "wheels",
)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# What the pin of a version says of that version alone.
OF_ONE_VERSION = ("packages", "archives", "images", "collections", "requirements")
LOGIN_FAULT = "has a name or a password in it, which would stand in the lock; put them into ~/.netrc"
NOTICE = datetime.timedelta(days=183)
# Words and patterns that mean another thing tomorrow.
_MUTABLE = re.compile(r"^(latest|stable|main|master|head|current|edge|nightly)$|[*<>=~^ ]|\.x\b|^$", re.IGNORECASE)
_IMAGE_NAME = re.compile(r"[a-z0-9.-]+\.[a-z0-9.-]+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# A name and a password in an address would stand in locks and logs.
LOGIN = re.compile(r"^([a-z]+://)?[^/]*@", re.IGNORECASE)
_HASHED = re.compile(r"^[A-Za-z0-9._-]+(\[[a-z0-9_,-]+\])?==[^\s;]+(\s*;[^\\]+)?(\s+--hash=sha256:[0-9a-f]{64})+$")


class PinError(Exception):
    """There is no such pin, or not in this form; the text is for the user."""


class Host:
    """What a host is, in the words of the bundle: `Debian_12`, `Debian`, `amd64`."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        distribution, major = facts.get("distribution"), facts.get("distribution_major_version")
        names = [f"{distribution}_{major}", distribution, facts.get("os_family")]
        self.systems: List[str] = [str(name) for name in names if name] if distribution else []
        machine = str(facts.get("architecture", ""))
        self.architecture: str = ARCHITECTURES.get(machine, machine)


def faults(pin: Any, today: datetime.date) -> List[str]:
    """What is wrong with a pin, one sentence each."""
    if not isinstance(pin, Mapping):
        return ["is not a mapping"]
    found = [f"{field} is missing" for field in REQUIRED if field not in pin]
    found += [f"unknown field {field}" for field in pin if field not in (*REQUIRED, *OPTIONAL)]
    if found:
        return found
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*", str(pin["name"])):
        found.append(f"name {pin['name']!r} is not words in lower case joined by hyphens")
    found += _version_faults("version", pin["version"])
    found += [f"{field} is empty" for field in ("licence", "source") if not str(pin[field] or "").strip()]
    if LOGIN.match(str(pin["source"])):
        found.append(f"source {LOGIN_FAULT}")
    found += end_of_life_faults(pin, today)
    for system, version in (pin.get("packages") or {}).items():
        if not re.fullmatch(r"[A-Za-z]+_\d+", str(system)):
            found.append(f"packages: {system} is not a distribution and its major version, as Debian_12")
        found += _version_faults(f"packages: {system}", version)
    for system, names in (pin.get("package_names") or {}).items():
        if not isinstance(names, list) or not names:
            found.append(f"package_names: {system} is not a list of names")
    for architecture, archive in (pin.get("archives") or {}).items():
        found += [f"archives: {architecture}: {fault}" for fault in _archive_faults(architecture, archive)]
    found += _images_faults(pin.get("images") or [])
    found += _to_resolve_faults(pin)
    for name, allowed in (pin.get("collections") or {}).items():
        if not isinstance(allowed, list) or not allowed:
            found.append(f"collections: {name} is not a list of versions")
            continue
        found += [fault for version in allowed for fault in _version_faults(f"collections: {name}", version)]
    if not re.match(r"(https?://|/)", str(pin.get("wheels", "/"))):
        found.append("wheels is neither an http nor an https address nor a directory")
    if LOGIN.match(str(pin.get("wheels", ""))):
        found.append(f"wheels {LOGIN_FAULT}")
    found += [f"requirements: {line!r} has no version and hash" for line in unhashed(pin.get("requirements") or "")]
    return found


def _version_faults(field: str, version: Any) -> List[str]:
    if not isinstance(version, str):
        return [f"{field} {version!r} is not a text; put it in quotes"]
    if not version or _MUTABLE.search(version):
        return [f"{field} {version!r} is not one exact version"]
    return []


def end_of_life_faults(pin: Mapping[str, Any], today: datetime.date) -> List[str]:
    """What is wrong with the end of a pin's life on this day."""
    end, note = pin["end_of_life"], str(pin.get("end_of_life_note") or "").strip()
    if end is None:
        return [] if note else ["end_of_life is unknown and no end_of_life_note says why"]
    if isinstance(end, str):
        try:
            end = datetime.date.fromisoformat(end)
        except ValueError:
            return [f"end_of_life {end!r} is not a day, as 2027-11-11"]
    if not isinstance(end, datetime.date):
        return [f"end_of_life {end!r} is not a day, as 2027-11-11"]
    if end <= today:
        return [f"its life ended on {end}"]
    if end - today < NOTICE and not note:
        return [f"its life ends on {end}, within six months, and no end_of_life_note says what then"]
    return []


def _archive_faults(architecture: str, archive: Any) -> List[str]:
    if not isinstance(archive, Mapping):
        return ["is not a mapping"]
    found = []
    if architecture not in ARCHITECTURES.values():
        found.append(f"unknown architecture, known are {', '.join(ARCHITECTURES.values())}")
    if not re.match(r"(https?|file)://", str(archive.get("url", ""))):
        found.append("url is not an http, https or file address")
    if LOGIN.match(str(archive.get("url", ""))):
        found.append(f"url {LOGIN_FAULT}")
    if not re.fullmatch(r"[0-9a-f]{64}", str(archive.get("sha256", ""))):
        found.append("sha256 is missing or not 64 hexadecimal digits")
    return found + [f"unknown field {field}" for field in archive if field not in ("url", "sha256")]


def _images_faults(images: Any) -> List[str]:
    if not isinstance(images, Sequence) or isinstance(images, str):
        return ["images is not a list"]
    found = []
    for image in images:
        if not isinstance(image, Mapping) or set(image) != {"name", "tag", "digest"}:
            found.append(f"images: {image!r} is not a mapping of name, tag and digest")
            continue
        where = f"images: {image['name']}"
        if not _IMAGE_NAME.fullmatch(str(image["name"])):
            found.append(f"{where} is not a name with its registry, as registry.k8s.io/pause")
        found += [f"{where}: {fault}" for fault in _version_faults("tag", image["tag"])]
        if not _DIGEST.fullmatch(str(image["digest"])):
            found.append(f"{where}: digest is missing or not sha256: and 64 hexadecimal digits")
    references = [
        f"{image['name']}:{image['tag']}" for image in images if isinstance(image, Mapping) and len(image) == 3
    ]
    return found + sorted({f"images: {name} stands twice" for name in references if references.count(name) > 1})


def _to_resolve_faults(pin: Mapping[str, Any]) -> List[str]:
    named = pin.get("to_resolve") or {}
    if not isinstance(named, Mapping) or set(named) - {"images", "archives"}:
        return ["to_resolve is not a mapping of images and archives"]
    images, archives = named.get("images") or [], named.get("archives") or {}
    if not isinstance(images, list) or not isinstance(archives, Mapping):
        return ["to_resolve: images is not a list, or archives not a mapping of architectures"]
    found = []
    # Another version of the site has other digests, so the version stands in the pin alone.
    for text in [*images, *archives.values()]:
        if "{version}" not in str(text):
            found.append(f"to_resolve: {text} has no {{version}}")
    wanted = to_resolve(pin)
    placed = [{"name": name, "tag": tag, "digest": f"sha256:{'0' * 64}"} for name, tag in wanted.images]
    found += [f"to_resolve: {fault}" for fault in _images_faults(placed)]
    for architecture, url in wanted.archives.items():
        archive = {"url": url, "sha256": "0" * 64}
        found += [f"to_resolve: archives: {architecture}: {fault}" for fault in _archive_faults(architecture, archive)]
    return found


class Unresolved:
    """What a pin names without a digest: images as name and tag, addresses of archives by architecture."""

    def __init__(self, images: List[Tuple[str, str]], archives: Dict[str, str]) -> None:
        self.images = images
        self.archives = archives

    def __bool__(self) -> bool:
        return bool(self.images or self.archives)


def unresolved(pin: Mapping[str, Any]) -> Unresolved:
    """What nobody has given the digest of yet."""
    named = to_resolve(pin)
    known = {(image["name"], image["tag"]) for image in pin.get("images") or ()}
    archives = {name: url for name, url in named.archives.items() if name not in (pin.get("archives") or {})}
    return Unresolved([image for image in named.images if image not in known], archives)


def to_resolve(pin: Mapping[str, Any]) -> Unresolved:
    """All that a pin names without a digest, whether the site has given it or not."""
    named = pin.get("to_resolve") or {}
    version = str(pin["version"])
    images = [str(image).replace("{version}", version).rpartition(":") for image in named.get("images") or ()]
    archives = {name: str(url).replace("{version}", version) for name, url in (named.get("archives") or {}).items()}
    return Unresolved([(name, tag) for name, _colon, tag in images], archives)


def unhashed(requirements: str) -> List[str]:
    """The lines of a requirements file that do not name one version and its hashes."""
    lines = re.sub(r"\\\n\s*", " ", requirements).splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return [line for line in wanted if not _HASHED.match(line)]


def lock_digest(requirements: str) -> str:
    """By which an installation of wheels is known: the hash of the text that locks them."""
    return hashlib.sha256(requirements.encode()).hexdigest()


def select(bundle: Mapping[str, Pin], site: Mapping[str, Any], component: str, host: Host) -> Pin:
    """The pin of one component for a host of a site."""
    _refuse_unknown(bundle, site)
    if component not in bundle:
        raise PinError(_unknown(component, bundle))
    pin = _of_site(bundle, site, component)
    pin["package_version"] = _of_system(pin.get("packages"), host) or pin["version"]
    names = _of_system(pin.get("package_names"), host)
    if names:
        pin["package_versions"] = dict.fromkeys(names, pin["package_version"])
    return pin


def of_site(bundle: Mapping[str, Pin], site: Mapping[str, Any]) -> Dict[str, Pin]:
    """All pins as a site has them, for every system and architecture."""
    _refuse_unknown(bundle, site)
    return {component: _of_site(bundle, site, component) for component in bundle}


def _refuse_unknown(bundle: Mapping[str, Pin], site: Mapping[str, Any]) -> None:
    for name in site:
        if name not in bundle:
            raise PinError(f"site_pins: {_unknown(name, bundle)}")


def _of_site(bundle: Mapping[str, Pin], site: Mapping[str, Any], component: str) -> Pin:
    own = site.get(component) or {}
    problems = _site_faults(own)
    if problems:
        raise PinError(f"site_pins: {component}: {'; '.join(problems)}")
    return merge(bundle[component], own)


def merge(pin: Pin, own: Mapping[str, Any]) -> Pin:
    """A pin with what the site says instead."""
    base = dict(pin)
    if str(own.get("version", pin["version"])) != pin["version"]:
        # A checksum of another version is as good as none.
        base = {field: value for field, value in base.items() if field not in OF_ONE_VERSION}
    for field, value in own.items():
        joined = isinstance(value, Mapping) and isinstance(base.get(field), Mapping)
        base[field] = {**base[field], **value} if joined else value
    return base


def _site_faults(own: Any) -> List[str]:
    if not isinstance(own, Mapping):
        return ["is not a mapping"]
    filled = {"name": "site", "version": "1", "licence": "-", "end_of_life": None, "source": "-"}
    return faults({**filled, "end_of_life_note": "-", **own}, datetime.date.min)


def _unknown(name: str, bundle: Mapping[str, Pin]) -> str:
    near = difflib.get_close_matches(name, list(bundle), n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else f" Known are {', '.join(sorted(bundle))}."
    return f"The bundle has no component {name}.{hint}"


def _of_system(by_system: Optional[Mapping[str, Any]], host: Host) -> Any:
    return next((by_system[name] for name in host.systems if name in by_system), None) if by_system else None


def archive_of(pin: Pin, host: Host) -> Mapping[str, Any]:
    """The archive for the architecture of a host."""
    archives: Mapping[str, Any] = pin.get("archives") or {}
    if not host.architecture:
        raise PinError(f"{pin['name']}: gather the fact architecture before you ask for its archive")
    if host.architecture not in archives:
        known = f", only for {', '.join(sorted(archives))}" if archives else ""
        raise PinError(
            f"{pin['name']} {pin['version']}: no archive with a known sha256 for {host.architecture}{known}."
            f" Give url and sha256 of yours in site_pins.{pin['name']}.archives.{host.architecture}."
        )
    chosen: Mapping[str, Any] = archives[host.architecture]
    return chosen


def digests(pin: Pin) -> List[str]:
    """What M(onprem.dify.release) may have recorded for this version: hashes of archives, and of the lock of wheels."""
    found = [str(archive["sha256"]) for archive in (pin.get("archives") or {}).values()]
    lock = pin.get("requirements")
    return found + ([lock_digest(str(lock))] if lock else [])


def package_versions(pins: Sequence[Pin]) -> Dict[str, str]:
    """Every package that pins speak of on a host, with its version."""
    return {name: version for pin in pins for name, version in (pin.get("package_versions") or {}).items()}
