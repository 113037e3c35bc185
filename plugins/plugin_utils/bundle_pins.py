# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests that no maker published: asked of upstream on first use, for a person to review.

What the site has already is held against what upstream has now, and never replaced.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import yaml

from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store
from ansible_collections.onprem.dify.plugins.module_utils.pins import (
    ARCHITECTURES,
    Pin,
    merge,
    to_resolve,
)
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_fetch import Fetcher, Kept
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_images import Images, chosen, is_index
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import Meter
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Sources

MARK = "# Taken on first use by bundle_pins"
HEAD = f"""\
{MARK}. NOT VERIFIED: nobody but the server that was asked stands for these digests.
# Review before use: compare each with what its makers say, or with what a second person gets over another line.
# Then take it over into the site_pins of your inventory. What stands there already is compared and not replaced.
"""

Say = Callable[[str], None]


class PinsError(Exception):
    """Upstream has something else than the site has pinned; the text is for the user."""


class Upstream(Protocol):
    """What the makers' servers answer."""

    def image(self, name: str, tag: str) -> tuple[str, Sequence[str]]:
        """The digest that a tag leads to now, and the architectures below it; none if it is a manifest by itself."""

    def archive(self, name: str, url: str) -> str:
        """The digest of what is at an address now."""


def resolve(
    pins: Mapping[str, Pin],
    site: Mapping[str, Mapping[str, Any]],
    architectures: Sequence[str],
    upstream: Upstream,
    say: Say,
) -> dict[str, dict[str, Any]]:
    """`site_pins` for all that has no digest of its makers. `pins`: those of the site; `site`: what it says itself."""
    found: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    for component, pin in sorted(pins.items()):
        asked, known = to_resolve(pin), pin.get("archives") or {}
        new: dict[str, Any] = {}
        if asked.images:
            new["images"] = _images(component, pin, architectures, upstream, say, faults)
        archives = {
            name: known.get(name) or _archive(component, pin, name, url, upstream, say)
            for name, url in asked.archives.items()
            if name in architectures
        }
        if archives:
            new["archives"] = archives
        if new:
            found[component] = merge({"version": str(pin["version"]), **site.get(component, {})}, new)
    if faults:
        raise PinsError("\n".join([*faults, "Nothing was written. Find out why before you change a pin."]))
    return found


def _images(
    component: str, pin: Pin, architectures: Sequence[str], upstream: Upstream, say: Say, faults: list[str]
) -> list[dict[str, str]]:
    images = [dict(image) for image in pin.get("images") or ()]
    known = {(image["name"], image["tag"]): image["digest"] for image in images}
    for name, tag in to_resolve(pin).images:
        digest, there = upstream.image(name, tag)
        missing = [one for one in architectures if there and one not in there]
        if missing:
            faults.append(f"{component}: {name}:{tag}: there is none for {', '.join(missing)}")
        if (name, tag) not in known:
            say(f"{component}: {name}:{tag} is {digest}")
            images.append({"name": name, "tag": tag, "digest": digest})
        elif known[name, tag] != digest:
            faults.append(f"{component}: {name}:{tag} is pinned to {known[name, tag]}, and upstream has {digest} now")
    return images


def _archive(component: str, pin: Pin, architecture: str, url: str, upstream: Upstream, say: Say) -> dict[str, str]:
    digest = upstream.archive(f"{component} {pin['version']} for {architecture}", url)
    say(f"{component}: {url} is {digest}")
    return {"url": url, "sha256": digest.removeprefix("sha256:")}


class Makers:
    """The makers' servers, or what the rules of the site put in their place."""

    def __init__(self, sources: Sources, ca_file: str, work: Path) -> None:
        kept = Kept(Store(work))
        self._images = Images(kept, sources, Meter(), work / "images", ca_file)
        self._images.prepare()
        self._fetcher = Fetcher(kept, sources, Meter(), ca_file)

    def image(self, name: str, tag: str) -> tuple[str, list[str]]:
        raw, digest = self._images.tagged(name, tag)
        manifest = json.loads(raw)
        if not is_index(manifest):
            return digest, []
        return digest, [entry["platform"]["architecture"] for entry in chosen(manifest, ARCHITECTURES.values())]

    def archive(self, name: str, url: str) -> str:
        return self._fetcher.digest_of(name, url)


# The file


def read(text: str) -> dict[str, dict[str, Any]]:
    """What an earlier run has written."""
    if not text.startswith(MARK):
        raise PinsError("was not written by bundle_pins, and is not replaced")
    content = yaml.safe_load(text)
    return dict(content["site_pins"])


def write(found: Mapping[str, Mapping[str, Any]]) -> str:
    content = {"site_pins": {name: dict(pin) for name, pin in sorted(found.items())}}
    return HEAD + yaml.safe_dump(content, sort_keys=False, width=1000)
