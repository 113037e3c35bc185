# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of a release as the registry reads them from its disk. No Ansible.

The registry of the mirror is never written to through its API. A release has a folder in the layout of distribution
(`docker/registry/v2`, the same in its versions 2 and 3) whose blobs are hard links to those of the mirror: nothing is
uploaded, nothing is stored twice, and a release appears when the link `current` is switched, tags and all.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Collection, Iterable, List

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import Image, hex_of
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store

LAYOUT = "docker/registry/v2"


def repository(image: str) -> str:
    """The name of an image's repository in the mirror: with its registry, so that two registries never mix.

    A colon cannot stand in the name of a repository.
    """
    return image.replace(":", "_")


def build(folder: Path, store: Store, tagged: Iterable[Image], untagged: Iterable[Image]) -> None:
    """Lay out images in a new folder. Those without a tag are there by digest, for a cluster that still runs them."""
    root = folder / LAYOUT
    for image in untagged:
        _add(root, store, image)
    for image in tagged:
        _add(root, store, image)
        _tag(root, image)


def foreign(folder: Path, needed: Collection[str]) -> List[Path]:
    """Where the images of a release stand that is not kept any more, and take room for as long."""
    places = (folder / LAYOUT / "blobs/sha256").glob("*/*")
    return [path for path in places if f"sha256:{path.name}" not in needed]


def _add(root: Path, store: Store, image: Image) -> None:
    there = root / "repositories" / repository(image.name)
    for digest in [image.digest, *(blob.digest for blob in image.blobs)]:
        name = hex_of(digest)
        data = root / "blobs/sha256" / name[:2] / name / "data"
        if not data.exists():
            data.parent.mkdir(parents=True, exist_ok=True)
            os.link(store.path(digest), data)
        # What is a manifest is asked for as one, and everything may be asked for as a blob.
        _link(there / "_layers/sha256" / name / "link", digest)
    for digest in manifests(store, image):
        _link(there / "_manifests/revisions/sha256" / hex_of(digest) / "link", digest)


def _tag(root: Path, image: Image) -> None:
    tag = root / "repositories" / repository(image.name) / "_manifests/tags" / image.tag
    _link(tag / "current/link", image.digest)
    _link(tag / "index/sha256" / hex_of(image.digest) / "link", image.digest)


def manifests(store: Store, image: Image) -> List[str]:
    """The manifests among the blobs of an image: the top one, and those that an index leads to and that are here."""
    below = {blob.digest for blob in image.blobs}
    found, queue = [], [image.digest]
    while queue:
        digest = queue.pop()
        found.append(digest)
        children = _children(store.path(digest).read_bytes())
        queue += [child for child in children if child in below and child not in found]
    return found


def _children(manifest: bytes) -> List[str]:
    """The manifests that an index lists; none if it is the manifest of one architecture."""
    content = json.loads(manifest)
    return [str(entry["digest"]) for entry in content.get("manifests") or []]


def _link(path: Path, digest: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(digest, encoding="ascii")
