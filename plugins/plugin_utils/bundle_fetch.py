# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch files into the blobs of a bundle: never again what is there and right, and from where it was broken off."""

from __future__ import annotations

import base64
import hashlib
import http.client
import netrc
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import hex_of
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import CHUNK, Store, StoreError, hash_file
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import Meter
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Sources

PART = ".part-"
SECONDS = 60
# A name that is not found for a moment must not end a build of hours.
PAUSES = (1.0, 3.0)

_Result = TypeVar("_Result")


class FetchError(Exception):
    """An artefact cannot be had, or is not what it should be; the text is for the user."""


class Kept:
    """The blobs that are there. Each is read once in a build: a bundle is carried on media that forget."""

    def __init__(self, store: Store, earlier: Sequence[Store] = ()) -> None:
        self.store = store
        self._earlier = tuple(earlier)
        self._right: dict[str, int] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    @contextmanager
    def of(self, digest: str) -> Iterator[None]:
        """Nobody else fetches this blob meanwhile."""
        with self._guard:
            lock = self._locks.setdefault(digest, threading.Lock())
        with lock:
            yield

    def size(self, digest: str) -> int | None:
        """The size of a blob that is there and right; a wrong one is taken away."""
        if digest in self._right:
            return self._right[digest]
        path = self.store.path(digest)
        if not path.is_file() and not self._take(digest, path):
            return None
        with suppress(StoreError):
            if hash_file(path) == digest:
                return self.right(digest)
        path.unlink()
        return None

    def _take(self, digest: str, path: Path) -> bool:
        """Take a blob from an earlier bundle, as it is there: a link costs no room."""
        found = next((store.path(digest) for store in self._earlier if store.path(digest).is_file()), None)
        if found is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.hardlink_to(found)
        except OSError:  # on another file system
            with suppress(StoreError), found.open("rb") as content:
                self.store.add(content, digest, found.stat().st_size)
        return path.is_file()

    def right(self, digest: str) -> int:
        """Remember a blob that was verified just now."""
        self._right[digest] = self.store.path(digest).stat().st_size
        return self._right[digest]


