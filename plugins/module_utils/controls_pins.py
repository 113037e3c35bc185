# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of pins: what is installed of the pinned components is what the pins say."""

from __future__ import annotations

import json
from typing import Any, Iterator, Mapping, Tuple

from ansible_collections.onprem.dify.plugins.module_utils import pins, release
from ansible_collections.onprem.dify.plugins.module_utils.controls_host import Sources
from ansible_collections.onprem.dify.plugins.module_utils.package_set import matches

# Component or package, what was found of it, and what is wrong with that.
Finding = Tuple[str, str, str]


def pinned_findings(check: Mapping[str, Any], sources: Sources) -> Tuple[str, bool]:
    """What was found, and whether it is good. A component that the host does not have is nobody's fault."""
    read = {"packages": _packages, "releases": _releases}[check["origin"]]
    found = list(read(check, sources))
    bad = [f"{name} {version} {fault}" for name, version, fault in found if fault]
    good = [f"{name} {version}" for name, version, _fault in found]
    return "; ".join(bad) or ", ".join(good) or "none of them installed", not bad


def describe_pinned(check: Mapping[str, Any]) -> str:
    names = ", ".join(pin["name"] for pin in check["pins"])
    way = {"packages": "in packages at their version and held", "releases": "from their archive or wheels"}
    return f"what is installed of {names}: {way[check['origin']]}"


def _packages(check: Mapping[str, Any], sources: Sources) -> Iterator[Finding]:
    state = sources.package_state()
    for name, wanted in sorted(pins.package_versions(check["pins"]).items()):
        if name in state.installed:
            found = state.versions[name]
            fault = "" if matches(str(wanted), found) else f"instead of {wanted}"
            yield name, found, fault or ("" if name in state.held else "is not held")


def _releases(check: Mapping[str, Any], sources: Sources) -> Iterator[Finding]:
    for pin in check["pins"]:
        text = sources.text(f"{release.DIRECTORY}/{pin['name']}/{release.RECORD}")
        if text is not None:
            record = json.loads(text)
            found = record.get("version", "")
            fault = "" if found == pin["version"] else f"instead of {pin['version']}"
            known = record.get("sha256") in pins.digests(pin)
            yield pin["name"], found, fault or ("" if known else f"from another origin, sha256 {record.get('sha256')}")
