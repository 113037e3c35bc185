# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify a bundle: who signed it, whether it is newer, and every byte of it. No Ansible.

Nothing of a lock is used before its signature is verified. What the lock does not list may not be there.
"""

from __future__ import annotations

import json
import os
import queue
import stat
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import (
    BLOBS,
    DELTA,
    INDEX,
    LAYOUT,
    LOCK,
    SBOM,
    SIGNATURE,
    TOOL,
    TOOL_PATH,
    Image,
    Lock,
    LockError,
    canonical,
    hex_of,
    index,
    layout,
    release_order,
)
from ansible_collections.onprem.dify.plugins.module_utils.bundle_sbom import sbom
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import SignatureError, Signer, verify_by
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import (
    SizeError,
    Store,
    StoreError,
    hash_file,
    open_plain,
)

# No file of a bundle that is read as a whole is larger: a lock of 100,000 artefacts has about 40 MiB.
_MOST_TEXT = 128 << 20
_MOST_MANIFEST = 4 << 20
_MOST_NOTE = 1024
_SECONDS_BETWEEN_REPORTS = 0.5
_MOST_LINES = 50

Report = Callable[[int, int], None]
Elsewhere = Callable[[str, int], bool]


@dataclass(frozen=True)
class Finding:
    """One reason to refuse a bundle. `kind` is for programs; `message` says it, and names the artefact."""

    kind: str
    artefact: str
    message: str


@dataclass
class Verdict:
    """What became of a verification. The lock is there only if somebody whom the site trusts signed it."""

    findings: List[Finding] = field(default_factory=list)
    lock: Optional[Lock] = None
    signer: str = ""
    # Bytes that were read and hashed.
    size: int = 0

    @property
    def good(self) -> bool:
        return not self.findings

    def refuse(self, kind: str, artefact: str, text: str) -> None:
        # A name from the folder may hold what moves the cursor of a terminal.
        artefact = artefact if artefact.isprintable() else ascii(artefact)
        self.findings.append(Finding(kind, artefact, f"{artefact}: {text}"))

    def message(self, what: str = "this bundle") -> str:
        """All that is wrong, for the user; a bundle of another site need not fill the screen."""
        lines = [f"{what} is refused:", *(f"  {finding.message}" for finding in self.findings[:_MOST_LINES])]
        more = len(self.findings) - _MOST_LINES
        return "\n".join(lines + ([f"  and {more} findings more"] if more > 0 else []))


def verify(
    folder: Path,
    signers: Sequence[Signer],
    newest_release: str = "",
    workers: int = 0,
    report: Optional[Report] = None,
    elsewhere: Optional[Elsewhere] = None,
) -> Verdict:
    """Verify a bundle. `newest_release` is the one that the site has; an older one is refused.

    `elsewhere` says whether a blob of this digest and size stands in a store of the site, which makes a delta whole.
    """
    folder = Path(folder)
    verdict = trusted(folder, signers, newest_release)
    if verdict.lock and verdict.good:
        try:
            _verify_content(folder, verdict, verdict.lock, workers or usable_cores(), report, elsewhere)
        except OSError as error:
            verdict.refuse("special", str(error.filename or folder), f"cannot be read: {error.strerror}")
    return verdict


def trusted(folder: Path, signers: Sequence[Signer], newest_release: str = "") -> Verdict:
    """The lock of a bundle, if it can be trusted; of its blobs nothing is said."""
    verdict = Verdict()
    if not folder.is_dir():
        verdict.refuse("missing", str(folder), "there is no such folder")
        return verdict
    try:
        raw = read(folder / LOCK)
    except FileNotFoundError:
        verdict.refuse("missing", LOCK, f"is not there, so {folder} is not a bundle")
        return verdict
    except StoreError as error:
        verdict.refuse("special", LOCK, str(error))
        return verdict
    try:
        verdict.signer = verify_by(raw, read(folder / SIGNATURE), signers)
        verdict.lock = Lock.parse(raw)
    except FileNotFoundError:
        verdict.refuse("unsigned", SIGNATURE, "is not there: the bundle is not signed")
    except StoreError as error:
        verdict.refuse("special", SIGNATURE, str(error))
    except SignatureError as error:
        verdict.refuse(error.kind, LOCK, str(error))
    except LockError as error:
        for fault in str(error).splitlines():
            verdict.refuse("lock", LOCK, fault.partition(f"{LOCK}: ")[2] or fault)
    if verdict.lock and newest_release:
        _refuse_old(verdict, verdict.lock.release, newest_release)
    return verdict


def usable_cores() -> int:
    return len(os.sched_getaffinity(0))


def read(path: Path, most: int = _MOST_TEXT) -> bytes:
    """The bytes of a small regular file."""
    if not path.is_symlink() and not path.exists():
        raise FileNotFoundError(path)
    with open_plain(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise StoreError(f"has more than {most} bytes, which none of its kind has")
        return file.read()


def _refuse_old(verdict: Verdict, release: str, newest: str) -> None:
    if not release_order(newest):
        verdict.refuse("old", LOCK, f"cannot be compared with {newest!r}, which is not the name of a release")
    elif release_order(release) < release_order(newest):
        verdict.refuse("old", LOCK, f"release {release} is older than {newest}, which the site has")


# Content


def _verify_content(
    folder: Path,
    verdict: Verdict,
    lock: Lock,
    workers: int,
    report: Optional[Report],
    elsewhere: Optional[Elsewhere],
) -> None:
    delta = (folder / DELTA).is_file()
    _verify_names(folder, verdict, lock, delta)
    store = Store(folder)
    sizes = lock.blobs()
    # What is not a folder was refused by its name.
    names = _names(store.folder) if not store.folder.is_symlink() and store.folder.is_dir() else []
    known = {hex_of(digest) for digest in sizes}
    for name in names:
        if name not in known:
            verdict.refuse("extra", f"{BLOBS}/{name}", "is not in the lock")
    there = set(names)
    present = {digest: size for digest, size in sizes.items() if hex_of(digest) in there}
    absent = {digest: size for digest, size in sizes.items() if hex_of(digest) not in there}
    if elsewhere:
        absent = {digest: size for digest, size in absent.items() if not elsewhere(digest, size)}
    artefacts = Artefacts(lock)
    good = _verify_blobs(store, present, artefacts, verdict, workers, report)
    if delta and absent:
        _refuse_delta(folder, verdict, lock, absent)
    else:
        for digest in absent:
            verdict.refuse("missing", artefacts.name(digest), f"is not there ({BLOBS}/{hex_of(digest)})")
    for image in lock.images:
        _verify_image(store, image, lock.architectures, good, verdict)


def _verify_names(folder: Path, verdict: Verdict, lock: Lock, delta: bool) -> None:
    """Every name in the folder is one of a bundle, and the files beside the blobs say what the lock says."""
    tool = {file.path: file.digest for file in lock.files}.get(TOOL_PATH)
    derived = {LAYOUT: layout(), INDEX: index(lock), SBOM: sbom(lock)}
    files = {LOCK, SIGNATURE, *derived, *([TOOL] if tool else []), *([DELTA] if delta else [])}
    for name in _names(folder):
        if name not in files and name != BLOBS.partition("/")[0]:
            verdict.refuse("extra", name, "is not a part of a bundle")
    if delta and not base_of(folder):
        verdict.refuse("derived", DELTA, "is not what a delta says of its base")
    for name, content in derived.items():
        try:
            if read(folder / name) != content:
                verdict.refuse("derived", name, "does not say what the lock says")
        except FileNotFoundError:
            verdict.refuse("missing", name, "is not there")
        except StoreError as error:
            verdict.refuse("special", name, str(error))
    if tool:
        try:
            if hash_file(folder / TOOL) != tool:
                verdict.refuse("altered", TOOL, f"is not the {TOOL_PATH} of the lock")
        except StoreError as error:
            kind = "special" if os.path.lexists(folder / TOOL) else "missing"
            verdict.refuse(kind, TOOL, str(error))
    for path in (folder / BLOBS).parent, folder / BLOBS:
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            verdict.refuse("special", str(path.relative_to(folder)), "is not a folder")
    for name in _names(folder / "blobs"):
        if name != "sha256":
            verdict.refuse("extra", f"blobs/{name}", "is not a part of a bundle")


def _names(folder: Path) -> List[str]:
    return sorted(entry.name for entry in os.scandir(folder)) if folder.is_dir() else []


def _refuse_delta(folder: Path, verdict: Verdict, lock: Lock, absent: Dict[str, int]) -> None:
    base = base_of(folder)
    verdict.refuse(
        "delta",
        DELTA,
        f"this is a delta, without {len(absent)} blobs of {sum(absent.values())} bytes which {base or 'its base'} has. "
        f"Join it with that bundle, or load it where that one was loaded, to get release {lock.release}",
    )


def note(base_release: str, base_digest: str, blobs: int, size: int) -> bytes:
    """The file that makes a folder a delta. Nobody signed it: it serves for what a person reads."""
    base = {"digest": base_digest, "release": base_release}
    return canonical({"format": 1, "base": base, "blobs": blobs, "bytes": size})


def base_of(folder: Path) -> str:
    """What a delta says of its base."""
    try:
        raw = read(folder / DELTA, _MOST_NOTE)
        content = json.loads(raw)
        release, digest = str(content["base"]["release"]), str(content["base"]["digest"])
        good = raw == note(release, digest, int(content["blobs"]), int(content["bytes"])) and hex_of(digest)
        return f"release {release} (lock {digest})" if good and release_order(release) else ""
    except (StoreError, LockError, FileNotFoundError, ValueError, KeyError, TypeError):
        return ""


# Blobs


class Artefacts:
    """The names by which people know the blobs."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._names: Dict[str, List[str]] = {}

    def name(self, digest: str) -> str:
        """The artefact that a blob is or belongs to, and with how many it is shared."""
        self._names = self._names or self._lock.artefacts()
        first, *others = self._names[digest]
        return f"{first} (and {len(others)} more)" if others else first


