# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load a bundle into a mirror, go back to the release before, and take away what no release needs. No Ansible."""

from __future__ import annotations

import html
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import mirror_registry
from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import LOCK, SIGNATURE, File, Lock, hex_of
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import Signer
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store, StoreError, open_plain
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import Verdict, read, trusted, verify
from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import (
    CURRENT,
    PREVIOUS,
    Mirror,
    MirrorError,
    Release,
    name_of,
)

REGISTRY = "registry"
KEYS = "keys"
KEY = f"{KEYS}/packages.asc"
# What a file system needs besides the blobs: folders, names, the pieces on their way.
RESERVE = 64 << 20


@dataclass
class Loaded:
    """What a load did. `linked` counts names of the new release, `taken` bytes that were copied from a folder."""

    release: Optional[Release] = None
    previous: Optional[Release] = None
    switched: bool = False
    taken: int = 0
    linked: int = 0

    @property
    def changed(self) -> bool:
        return self.switched or bool(self.taken or self.linked)


def source_of(mirror: Mirror, bundle: Optional[Path]) -> Optional[Path]:
    """Where the lock to load stands: in the folder of a bundle, in what was carried here, or nowhere."""
    if bundle:
        return bundle
    return mirror.incoming if (mirror.incoming / LOCK).is_file() else None


def check(mirror: Mirror, source: Path, signers: Sequence[Signer], whole: bool) -> Lock:
    """The lock of what is loaded, if the site may have it; `whole`: with every blob of a bundle."""
    current = mirror.link(CURRENT)
    newest = current.lock.release if current else ""
    verdict = trusted(source, signers, newest)
    if whole and verdict.good and verdict.lock and not _is_current(mirror, verdict.lock):
        verdict = verify(source, signers, newest, elsewhere=mirror.store.has)
    return accepted(verdict)


def _is_current(mirror: Mirror, lock: Lock) -> bool:
    current = mirror.link(CURRENT)
    return bool(current and current.lock.digest == lock.digest and not mirror.missing(lock))


def accepted(verdict: Verdict) -> Lock:
    """The lock of a bundle that was found right; otherwise all reasons are said, each with its artefact."""
    if verdict.lock is None or not verdict.good:
        raise MirrorError(refusal(verdict))
    return verdict.lock


def refusal(verdict: Verdict) -> str:
    """Why a bundle is refused, for the user; the first reasons, if there are very many."""
    shown = [f"  {finding.message}" for finding in verdict.findings[:20]]
    more = len(verdict.findings) - len(shown)
    return "\n".join(["the bundle is refused:", *shown, *([f"  and {more} more"] if more else [])])


def load(mirror: Mirror, source: Path, lock: Lock) -> Loaded:
    """Make a release complete, then switch to it. Whatever ends this half way, the old release is served until then."""
    done = Loaded()
    if source != mirror.incoming:
        done.taken = _take_in(mirror, source, lock)
    missing = mirror.missing(lock)
    if missing:
        first = lock.artefacts()[next(iter(missing))][0]
        raise MirrorError(f"{len(missing)} blobs of release {lock.release} are not here, the first is of {first}")
    release = Release(mirror.releases / name_of(lock), lock)
    _forget_unfinished(mirror)
    if not release.path.is_dir():
        done.linked = _build(mirror, release, read(source / LOCK), read(source / SIGNATURE))
    done.release = release
    done.switched = switch(mirror, release)
    done.previous = mirror.link(PREVIOUS)
    mirror.finish_arrivals()
    return done


def _take_in(mirror: Mirror, bundle: Path, lock: Lock) -> int:
    """Copy blobs from a folder on this host, which may be a disk that is taken away again."""
    missing, there, taken = mirror.missing(lock), Store(bundle), 0
    sizes = lock.blobs()
    wanted = sum(sizes[digest] for digest in missing)
    require(mirror, wanted)
    for digest in missing:
        with open_plain(there.path(digest)) as file:
            try:
                mirror.store.add(file, digest, sizes[digest])
            except StoreError as error:
                raise MirrorError(f"{lock.artefacts()[digest][0]}: {error}") from error
        taken += sizes[digest]
    return taken


def require(mirror: Mirror, wanted: int) -> None:
    """Say that the disk is too small before it is full."""
    if wanted and mirror.free() < wanted + RESERVE:
        raise MirrorError(too_small(str(mirror.root), mirror.free(), wanted))


