"""The bundle of a site with Kubernetes, as the collection builds it. `python -m lab.site_bundle INVENTORY [--previous]`

Archives and images are those of the lab, under the names of their makers, from an upstream that is gone before this
ends; packages come from Debian and wheels from the index of Python. What is there already is not fetched again. Where
the inventory has a data tier, its parts are in it too, and the bundle is called `site`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import built, bundles, data_tier, debian, lifecycle, site_files, topology
from .artifacts import catalogue, golang, images, laid_out, store
from .artifacts.images import OWN
from .cgroups import members_of
from .progress import Progress
from .topology import Lab
from .upstream import pinned

# Whatever the pins of a bundle name as an archive is in it.
ARCHIVES = ("etcd", "helm", "containerd", "runc", "cni-plugins", "crictl", "distribution")
RELEASES = {"kubernetes": "2026.11.25", "kubernetes-previous": "2026.11.24"}


def files(lab: Lab, components: Iterable[str]) -> Iterator[Path]:
    """The lab's artifacts, as their makers release them."""
    members, progress = members_of(lab.name), Progress()
    for component in components:
        found = store.ensure(lab, members, catalogue.IN_GO[component], progress)
        yield from found.iterdir() if found.is_dir() else [found]


def serve_archives(upstream: pinned.Upstream, offered: dict[str, Path], kubernetes: str) -> None:
    """Serve what the pins name and the lab has, with the wanted version of Kubernetes."""
    usual, wanted = OWN["kubernetes"].version, OWN[kubernetes].version
    for component, pin in debian.bundle().items():
        version = wanted if pin["version"] == usual else pin["version"]
        url = (pin.get("archives") or {}).get(pinned.ARCHITECTURE, {}).get("url", "").replace(usual, wanted)
        file = offered.get(url.rpartition("/")[2])
        if file:
            found = upstream.pins.setdefault(component, {"version": version})
            found["archives"] = {pinned.ARCHITECTURE: upstream.put_file(url, file)}


def serve_images(upstream: pinned.Upstream, folders: dict[str, Path], kubernetes: str) -> None:
    """Serve all images; one that no pin names goes with those of Kubernetes."""
    components = debian.bundle()
    for component, pin in components.items():
        if pin.get("images"):  # those that the lab has not stay out of the bundle
            upstream.pins.setdefault(component, {"version": pin["version"]})["images"] = []
    for part, folder in folders.items():
        digests = laid_out.images(folder)
        for image in images.SETS[part]:
            name, _, tag = images.reference(image).rpartition(":")
            if name.startswith("registry.k8s.io/kube-") and tag != f"v{OWN[kubernetes].version}":
                continue
            names = (f"kubernetes-{image.component}", image.component, image.component.split("-")[0], "kubernetes")
            component = image.pin or next(one for one in names if one in components)
            own = {"kubernetes": kubernetes, "kubernetes-etcd": "etcd"}.get(component)
            version = OWN[own].version if own else components[component]["version"]
            pin = upstream.pins.setdefault(component, {"version": version})
            pin.setdefault("images", []).append(upstream.take(folder, name, tag, digests[f"{name}:{tag}"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inventory")
    parser.add_argument("--previous", action="store_true", help="with the minor version of Kubernetes before")
    asked = parser.parse_args()
    kubernetes = "kubernetes-previous" if asked.previous else "kubernetes"
    parts = ["images", "images-dify", *(["images-previous"] if asked.previous else [])]
    lab = topology.read(asked.inventory)
    with lifecycle.locked(lab):
        offered = {path.name: path for path in files(lab, [*ARCHIVES, kubernetes])}
        folders = {part: store.ensure(lab, members_of(lab.name), images.artifact(part), Progress()) for part in parts}
        data = data_tier.ensure(lab) if data_tier.wanted(lab) else {}
        golang.tidy(lab, [catalogue.IN_GO[kubernetes]], Progress())

    def serve(upstream: pinned.Upstream) -> None:
        serve_archives(upstream, offered, kubernetes)
        serve_images(upstream, folders, kubernetes)
        if data:
            data_tier.serve(upstream, data)

    folder = bundles.home() / ("site" if data else kubernetes)
    more = data_tier.variables(data) if data else {}
    more["bundle_earlier"] = [str(path.parent) for path in bundles.home().glob("*/lock.json") if path.parent != folder]
    found = built.build(folder, serve, bundle_release=RELEASES[kubernetes], **more)
    site_files.write(folder.with_suffix(".json"), found)


if __name__ == "__main__":
    main()
