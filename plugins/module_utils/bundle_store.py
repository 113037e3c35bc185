# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The blobs of a bundle: each once, under its digest. What stands there under its name was verified. No Ansible."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO, Callable, Iterator, Optional, Protocol

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import BLOBS, hex_of

# Large enough that Python's own work disappears behind the hash, which leaves the other threads free meanwhile.
CHUNK = 1 << 20
_NEW = ".new-"

Progress = Callable[[int], None]


class StoreError(Exception):
    """A blob cannot be read, or is not what its digest says; the text is for the user."""


class SizeError(StoreError):
    """A blob has another size than the wanted one, so that nobody need read it."""


class Readable(Protocol):
    """What bytes come from: a file, an answer of a server."""

    def read(self, size: int) -> bytes: ...


class Store:
    """The folder `blobs/sha256` of a bundle."""

    def __init__(self, bundle: Path) -> None:
        self.folder = Path(bundle) / BLOBS

    def path(self, digest: str) -> Path:
        return self.folder / hex_of(digest)

    def has(self, digest: str, size: int) -> bool:
        """Whether a blob stands here in its full size. It was verified when it came; `verify` reads it again."""
        try:
            found = self.path(digest).lstat()
        except FileNotFoundError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == size

    def add(self, stream: Readable, digest: str, size: int, progress: Optional[Progress] = None) -> Path:
        """Take bytes in. They get their name when all have come, are right, and are on the disk, or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_NEW, dir=self.folder)
        new = Path(name)
        try:
            with os.fdopen(handle, "wb") as target:
                _copy(stream, target, digest, size, progress)
                target.flush()
                os.fchmod(target.fileno(), 0o644)
                os.fsync(target.fileno())
            new.replace(self.path(digest))
        finally:
            new.unlink(missing_ok=True)
        return self.path(digest)

    def adopt(self, source: Path, digest: str, size: int, progress: Optional[Progress] = None) -> Path:
        """Move a finished file of the same file system in, if it is what its digest says."""
        found = hash_file(source, size, progress)
        if found != digest:
            raise StoreError(f"{source.name}: its digest is {found}, wanted is {digest}")
        with source.open("rb") as file:
            os.fsync(file.fileno())
        source.chmod(0o644)
        self.folder.mkdir(parents=True, exist_ok=True)
        source.replace(self.path(digest))
        return self.path(digest)

    def digests(self) -> Iterator[str]:
        """What stands here, by name alone."""
        if self.folder.is_dir():
            for path in sorted(self.folder.iterdir()):
                if not path.name.startswith(_NEW):
                    yield f"sha256:{path.name}"

    def clean(self) -> None:
        """Take away what a killed run left. Only for one who knows that no other run adds at this moment."""
        for path in self.folder.glob(f"{_NEW}*"):
            path.unlink()


def write_file(path: Path, content: bytes) -> bool:
    """Write a small file beside the blobs, as a whole. Returns whether it was not there like this."""
    if path.is_file() and path.read_bytes() == content:
        return False
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return True


def open_plain(path: Path) -> BinaryIO:
    """Open a regular file: no link that leads elsewhere, no pipe that would never end, no device."""
    try:
        # Without O_NONBLOCK the opening of a pipe waits for somebody to write.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise StoreError("is a symbolic link, wanted is a regular file") from error
        raise StoreError(f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise StoreError("is not a regular file")
    return os.fdopen(handle, "rb", buffering=0)


def hash_file(path: Path, size: Optional[int] = None, progress: Optional[Progress] = None) -> str:
    """The digest of a regular file. If it has not the wanted size, that is said without reading it."""
    with open_plain(path) as file:
        found = os.fstat(file.fileno()).st_size
        if size is not None and found != size:
            raise SizeError(f"has {found} bytes, wanted are {size}")
        try:
            return _hash(file, progress)
        except OSError as error:
            raise StoreError(f"cannot be read: {error.strerror}") from error


def _hash(file: BinaryIO, progress: Optional[Progress]) -> str:
    buffer = memoryview(bytearray(CHUNK))
    summed = hashlib.sha256()
    while True:
        count = file.readinto(buffer)  # type: ignore[attr-defined]
        if not count:
            return f"sha256:{summed.hexdigest()}"
        summed.update(buffer[:count])
        if progress:
            progress(count)


def _copy(stream: Readable, target: BinaryIO, digest: str, size: int, progress: Optional[Progress]) -> None:
    summed = hashlib.sha256()
    got = 0
    while True:
        chunk = stream.read(CHUNK)
        if not chunk:
            break
        got += len(chunk)
        if got > size:
            raise StoreError(f"{digest} has more than its {size} bytes")
        summed.update(chunk)
        target.write(chunk)
        if progress:
            progress(len(chunk))
    if got != size:
        raise StoreError(f"{digest} ended after {got} of {size} bytes")
    if f"sha256:{summed.hexdigest()}" != digest:
        raise StoreError(f"the bytes that came for {digest} have the digest sha256:{summed.hexdigest()}")