class Fetcher:
    """Fetches by http, https and file."""

    def __init__(self, kept: Kept, sources: Sources, meter: Meter, ca_file: str = "") -> None:
        self.kept = kept
        self.sources = sources
        self.meter = meter
        context = ssl.create_default_context()
        if ca_file:
            context.load_verify_locations(cafile=ca_file)
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
        self._passwords = {host: _basic(*login) for host, login in logins().items()}

    def fetch(self, name: str, upstream: str, digest: str, size: int | None = None) -> int:
        """Bring an artefact into the store; return its size."""
        if size is not None:
            self.meter.want(size)
        with self.kept.of(digest):
            found = self.kept.size(digest)
            if found is not None:
                self._account(found, size)
                return found
            address = self.sources.of(upstream)
            self._try(name, address, lambda: self._bring(name, address, digest, size))
            return self.kept.right(digest)

    def digest_of(self, name: str, upstream: str) -> str:
        """The digest of what upstream has at an address just now. Nothing of it is kept."""
        address = self.sources.of(upstream)
        return self._try(name, address, lambda: self._hashed(address))

    def _try(self, name: str, address: str, transfer: Callable[[], _Result]) -> _Result:
        """The result of a transfer, which is tried again as long as that may help."""
        pauses = iter(PAUSES)
        while True:
            try:
                return transfer()
            except (OSError, http.client.HTTPException, ValueError) as error:
                pause = next(pauses, None)
                if pause is None or not _may_pass(error):
                    raise FetchError(f"{name}: {address}: {_reason(error)}") from error
                self.meter.wait(pause)

    def _hashed(self, address: str) -> str:
        hashed = hashlib.sha256()
        count = 0
        with self._open(address, 0) as answer:
            _start, length = _extent(answer, 0)
            while chunk := answer.read(CHUNK):
                hashed.update(chunk)
                count += len(chunk)
                self.meter.count(len(chunk))
        if length is not None and count != length:
            raise OSError(f"the connection was closed after {count} of {length} bytes")
        return f"sha256:{hashed.hexdigest()}"

    def _account(self, found: int, announced: int | None) -> None:
        if announced is None:
            self.meter.want(found)
        self.meter.have(found)

    def _part(self, digest: str) -> Path:
        folder = self.kept.store.folder.parent
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{PART}{hex_of(digest)}"

    def _bring(self, name: str, address: str, digest: str, size: int | None) -> None:
        part = self._part(digest)
        while True:
            resumed = self._transfer(address, part, size)
            try:
                self.kept.store.adopt(part, digest, part.stat().st_size)
                return
            except StoreError as error:
                part.unlink()
                # Its beginning may be of an earlier transfer, of another file: that gets a second chance.
                if not resumed:
                    raise FetchError(
                        f"{name}: what came from {address} has another checksum than it must have, and is not kept. "
                        f"{error}"
                    ) from error

    def _transfer(self, address: str, part: Path, size: int | None) -> bool:
        """Bring the part to its full length; return whether there was a part already.

        A connection that breaks is taken up again as long as that brings something.
        """
        resumed = part.exists() and part.stat().st_size > 0
        if resumed:
            self.meter.have(part.stat().st_size)
        announced = size
        while True:
            before = part.stat().st_size if part.exists() else 0
            with self._open(address, before) as answer:
                start, length = _extent(answer, before)
                if announced is None and length is not None:
                    announced = length
                    self.meter.want(length)
                self._write(answer, part, start)
            here = part.stat().st_size
            if length is None or here >= length:
                return resumed
            if here <= before:
                raise OSError(f"the connection was closed after {here} of {length} bytes")

    def _write(self, answer: Any, part: Path, start: int) -> None:
        with part.open("r+b" if part.exists() else "wb") as target:
            target.seek(start)
            target.truncate()
            with suppress(http.client.IncompleteRead, ConnectionResetError):
                # What has come is on the disk, so that little is lost to a build that is killed on a slow line.
                while chunk := answer.read1(CHUNK):
                    target.write(chunk)
                    self.meter.count(len(chunk))

    @contextmanager
    def _open(self, address: str, start: int) -> Iterator[Any]:
        request = urllib.request.Request(address)
        if start:
            request.add_header("Range", f"bytes={start}-")
        login = self._passwords.get(urllib.parse.urlsplit(address).hostname or "")
        if login:
            # Not for the host to which an answer may lead.
            request.add_unredirected_header("Authorization", login)
        try:
            with self._opener.open(request, timeout=SECONDS) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            # There is nothing behind the part: it is whole, or it is another file's.
            if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
                raise
            yield _Nothing(start)


class _Nothing:
    """The answer to a request for what is behind the end."""

    status = http.client.PARTIAL_CONTENT

    def __init__(self, start: int) -> None:
        self.headers = {"Content-Range": f"bytes {start}-{start}/{start}", "Content-Length": "0"}

    def read1(self, _size: int) -> bytes:
        return b""


def _extent(answer: Any, wanted: int) -> tuple[int, int | None]:
    """Where in the file the bytes of an answer begin, and how long the file is."""
    length = answer.headers.get("Content-Length")
    length = int(length) if length is not None else None
    if getattr(answer, "status", None) == http.client.PARTIAL_CONTENT:
        unit, _space, rest = answer.headers.get("Content-Range", "").partition(" ")
        span, _slash, total = rest.partition("/")
        start = span.partition("-")[0]
        if unit != "bytes" or start != str(wanted):
            raise OSError(f"it answered with {answer.headers.get('Content-Range')!r} when asked from byte {wanted} on")
        return wanted, int(total) if total.isdigit() else None if length is None else wanted + length
    if wanted and getattr(answer, "status", None) is None:  # a local file
        answer.seek(wanted)
        return wanted, length
    return 0, length


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed a moment later. What a server answers on purpose it answers again."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= http.client.INTERNAL_SERVER_ERROR or error.code == http.client.TOO_MANY_REQUESTS
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return not isinstance(reason, (ssl.SSLCertVerificationError, FileNotFoundError, PermissionError, ValueError))


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


def logins() -> dict[str, tuple[str, str]]:
    """The logins that the person who builds has in ~/.netrc, as every other tool reads them, by host."""
    try:
        hosts = netrc.netrc().hosts
    except (OSError, netrc.NetrcParseError):
        return {}
    return {host: (login, password) for host, (login, _account, password) in hosts.items()}


def _basic(login: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()
