"""Which artifacts there are, and which of them a lab serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..cgroups import Members
from ..errors import LabError
from ..progress import Progress
from ..topology import Lab
from . import golang, pgvector, programs, store, wheels
from .store import VARIABLE, Artifact, to_build

LIST = "lab_artifacts"
SLOW_LAST = ("etcd", "patroni", "pgvector", "seaweedfs")
IN_GO = {release.component: golang.artifact(release) for release in programs.RELEASES}


def of_suite(suite: str) -> dict[str, Artifact]:
    """All that can be built for the nodes of a suite, by component, the slowest last."""
    found = [IN_GO["etcd"], IN_GO["seaweedfs"]]
    if suite in wheels.PYTHON:
        found.append(wheels.patroni(suite))
    if suite in pgvector.POSTGRESQL:
        found.append(pgvector.pgvector(suite))
    return {artifact.component: artifact for artifact in sorted(found, key=lambda one: SLOW_LAST.index(one.component))}


def chosen(lab: Lab) -> list[Artifact]:
    """What the inventory asks for and a group of it has use for."""
    named = {str(name) for host in lab.hosts for name in host.vars.get(LIST) or ()}
    unknown = sorted(named - set(SLOW_LAST))
    if unknown:
        raise LabError(f"{LIST}: {', '.join(unknown)} unknown (known: {', '.join(SLOW_LAST)})")
    return [artifact for name, artifact in of_suite(lab.suite).items() if name in named and artifact.wanted(lab)]


def ensure(lab: Lab, members: Members, progress: Progress) -> Iterator[tuple[Artifact, Path]]:
    """The artifacts of a lab with what they consist of, each as soon as it is there."""
    for artifact in chosen(lab):
        yield artifact, store.ensure(lab, members, artifact, progress)
    golang.tidy(lab, [one for one in chosen(lab) if one.component in IN_GO], progress)


def archive(lab: Lab, members: Members, component: str) -> Path:
    """The archive of a program in Go, for a bundle."""
    artifact, progress = IN_GO[component], Progress()
    _refuse(lab, [artifact])
    found = store.ensure(lab, members, artifact, progress)
    golang.tidy(lab, [artifact], progress)
    return found / artifact.archive if found.is_dir() else found


def check(lab: Lab) -> None:
    """Refuse to start where something has to be built and this machine cannot."""
    _refuse(lab, [one for one in chosen(lab) if one.component in IN_GO])


def _refuse(lab: Lab, wanted: Iterable[Artifact]) -> None:
    waiting = [one.component for one in wanted if to_build(lab, one)]
    lack = golang.missing() if waiting else None
    if lack:
        raise LabError(f"missing: {lack}, to build {' and '.join(waiting)}; or give them ready in {VARIABLE}")
