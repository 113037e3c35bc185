# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut a bundle into parts for media, and join them. No Ansible.

The parts are a tar archive cut into pieces, so that `cat NAME.[0-9]* | tar x` joins them where nothing else is at hand.
The archive never stands on a disk: its headers follow from the list of files, so that a part is some ranges of files.
Joining writes the ranges of a part to their places, in any order, and reads them back to know what is there already.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import os
import re
import shutil
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import (
    BLOBS,
    DELTA,
    INDEX,
    LAYOUT,
    LOCK,
    SBOM,
    SIGNATURE,
    TOOL,
    canonical,
)
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import (
    CHUNK,
    StoreError,
    hash_file,
    open_plain,
    write_file,
)

PARTS = ".parts.json"
FORMAT = 1
JOINING = ".joining"
_MOST_PARTS = 99_999
_MOST_MANIFEST = 64 << 20
_BLOCK = tarfile.BLOCKSIZE
_FILES = (LOCK, SIGNATURE, SBOM, LAYOUT, INDEX, TOOL, DELTA)
_BLOB = re.compile(rf"{BLOBS}/[0-9a-f]{{64}}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kMGT]?)(i?)B?")

Report = Callable[[int, int], None]


class PartsError(Exception):
    """Parts cannot be made or joined; the text is for the user, one finding a line."""


@dataclass(frozen=True)
class Part:
    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class Range:
    """Bytes of a file of the bundle."""

    path: str
    start: int
    size: int


class Archive:
    """The tar archive that a list of files makes, without the archive."""

    def __init__(self, files: Sequence[Tuple[str, int]]) -> None:
        self.files = list(files)
        self._starts: List[int] = []
        self._pieces: List[Union[bytes, Range]] = []
        self.size = 0
        for path, size in self.files:
            self._append(_header(path, size))
            self._append(Range(path, 0, size))
            self._append(bytes(-size % _BLOCK))
        self._append(bytes(2 * _BLOCK))

    def _append(self, piece: Union[bytes, Range]) -> None:
        size = len(piece) if isinstance(piece, bytes) else piece.size
        if size:
            self._starts.append(self.size)
            self._pieces.append(piece)
            self.size += size

    def pieces(self, start: int, size: int) -> Iterator[Union[bytes, Range]]:
        """What the archive consists of from `start`, for `size` bytes."""
        number = bisect.bisect_right(self._starts, start) - 1
        while size > 0:
            piece, skipped = self._pieces[number], start - self._starts[number]
            if isinstance(piece, bytes):
                cut: Union[bytes, Range] = piece[skipped : skipped + size]
                length = len(cut) if isinstance(cut, bytes) else 0
            else:
                length = min(piece.size - skipped, size)
                cut = Range(piece.path, piece.start + skipped, length)
            yield cut
            start, size, number = start + length, size - length, number + 1


@dataclass(frozen=True)
class Manifest:
    """What the parts are. Nobody signed it: it tells good parts from bad ones, not whose they are."""

    name: str
    digest: str
    size: int
    files: Tuple[Tuple[str, int], ...]
    parts: Tuple[Part, ...]

    def dump(self) -> bytes:
        files = [{"path": path, "size": size} for path, size in self.files]
        return canonical({"format": FORMAT, **asdict(self), "files": files})

    @classmethod
    def parse(cls, raw: bytes, where: str) -> Manifest:
        try:
            content = json.loads(raw)
            if content["format"] != FORMAT:
                raise PartsError(f"{where}: its format is {content['format']!r}, this version reads format {FORMAT}")
            files = tuple((_text(entry["path"]), _count(entry["size"])) for entry in content["files"])
            parts = tuple(
                Part(_text(part["name"]), _count(part["size"]), _text(part["digest"])) for part in content["parts"]
            )
            found = cls(_text(content["name"]), _text(content["digest"]), _count(content["size"]), files, parts)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise PartsError(f"{where}: it is not a list of parts") from error
        if not found._sound():
            raise PartsError(f"{where}: what it says cannot be true")
        return found

    def _sound(self) -> bool:
        """Whether files and parts have possible names, and fit each other."""
        paths = [path for path, _size in self.files]
        names = [part.name for part in self.parts]
        return (
            bool(_NAME.fullmatch(self.name))
            and all(map(_is_of_a_bundle, paths))
            and len(set(paths)) == len(paths)
            and LOCK in paths
            and all(_NAME.fullmatch(name) and name.startswith(f"{self.name}.") for name in names)
            and len(set(names)) == len(names)
            and all(_DIGEST.fullmatch(part.digest) for part in self.parts)
            and sum(part.size for part in self.parts) == self.size == Archive(self.files).size
        )


