# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of a mirror: blobs, what is still arriving, releases, and the link that says which is served. No Ansible.

blobs/sha256/<digest>     each once; what stands here was verified
incoming/                 pieces of blobs, and the lock that is being carried
releases/<release>-<lock> hard links under the names of the lock; complete, or not there under this name
current, previous         links to releases; replacing `current` is the moment at which a release appears
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Dict, Iterator, List, Optional

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import (
    LOCK,
    SIGNATURE,
    Lock,
    hex_of,
    release_order,
)
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import CHUNK, Store, StoreError

DIRECTORY = "/srv/onprem-dify/mirror"
CURRENT, PREVIOUS = "current", "previous"
_PATIENCE = 60
# The copy of a killed load that was about to become another program holds the lock until it is that program.
_SETTLE = 2.0
_PAUSE = 0.2
_SHORT = 12


class MirrorError(Exception):
    """The mirror cannot do this; the text is for the user."""


@dataclass(frozen=True)
class Release:
    """A release that is complete on the mirror."""

    path: Path
    lock: Lock

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(frozen=True)
class Piece:
    """A part of a blob that travels in an archive: `<digest>.<offset>`."""

    digest: str
    offset: int
    length: int

    @property
    def name(self) -> str:
        return f"{hex_of(self.digest)}.{self.offset}"


class Mirror:
    """The folder of a mirror."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.store = Store(self.root)
        self.incoming = self.root / "incoming"
        self.releases = self.root / "releases"

    def link(self, name: str) -> Optional[Release]:
        """The release to which `current` or `previous` leads."""
        path = self.root / name
        return self.release(Path(os.readlink(path)).name) if path.is_symlink() else None  # noqa: PTH115 (its text)

    def release(self, name: str) -> Release:
        path = self.releases / name
        try:
            return Release(path, Lock.parse((path / LOCK).read_bytes()))
        except FileNotFoundError as error:
            raise MirrorError(f"{path} is not there, and a link leads to it: load its bundle again") from error

    def kept(self) -> List[Release]:
        """The release that is served, and the one before it. Both keep their images."""
        found = {release.name: release for release in map(self.link, (CURRENT, PREVIOUS)) if release}
        return list(found.values())

    def all(self) -> List[Release]:
        """Every complete release, the newest first."""
        names = [path.name for path in self.releases.iterdir()] if self.releases.is_dir() else []
        found = [self.release(name) for name in names if not name.startswith(".")]
        return sorted(found, key=lambda release: (release_order(release.lock.release), release.name), reverse=True)

    def point(self, name: str, release: Release) -> None:
        """Replace a link in one step."""
        beside = self.root / f".{name}.new"
        beside.unlink(missing_ok=True)
        beside.symlink_to(f"{self.releases.name}/{release.name}")
        beside.replace(self.root / name)

    def free(self) -> int:
        there = self.root
        while not there.exists():
            there = there.parent
        found = os.statvfs(there)
        return found.f_bavail * found.f_frsize

    # What arrives

    def missing(self, lock: Lock) -> Dict[str, int]:
        """Blobs that are not here, with the bytes that have arrived of each."""
        absent = [digest for digest, size in lock.blobs().items() if not self.store.has(digest, size)]
        return {digest: _size(self.incoming / hex_of(digest)) for digest in absent}

    def carried(self) -> Optional[Lock]:
        """The lock that is being carried here. Nobody has verified its signature yet."""
        try:
            return Lock.parse((self.incoming / LOCK).read_bytes())
        except FileNotFoundError:
            return None

    def receive(self, archive: Path, digest: str) -> int:
        """Take pieces in, in their order, and blobs as soon as they are whole; the bytes that were new.

        `digest` is that of the lock to which they belong, so that two bundles on their way at once do not mix.
        """
        self.incoming.mkdir(mode=0o755, parents=True, exist_ok=True)
        new = 0
        with tarfile.open(archive, "r:") as tar:
            sizes: Dict[str, int] = {}
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is None:
                    raise MirrorError(f"{member.name!r} has no place in what is carried to a mirror")
                if member.name in (LOCK, SIGNATURE):
                    _replace(self.incoming / member.name, content)
                    continue
                sizes = sizes or self._sizes(digest)
                new += self._receive(member, content, sizes)
        return new

    def _sizes(self, digest: str) -> Dict[str, int]:
        lock = self.carried()
        if lock is None or lock.digest != digest:
            other = f"release {lock.release}" if lock else "nothing"
            raise MirrorError(f"{other} is on its way to this mirror, not this bundle: carry one after the other")
        return lock.blobs()

    def _receive(self, member: tarfile.TarInfo, content: IO[bytes], sizes: Dict[str, int]) -> int:
        name, dot, offset = member.name.partition(".")
        digest = f"sha256:{name}"
        if digest not in sizes or not dot or not offset.isdigit():
            raise MirrorError(f"{member.name!r} is not a piece of a blob of the lock")
        size, start, part = sizes[digest], int(offset), self.incoming / hex_of(digest)
        there, end = _size(part), start + member.size
        if self.store.has(digest, size):
            return 0
        if there < start or end > size:
            raise MirrorError(f"{digest}: bytes {start} to {end} came, {there} of {size} are there; run it again")
        # What another run has brought meanwhile is not written twice.
        content.seek(min(there - start, member.size))
        with part.open("ab") as file:
            shutil.copyfileobj(content, file, CHUNK)
            file.flush()
            os.fsync(file.fileno())
        new = _size(part) - there
        if there + new >= size:
            self._adopt(part, digest, size)
        return new

    def _adopt(self, part: Path, digest: str, size: int) -> None:
        try:
            self.store.adopt(part, digest, size)
        except StoreError as error:
            part.unlink()
            lock = self.carried()
            names = lock.artefacts().get(digest, [digest]) if lock else [digest]
            raise MirrorError(
                f"{names[0]} was damaged on its way ({error}); it is sent anew by the next run"
            ) from error

    def finish_arrivals(self) -> None:
        """Nothing is on its way any more."""
        if self.incoming.is_dir():
            shutil.rmtree(self.incoming)


def name_of(lock: Lock) -> str:
    """The name of a release on a mirror: two bundles of the same day do not meet."""
    return f"{lock.release}-{hex_of(lock.digest)[:_SHORT]}"


@contextlib.contextmanager
def alone(root: Path, patience: float = _SETTLE) -> Iterator[None]:
    """One at a time. The lock goes with its process, however that ends."""
    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(handle, root, time.monotonic() + patience)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def patiently(root: Path) -> contextlib.AbstractContextManager[None]:
    """One at a time, for what another one does not do for long."""
    return alone(root, _PATIENCE)


def _take(handle: int, root: Path, until: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
        if time.monotonic() >= until:
            who = os.pread(handle, 20, 0).decode("ascii", "replace") or "unknown"
            raise MirrorError(f"another load is at work in {root} (process {who}): wait for it and run again")
        time.sleep(_PAUSE)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _replace(path: Path, content: IO[bytes]) -> None:
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        shutil.copyfileobj(content, file, CHUNK)
    beside.replace(path)
