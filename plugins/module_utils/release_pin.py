# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pin says of a program that is to be installed in a directory of its own. No Ansible, no I/O."""

from __future__ import annotations

import re
from typing import Any, List, Mapping, NamedTuple, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.pins import lock_digest, unhashed
from ansible_collections.onprem.dify.plugins.module_utils.release import ReleaseError


class Pinned(NamedTuple):
    """`digest`: of the archive, or of the text that locks the wheels. `places`: where they can be had."""

    name: str
    version: str
    digest: str
    places: List[str]
    requirements: str
    ca_path: str


def parse_pin(pin: Mapping[str, Any], kind: str) -> Pinned:
    name, version = parse_name(pin.get("name"), pin.get("version"))
    ca_path = str(pin.get("ca_path") or "")
    if kind == "venv":
        requirements = str(pin.get("requirements") or "")
        bad = unhashed(requirements)
        if bad:
            raise ReleaseError(f"requirements: no version and hash in {'; '.join(bad)}")
        places = _places(pin.get("wheel_links"), "wheel_links", "wheels=true")
        if not requirements:
            raise ReleaseError("requirements is missing in its pin")
        return Pinned(name, version, lock_digest(requirements), places, requirements, ca_path)
    archive = pin.get("archive")
    if not isinstance(archive, Mapping):
        raise ReleaseError("archive is missing in its pin: look the pin up with archive=true")
    places = _places(archive.get("urls"), "archive.urls", "archive=true")
    return Pinned(name, version, _digest(archive.get("sha256")), places, "", ca_path)


def _places(given: Any, field: str, option: str) -> List[str]:
    if not isinstance(given, list) or not given:
        raise ReleaseError(
            f"{field} is {given!r} in its pin, wanted is a list of places, as a look-up with {option} has"
        )
    return [str(place) for place in given]


def _digest(sha256: Any) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", str(sha256)):
        raise ReleaseError(f"sha256 {sha256!r} is not 64 hexadecimal digits")
    return str(sha256)


def parse_name(name: Any, version: Any) -> Tuple[str, str]:
    # A number after a hyphen would look like the version of another component.
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*", str(name)):
        raise ReleaseError(f"name {name!r} is not words in lower case joined by hyphens")
    if not re.fullmatch(r"\d[\w.+~-]*", str(version)):
        raise ReleaseError(f"version {version!r} is not one exact version")
    return str(name), str(version)
