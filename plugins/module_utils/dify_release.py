# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release of Dify as data: which one a site runs, with its images by digest. No Ansible, no I/O."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, List, Mapping

from ansible_collections.onprem.dify.plugins.module_utils.pins import Pin
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import one_of

Release = Mapping[str, Any]

# The pin whose version says which release a site runs.
PIN = "dify"
# What lets the users in. It is no part of a release.
ROUTER = "router"
ROUTER_PORT = 8443
# What is not Dify, and where its pods open connections to.
OUTSIDE = ("models", "packages", "postgres", "redis", "s3", "smtp")
PATH = re.compile(r"/[A-Za-z0-9._/-]*")


class ReleaseError(Exception):
    """There is no such release, or it cannot be installed yet; the text is for the user."""


def choose(releases: Mapping[str, Release], pins: Mapping[str, Pin]) -> Dict[str, Any]:
    """The release that the site runs, each of its images with `reference`: name, tag and digest."""
    release = named(releases, pins)
    return {**release, "images": _with_digests(release, pins)}


def named(releases: Mapping[str, Release], pins: Mapping[str, Pin]) -> Release:
    """The file of the release that the site runs, for who needs none of its images."""
    version = str(pins[PIN]["version"])
    if version not in releases:
        known = ", ".join(sorted(releases))
        raise ReleaseError(f"site_pins.{PIN}.version is {version}, wanted: a release with a file in releases/, {known}")
    return releases[version]


def _with_digests(release: Release, pins: Mapping[str, Pin]) -> Dict[str, Any]:
    images: Dict[str, Any] = {}
    missing: List[str] = []
    for key, image in release["images"].items():
        pin = pins[image["pin"]]
        digests = [
            known["digest"]
            for known in pin.get("images") or ()
            if (known["name"], known["tag"]) == (image["name"], image["tag"])
        ]
        if digests:
            images[key] = {**image, "reference": f"{image['name']}:{image['tag']}@{digests[0]}"}
        else:
            missing.append(f"site_pins.{image['pin']}.images has no {image['name']}:{image['tag']}")
    if missing:
        raise ReleaseError(
            f"Dify {release['version']}: no digest for {len(missing)} of its images. "
            f"{'; '.join(missing)}. docs/pins.md says how to give them."
        )
    return images


def services(release: Release, agents: bool) -> Dict[str, Mapping[str, Any]]:
    """The services that a tenant runs, with or without agents."""
    return {name: service for name, service in release["services"].items() if agents or not service.get("agents")}


def names(release: Release, family: str) -> Dict[str, str]:
    """Every setting of a family of services, and who decides it."""
    found: Dict[str, str] = {}
    for kind, settings in release["settings"].get(family, {}).items():
        found.update(dict.fromkeys(settings, kind))
    for secret in release["secrets"].values():
        if family in secret["names"]:
            found[secret["names"][family]] = "secret"
    return found


def families_of(release: Release, setting: str) -> List[str]:
    return [family for family in release["settings"] if setting in names(release, family)]


def queue_faults(release: Release, groups: Mapping[str, Iterable[str]]) -> List[str]:
    """What is wrong with how the queues are shared out among groups of workers."""
    wanted: List[str] = list(release["services"]["worker"]["queues"])
    shared = [queue for queues in groups.values() for queue in queues]
    found = [
        f"{group} reads the queue {queue}, wanted: {one_of(str(queue), wanted)}"
        for group, queues in groups.items()
        for queue in queues
        if queue not in wanted
    ]
    # What nobody reads waits forever, silently: schedules would never fire.
    unread = [queue for queue in wanted if queue not in shared]
    if unread:
        found.append(f"nobody reads the queue {', '.join(unread)}, wanted: a group of workers for each queue")
    return found


def image(pins: Mapping[str, Pin], component: str) -> str:
    """The one image of a component that is no part of a release, by name, tag and digest."""
    known: List[Mapping[str, str]] = pins[component].get("images") or []
    if len(known) != 1:
        raise ReleaseError(
            f"site_pins.{component}.images has {len(known)} images with a digest, wanted: one. docs/pins.md says how."
        )
    return f"{known[0]['name']}:{known[0]['tag']}@{known[0]['digest']}"
