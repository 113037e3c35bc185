"""The bundle of a site with Kubernetes, as the collection builds it. `python -m lab.site_bundle INVENTORY`

Archives and images are those of the lab, under the names of their makers, from an upstream that is gone before this
ends; packages come from Debian and wheels from the index of Python. What is there already is not fetched again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from . import built, bundles, debian, lifecycle, topology
from .artifacts import catalogue, golang, images, layout, store
from .cgroups import members_of
from .progress import Progress
from .topology import Lab
from .upstream import pinned

FOLDER = bundles.home() / "kubernetes"
# Whatever the pins of a bundle name as an archive is in it.
ARCHIVES = ("etcd", "helm", "kubernetes", "containerd", "runc", "cni-plugins", "crictl")
PROGRAMS = {*ARCHIVES, *(image.component for image in images.IMAGES)}


def files(lab: Lab) -> Iterator[Path]:
    """The lab's artifacts, as their makers release them."""
    members, progress = members_of(lab.name), Progress()
    for component in ARCHIVES:
        found = store.ensure(lab, members, catalogue.IN_GO[component], progress)
        yield from found.iterdir() if found.is_dir() else [found]


def serve(upstream: pinned.Upstream, offered: dict[str, Path], folder: Path) -> None:
    """Serve what the pins name and the lab has; an image that no pin names goes with those of Kubernetes."""
    components = debian.bundle()
    for component, pin in components.items():
        url = (pin.get("archives") or {}).get(pinned.ARCHITECTURE, {}).get("url", "")
        file = offered.get(url.rpartition("/")[2])
        if file:
            archives = {pinned.ARCHITECTURE: upstream.put_file(url, file)}
            upstream.pins.setdefault(component, {"version": pin["version"]})["archives"] = archives
    digests = layout.images(folder)
    for image in images.IMAGES:
        name, _, tag = images.reference(image).rpartition(":")
        names = (image.component, image.component.split("-")[0], "kubernetes")
        component = next(one for one in names if one in components)
        entry = upstream.take(folder, name, tag, digests[f"{name}:{tag}"])
        pin = upstream.pins.setdefault(component, {"version": components[component]["version"]})
        pin["images"] = [*pin.get("images", []), entry]


def main() -> None:
    lab = topology.read(sys.argv[1])
    with lifecycle.locked(lab):
        offered = {path.name: path for path in files(lab)}
        folder = store.ensure(lab, members_of(lab.name), images.artifact(), Progress())
        golang.tidy(
            lab, [artifact for artifact in catalogue.IN_GO.values() if artifact.component in PROGRAMS], Progress()
        )
        built.write(FOLDER.with_suffix(".json"), built.build(FOLDER, lambda upstream: serve(upstream, offered, folder)))


if __name__ == "__main__":
    main()