def parse_size(text: str) -> int:
    """Bytes in a size such as 4G or 650M. As on the label of a medium, G is 1,000,000,000; GiB is 1,073,741,824."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise PartsError(f"{text!r} is not a size such as 650M, 4G or 3.5GiB")
    number, unit, binary = match.groups()
    size = int(float(number) * (1024 if binary else 1000) ** " kMGT".index(unit or " "))
    if size < _BLOCK:
        raise PartsError(f"parts of {size} bytes are too small")
    return size


class Tally:
    """Counts bytes and tells them on."""

    def __init__(self, total: int, report: Optional[Report]) -> None:
        self._done, self._total, self._report = 0, total, report

    def add(self, size: int) -> None:
        self._done += size
        if self._report:
            self._report(self._done, self._total)


# Split


def split(
    bundle: Path, target: Path, size: int, only: int = 0, name: str = "", report: Optional[Report] = None
) -> Tuple[Manifest, bool]:
    """Write the parts of a bundle, or the one with the number `only`. Returns what they are, and whether any is new.

    A part that is there and right is not written again, so that a second run goes on where the first one ended.
    """
    archive = Archive(_listing(bundle))
    plan = _plan(archive.size, size, name or bundle.resolve().name)
    if only > len(plan):
        raise PartsError(f"{bundle}: it makes {len(plan)} parts of {size} bytes, so there is no part {only}")
    target.mkdir(parents=True, exist_ok=True)
    chosen = plan[only - 1 : only] if only else plan
    _check_space(target, {target / part: length for part, _start, length in chosen})
    progress, whole, parts, new = Tally(archive.size, report), hashlib.sha256(), [], False
    for part in plan:
        file, start, length = part
        there = target / file
        same = there.is_file() and there.stat().st_size == length
        write = part in chosen and not same
        digest = _copy(_content(bundle, archive, start, length), there if write else None, progress, whole)
        if part in chosen and same and hash_file(there) != digest:
            write = True
            _copy(_content(bundle, archive, start, length), there, Tally(0, None), hashlib.sha256())
        new = new or write
        parts.append(Part(file, length, digest))
    found = Manifest(
        name or bundle.resolve().name,
        f"sha256:{whole.hexdigest()}",
        archive.size,
        tuple(archive.files),
        tuple(parts),
    )
    new = write_file(target / f"{found.name}{PARTS}", found.dump()) or new
    # What joins the parts has to be outside of them.
    if (bundle / TOOL).is_file():
        new = write_file(target / TOOL, (bundle / TOOL).read_bytes()) or new
    return found, new


def _listing(bundle: Path) -> List[Tuple[str, int]]:
    """All files of a bundle, the small ones that say what it is first."""
    paths = [path for path in sorted(bundle.rglob("*")) if path.is_symlink() or not path.is_dir()]
    names = sorted((str(path.relative_to(bundle)) for path in paths), key=lambda name: (name not in _FILES, name))
    foreign = [name for name in names if not _is_of_a_bundle(name)]
    if foreign or LOCK not in names:
        raise PartsError(
            f"{bundle}: {foreign[0]} is not a part of a bundle" if foreign else f"{bundle}: it is not a bundle"
        )
    return [(name, (bundle / name).lstat().st_size) for name in names]


def _plan(total: int, size: int, name: str) -> List[Tuple[str, int, int]]:
    """Name, start and length of each part."""
    if not _NAME.fullmatch(name):
        raise PartsError(f"{name!r} cannot be the name of parts: letters, digits, dots, hyphens")
    count = -(-total // size)
    if count > _MOST_PARTS:
        raise PartsError(f"{count} parts of {size} bytes are too many")
    digits = max(3, len(str(count)))
    starts = range(0, total, size)
    return [
        (f"{name}.{number:0{digits}}", start, min(size, total - start)) for number, start in enumerate(starts, start=1)
    ]


def _content(bundle: Path, archive: Archive, start: int, size: int) -> Iterator[bytes]:
    """The bytes of the archive, from the files of the bundle."""
    for piece in archive.pieces(start, size):
        if isinstance(piece, bytes):
            yield piece
        else:
            yield from _read(bundle, piece)


def _read(bundle: Path, piece: Range) -> Iterator[bytes]:
    try:
        with open_plain(bundle / piece.path) as file:
            file.seek(piece.start)
            left = piece.size
            while left:
                chunk = file.read(min(CHUNK, left))
                if not chunk:
                    raise PartsError(f"{piece.path}: it became shorter while it was read")
                left -= len(chunk)
                yield chunk
    except (StoreError, OSError) as error:
        raise PartsError(f"{piece.path}: {error}") from error


def _copy(content: Iterator[bytes], target: Optional[Path], progress: Tally, whole: Any) -> str:
    """Hash bytes, and write them if there is a target, which gets its name when it is complete."""
    summed = hashlib.sha256()
    new = target.with_name(f"{target.name}.new") if target else None
    file = new.open("wb") if new else None
    try:
        for chunk in content:
            summed.update(chunk)
            whole.update(chunk)
            progress.add(len(chunk))
            if file:
                file.write(chunk)
        if file and new and target:
            file.flush()
            os.fsync(file.fileno())
            new.replace(target)
    finally:
        if file and new:
            file.close()
            new.unlink(missing_ok=True)
    return f"sha256:{summed.hexdigest()}"


def _check_space(folder: Path, files: Dict[Path, int]) -> None:
    """Refuse before the first byte what the disk cannot hold."""
    there = {path: path.stat().st_size for path in files if path.is_file()}
    needed = sum(max(0, size - there.get(path, 0)) for path, size in files.items())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise PartsError(f"{folder}: {needed} bytes are needed, and {free} are free")


# Join


def join(sources: Sequence[Path], target: Path, report: Optional[Report] = None) -> Tuple[Manifest, bool]:
    """Put a bundle together from its parts in these folders. Returns what they are, and whether anything was new.

    What is there and right stays, and every good part is used even if others are missing, so that media may come one
    after another. The folder gets its name when it is complete.
    """
    manifest = _manifest(sources)
    archive = Archive(manifest.files)
    work = target if (target / LOCK).exists() else target.with_name(f"{target.name}{JOINING}")
    _check_target(target, work, manifest)
    (work / BLOBS).mkdir(parents=True, exist_ok=True)
    _check_space(work, {work / path: size for path, size in manifest.files})
    progress, start, problems, new = Tally(archive.size, report), 0, [], work != target
    for part in manifest.parts:
        pieces = list(archive.pieces(start, part.size))
        start += part.size
        if _stands(work, pieces, part.digest):
            progress.add(part.size)
            continue
        new = True
        problem = _take(part, sources, work, pieces, progress, manifest)
        if problem:
            problems.append(problem)
    if problems:
        good = len(manifest.parts) - len(problems)
        there = f"{good} of {len(manifest.parts)} parts are in {work}; run it again with the others"
        raise PartsError("\n".join([*problems, there]))
    _finish(work, target, manifest)
    return manifest, new


def _manifest(sources: Sequence[Path]) -> Manifest:
    found = sorted(path for source in sources for path in source.glob(f"*{PARTS}"))
    if not found:
        where = ", ".join(map(str, sources))
        raise PartsError(f"{where}: there is no list of parts (a file that ends in {PARTS})")
    contents = {path: path.read_bytes()[: _MOST_MANIFEST + 1] for path in found}
    different = [path for path in found if contents[path] != contents[found[0]]]
    if different:
        raise PartsError(f"{found[0]} and {different[0]} are lists of different parts; join those of one bundle")
    return Manifest.parse(contents[found[0]], str(found[0]))


def _check_target(target: Path, work: Path, manifest: Manifest) -> None:
    """Only what an earlier join left may be there."""
    known = {path for path, _size in manifest.files}
    for folder in dict.fromkeys([target, work]):
        for path in folder.rglob("*") if folder.is_dir() else ():
            name = str(path.relative_to(folder))
            of_it = name in known if path.is_symlink() or not path.is_dir() else f"{BLOBS}/".startswith(f"{name}/")
            if not of_it or folder != work:
                raise PartsError(f"{folder}: {name} is there, which is not of {manifest.name}; name an empty folder")


def _stands(work: Path, pieces: Sequence[Union[bytes, Range]], digest: str) -> bool:
    """Whether the bytes of a part are in their places."""
    ranges = [piece for piece in pieces if isinstance(piece, Range)]
    if not all(_size(work / piece.path) >= piece.start + piece.size for piece in ranges):
        return False
    summed = hashlib.sha256()
    for piece in pieces:
        for chunk in (piece,) if isinstance(piece, bytes) else _read(work, piece):
            summed.update(chunk)
    return f"sha256:{summed.hexdigest()}" == digest


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() and not path.is_symlink() else -1


def _take(
    part: Part,
    sources: Sequence[Path],
    work: Path,
    pieces: Sequence[Union[bytes, Range]],
    progress: Tally,
    manifest: Manifest,
) -> str:
    """Write the bytes of a part to their places. Returns what is wrong with the part, or nothing."""
    problem = f"{part.name}: is missing"
    for path in [source / part.name for source in sources if (source / part.name).exists()]:
        try:
            problem = _write(path, part, work, pieces, progress, manifest)
        except (StoreError, OSError) as error:
            problem = f"{path}: {error}"
        if not problem:
            return ""
    return problem


def _write(
    path: Path,
    part: Part,
    work: Path,
    pieces: Sequence[Union[bytes, Range]],
    progress: Tally,
    manifest: Manifest,
) -> str:
    summed = hashlib.sha256()
    with open_plain(path) as source:
        size = os.fstat(source.fileno()).st_size
        if size != part.size:
            return f"{path}: has {size} bytes, wanted are {part.size}"
        for piece in pieces:
            if isinstance(piece, bytes):
                summed.update(source.read(len(piece)))
                continue
            for chunk in _write_range(source, work, piece):
                summed.update(chunk)
                progress.add(len(chunk))
    digest = f"sha256:{summed.hexdigest()}"
    others = [other.name for other in manifest.parts if other.digest == digest]
    if digest == part.digest:
        return ""
    if others:
        return f"{path}: holds what {others[0]} should; the two were exchanged"
    return f"{path}: was damaged, its digest is {digest}, wanted is {part.digest}"


def _write_range(source: BinaryIO, work: Path, piece: Range) -> Iterator[bytes]:
    handle = os.open(work / piece.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(handle, "wb") as target:
        target.seek(piece.start)
        left = piece.size
        while left:
            chunk = source.read(min(CHUNK, left))
            if not chunk:
                return
            target.write(chunk)
            left -= len(chunk)
            yield chunk


def _finish(work: Path, target: Path, manifest: Manifest) -> None:
    for path, size in manifest.files:
        # A file without bytes is in no part.
        with (work / path).open("ab") as file:
            file.truncate(size)
            os.fsync(file.fileno())
    if work != target:
        work.rename(target)


# Names, numbers


def _header(path: str, size: int) -> bytes:
    """The header of a file in the archive: no owner, no time, so that the same bundle makes the same parts."""
    entry = tarfile.TarInfo(path)
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)


def _is_of_a_bundle(name: str) -> bool:
    return name in _FILES or bool(_BLOB.fullmatch(name))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError


def _count(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise TypeError
