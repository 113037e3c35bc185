"""What the data tier runs and Debian has not, in a bundle: as a site would have it that builds these parts itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import debian
from .artifacts import catalogue, pgvector, store, wheels
from .cgroups import members_of
from .progress import Progress
from .topology import Lab
from .upstream import pinned

# A repository of the site's own.
HOST, FOLDER = "packages.lab.internal", "pgvector"
SUITE = "bookworm"
COMPONENTS = ("patroni", "pgvector", "seaweedfs")


def wanted(lab: Lab) -> bool:
    return any({"database", "objects"} & set(host.groups) for host in lab.hosts)


def ensure(lab: Lab) -> dict[str, Path]:
    """The parts as the lab builds them, by component."""
    artifacts = catalogue.of_suite(SUITE)
    members, progress = members_of(lab.name), Progress()
    return {name: store.ensure(lab, members, artifacts[name], progress) for name in COMPONENTS}


def serve(upstream: pinned.Upstream, parts: Mapping[str, Path]) -> None:
    system = debian.SYSTEM[SUITE]
    upstream.pins["pgvector"] = {"packages": {system: pgvector.VERSION}}
    place = upstream.files.folder / HOST / FOLDER
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(parts["pgvector"])
    upstream.from_here(HOST)
    lock = wheels.pin(parts["patroni"], "")
    upstream.pins["patroni"] = {"version": lock["version"], "requirements": lock["requirements"]}
    version = catalogue.IN_GO["seaweedfs"].version
    url = debian.bundle()["seaweedfs"]["to_resolve"]["archives"][pinned.ARCHITECTURE].format(version=version)
    archive = upstream.put_file(url, parts["seaweedfs"] / url.rpartition("/")[2])
    upstream.pins["seaweedfs"] = {"version": version, "archives": {pinned.ARCHITECTURE: archive}}


def variables(parts: Mapping[str, Path]) -> dict[str, Any]:
    """Where the build of a bundle finds them."""
    repository = {
        "system": debian.SYSTEM[SUITE],
        "uri": f"https://{HOST}/{FOLDER}",
        "suites": [SUITE],
        "signed_by": str(parts["pgvector"] / pgvector.KEY),
    }
    return {"bundle_repositories": [repository], "bundle_wheel_links": [str(parts["patroni"])]}