@dataclass(frozen=True)
class Hashed:
    """What the file of a blob really is, or why that cannot be said."""

    digest: str = ""
    error: str = ""
    kind: str = ""


class Hashing:
    """Reads blobs in several threads: the hash and the disk leave Python free for the others."""

    def __init__(self, store: Store, wanted: Dict[str, int]) -> None:
        self._store = store
        self._wanted = wanted
        self._sizes = set(wanted.values())
        self._todo: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self.done: queue.SimpleQueue[Tuple[str, Hashed]] = queue.SimpleQueue()
        self._counts: List[int] = []
        # The large ones first, so that no thread is left with one when the others are through.
        for digest in sorted(wanted, key=lambda digest: -wanted[digest]):
            self._todo.put(digest)

    def start(self, workers: int) -> None:
        self._counts = [0] * workers
        for number in range(workers):
            threading.Thread(target=self._work, args=(number,), daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    @property
    def bytes_read(self) -> int:
        return sum(self._counts)

    def _work(self, number: int) -> None:
        def count(size: int) -> None:
            self._counts[number] += size

        while not self._stopped.is_set():
            try:
                digest = self._todo.get_nowait()
            except queue.Empty:
                return
            self.done.put((digest, self._hash(digest, count)))

    def _hash(self, digest: str, count: Callable[[int], None]) -> Hashed:
        path, size = self._store.path(digest), self._wanted[digest]
        try:
            found = path.lstat()
            # A file that has the size of another one may be that one, exchanged. Others are not worth reading.
            other = stat.S_ISREG(found.st_mode) and found.st_size != size and found.st_size in self._sizes
            return Hashed(hash_file(path, None if other else size, count))
        except SizeError as error:
            return Hashed(error=str(error), kind="size")
        except (StoreError, OSError) as error:
            return Hashed(error=str(error), kind="special")


def _verify_blobs(
    store: Store,
    wanted: Dict[str, int],
    artefacts: Artefacts,
    verdict: Verdict,
    workers: int,
    report: Optional[Report],
) -> Dict[str, int]:
    """Hash all blobs and return the good ones. Findings are in order of the digests, whichever thread was first."""
    hashing = Hashing(store, wanted)
    hashing.start(workers)
    results: Dict[str, Hashed] = {}
    total = sum(wanted.values())
    try:
        while len(results) < len(wanted):
            try:
                digest, hashed = hashing.done.get(timeout=_SECONDS_BETWEEN_REPORTS)
                results[digest] = hashed
            except queue.Empty:
                pass
            if report:
                report(hashing.bytes_read, total)
    finally:
        hashing.stop()
    verdict.size = hashing.bytes_read
    for digest, hashed in sorted(results.items()):
        name, place = artefacts.name(digest), f"{BLOBS}/{hex_of(digest)}"
        if hashed.error:
            verdict.refuse(hashed.kind, name, f"{hashed.error} ({place})")
        elif hashed.digest != digest and hashed.digest in wanted:
            verdict.refuse("swapped", name, f"in its place stands {artefacts.name(hashed.digest)} ({place})")
        elif hashed.digest != digest:
            verdict.refuse("altered", name, f"was altered: its digest is {hashed.digest}, wanted is {digest}")
    return {digest: size for digest, size in wanted.items() if results[digest].digest == digest}


# Images


def _verify_image(
    store: Store, image: Image, architectures: Sequence[str], good: Dict[str, int], verdict: Verdict
) -> None:
    """Every blob that the manifests of an image name is listed, in its size. Only good blobs are read."""
    listed = {image.digest: image.size, **{blob.digest: blob.size for blob in image.blobs}}
    todo, seen = [image.digest], {image.digest}
    while todo:
        digest = todo.pop()
        # A blob that is missing or altered has its finding; in a delta it stands elsewhere.
        if digest not in good:
            continue
        for named, size, is_manifest, needed in _named_by(store, digest, architectures, image, verdict):
            if named in listed and listed[named] != size:
                verdict.refuse("manifest", image.reference, f"{digest} says that {named} has {size} bytes")
            elif named not in listed and needed:
                verdict.refuse("manifest", image.reference, f"{digest} names {named}, which the lock does not list")
            elif named in listed and is_manifest and named not in seen:
                todo.append(named)
                seen.add(named)


def _named_by(
    store: Store, digest: str, architectures: Sequence[str], image: Image, verdict: Verdict
) -> Iterator[Tuple[str, int, bool, bool]]:
    """Digest and size of what a manifest names, whether it is a manifest again, and whether a site needs it."""
    try:
        manifest = json.loads(read(store.path(digest), _MOST_MANIFEST))
        if digest == image.digest and manifest.get("mediaType", image.media_type) != image.media_type:
            verdict.refuse("manifest", image.reference, f"{digest} is not of the media type {image.media_type}")
        if "manifests" in manifest:
            pieces = [
                (entry["digest"], entry["size"], True, _needed(entry.get("platform") or {}, architectures))
                for entry in manifest["manifests"]
            ]
        else:
            entries = [manifest["config"], *manifest["layers"]]
            pieces = [(entry["digest"], entry["size"], False, True) for entry in entries]
        for named, size, _is_manifest, _needed_here in pieces:
            hex_of(named)
            int(size)
    except (StoreError, OSError, LockError, ValueError, KeyError, TypeError, AttributeError):
        verdict.refuse("manifest", image.reference, f"{digest} is not a manifest of an image")
        return
    yield from pieces


def _needed(platform: Dict[str, Any], architectures: Sequence[str]) -> bool:
    """An index names the images of all platforms; a bundle carries those of its own."""
    return platform.get("os") == "linux" and platform.get("architecture") in architectures