def too_small(directory: str, free: int, wanted: int) -> str:
    return (
        f"{directory} has {_megabytes(free)} free, wanted are {_megabytes(wanted + RESERVE)}:"
        " give it more, or take away what no release needs with playbooks/mirror_gc.yml"
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _forget_unfinished(mirror: Mirror) -> None:
    mirror.store.clean()
    if mirror.releases.is_dir():
        for path in mirror.releases.glob(".*"):
            shutil.rmtree(path)


def _build(mirror: Mirror, release: Release, lock: bytes, signature: bytes) -> int:
    """Lay a release out beside its place and give it its name when all of it is on the disk."""
    new = mirror.releases / f".{release.name}.new"
    new.mkdir(mode=0o755, parents=True)
    try:
        for file in release.lock.files:
            place = new / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(mirror.store.path(file.digest), place)
        _write_index(new, [file for file in release.lock.files if file.kind == "wheel"])
        _build_registry(mirror, release, new / REGISTRY)
        (new / LOCK).write_bytes(lock)
        (new / SIGNATURE).write_bytes(signature)
        os.sync()
        new.rename(release.path)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return len(release.lock.files) + len(release.lock.images)


def _build_registry(mirror: Mirror, release: Release, folder: Path) -> None:
    """The images of a release, and by digest those of the other releases that are kept: the cluster still runs them."""
    others = [other for other in mirror.kept() if other.name != release.name]
    mirror_registry.build(
        folder, mirror.store, release.lock.images, [image for other in others for image in other.lock.images]
    )


def _write_index(folder: Path, wheels: Sequence[File]) -> None:
    """The index that pip reads (PEP 503), with the digest of each wheel."""
    projects: Dict[str, List[File]] = {}
    for wheel in wheels:
        projects.setdefault(project(wheel.path), []).append(wheel)
    _page(folder / "simple", [f'<a href="{html.escape(name)}/">{html.escape(name)}</a>' for name in sorted(projects)])
    for name, files in projects.items():
        lines = [
            f'<a href="../../{html.escape(file.path)}#sha256={hex_of(file.digest)}">'
            f"{html.escape(file.path.rpartition('/')[2])}</a>"
            for file in files
        ]
        _page(folder / "simple" / name, lines)


def project(path: str) -> str:
    """The name of the project of a wheel or of a source archive, as PEP 503 writes it."""
    name = path.rpartition("/")[2]
    head = name.split("-")[0] if name.endswith(".whl") else name.rpartition("-")[0]
    return re.sub(r"[-_.]+", "-", head).lower()


def _page(folder: Path, lines: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    body = "<br>\n".join(lines)
    text = f"<!DOCTYPE html>\n<html><head><title>{folder.name}</title></head><body>\n{body}\n</body></html>\n"
    (folder / "index.html").write_text(text, encoding="utf-8")


def switch(mirror: Mirror, release: Release) -> bool:
    """Serve a release from now on, and keep the one that was served until now."""
    current = mirror.link(CURRENT)
    if current and current.name == release.name:
        return False
    if current:
        mirror.point(PREVIOUS, current)
    mirror.point(CURRENT, release)
    return True


def roll_back(mirror: Mirror) -> Loaded:
    """Serve the release before again. That one has the images of the one that is left by digest, for what runs."""
    previous, current = mirror.link(PREVIOUS), mirror.link(CURRENT)
    if previous is None or current is None or previous.name == current.name:
        raise MirrorError("there is no release before this one on the mirror")
    fresh, place = previous.path / f".{REGISTRY}.new", previous.path / REGISTRY
    shutil.rmtree(fresh, ignore_errors=True)
    _build_registry(mirror, previous, fresh)
    os.sync()
    # Nobody is served from it at this moment.
    shutil.rmtree(place, ignore_errors=True)
    fresh.rename(place)
    return Loaded(release=previous, switched=switch(mirror, previous), previous=current)


@dataclass(frozen=True)
class Garbage:
    """What no kept release needs."""

    releases: List[Path]
    blobs: List[str]
    arrivals: bool
    size: int
    # Links to images of such releases in the registries of kept ones.
    images: List[Path]

    def __bool__(self) -> bool:
        return bool(self.releases or self.blobs or self.arrivals or self.images)

    def describe(self, mirror: Mirror) -> str:
        lines = [str(path.relative_to(mirror.root)) for path in self.releases]
        lines += [f"{len(self.blobs)} blobs of {_megabytes(self.size)}"] if self.blobs else []
        lines += [f"{len(self.images)} blobs of images among those of kept releases"] if self.images else []
        lines += ["incoming"] if self.arrivals else []
        return "".join(f"{line}\n" for line in lines)


def garbage(mirror: Mirror) -> Garbage:
    """What can go: all releases but the one that is served and the one before, and their blobs."""
    kept = mirror.kept()
    names = {release.name for release in kept}
    needed = {digest for release in kept for digest in release.lock.blobs()}
    there = list(mirror.releases.iterdir()) if mirror.releases.is_dir() else []
    blobs = [digest for digest in mirror.store.digests() if digest not in needed]
    return Garbage(
        releases=sorted(path for path in there if path.name not in names),
        blobs=blobs,
        arrivals=mirror.incoming.is_dir(),
        size=sum(mirror.store.path(digest).lstat().st_size for digest in blobs),
        images=[path for release in kept for path in mirror_registry.foreign(release.path / REGISTRY, needed)],
    )


def collect(mirror: Mirror, found: Garbage) -> None:
    """Take garbage away. A release goes under another name first, so that it never looks complete while it goes."""
    for path in found.releases:
        going = path.with_name(f".{path.name.lstrip('.')}.old")
        if path != going:
            shutil.rmtree(going, ignore_errors=True)
            path.rename(going)
        shutil.rmtree(going)
    for path in found.images:
        shutil.rmtree(path)
    for digest in found.blobs:
        mirror.store.path(digest).unlink()
    mirror.finish_arrivals()
    mirror.store.clean()


def key_of(release: Release) -> str:
    """The public key of the packages, empty if the release has none."""
    path = release.path / KEY
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def makers_of(release: Release) -> Dict[str, str]:
    """The public keys of the makers of packages, by system. Hosts with dnf hold each package against them as well."""
    files = sorted((release.path / KEYS).glob("*.asc"))
    return {path.stem: path.read_text(encoding="utf-8") for path in files if path != release.path / KEY}
