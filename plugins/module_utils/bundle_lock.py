# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a bundle: every artefact with its size and digest. No Ansible, no I/O.

A lock has exactly one form in bytes, so that the same artefacts give the same lock, and one signature covers it.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, NoReturn, Optional, Tuple, Type, TypeVar, Union

FORMAT = 1
# What stands in the folder of a bundle. Nothing else may.
LOCK, SIGNATURE, SBOM, LAYOUT, INDEX = "lock.json", "lock.json.sig", "sbom.cdx.json", "oci-layout", "index.json"
BLOBS, TOOL, DELTA = "blobs/sha256", "onprem-dify.pyz", "delta.json"
TOOL_PATH = f"tool/{TOOL}"

KINDS = ("archive", "collection", "index", "key", "package", "tool", "wheel")
ARCHITECTURES = ("all", "amd64", "arm64")
IMAGE_INDEX = "application/vnd.oci.image.index.v1+json"
MEDIA_TYPES = (
    IMAGE_INDEX,
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# What the build itself makes has no upstream, and a tool or a key need not have a version.
MAY_BE_EMPTY = ("source", "version")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_RELEASE = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})(?:\.([1-9]\d{0,5}))?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_SYSTEM = re.compile(r"[A-Za-z]+(_\d+)?", re.ASCII)
_COMPONENT = re.compile(r"[a-z0-9]+([._+-]+[a-z0-9]+)*\+*", re.ASCII)
_PATH_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~:%@-]*", re.ASCII)
_IMAGE_NAME = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)+", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)

Record = TypeVar("Record", "Component", "File", "Blob", "Image")


class LockError(Exception):
    """This is no lock; the text is for the user, one fault a line."""


@dataclass(frozen=True)
class Component:
    """What a person knows by name, under one licence."""

    name: str
    version: str
    licence: str
    source: str
    end_of_life: Optional[str]


@dataclass(frozen=True)
class File:
    """An artefact that is one file."""

    path: str
    kind: str
    component: str
    version: str
    architecture: str
    digest: str
    size: int
    source: str


@dataclass(frozen=True)
class Blob:
    """A piece of an image: a manifest of one architecture, a configuration, a layer."""

    digest: str
    size: int


@dataclass(frozen=True)
class Image:
    """An image: its top manifest, and everything below it."""

    name: str
    tag: str
    component: str
    version: str
    digest: str
    media_type: str
    size: int
    blobs: Tuple[Blob, ...]

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.tag}"


@dataclass(frozen=True)
class Lock:
    """The content of a bundle. However it was put together, it is in order."""

    release: str
    architectures: Tuple[str, ...]
    systems: Tuple[str, ...]
    components: Tuple[Component, ...]
    files: Tuple[File, ...]
    images: Tuple[Image, ...]

    def __post_init__(self) -> None:
        ordered: Dict[str, Tuple[Any, ...]] = {
            "architectures": tuple(sorted(self.architectures)),
            "systems": tuple(sorted(self.systems)),
            "components": tuple(sorted(self.components, key=lambda component: component.name)),
            "files": tuple(sorted(self.files, key=lambda file: file.path)),
            "images": tuple(sorted(map(_in_order, self.images), key=lambda image: (image.name, image.tag))),
        }
        for field, value in ordered.items():
            object.__setattr__(self, field, value)

    @classmethod
    def parse(cls, text: Union[bytes, str]) -> Lock:
        """The lock in these bytes, if they are one, complete, in order and without a contradiction."""
        raw = text.encode() if isinstance(text, str) else text
        content = _loaded(raw)
        if content.get("format") != FORMAT:
            raise LockError(f"{LOCK}: its format is {content.get('format')!r}, this version reads format {FORMAT}")
        wanted = {"format", *(field.name for field in dataclasses.fields(cls))}
        _same_fields(LOCK, content, wanted)
        lock = cls(
            release=_word("release", content["release"]),
            architectures=_words("architectures", content["architectures"]),
            systems=_words("systems", content["systems"]),
            components=_records(Component, "components", content["components"]),
            files=_records(File, "files", content["files"]),
            images=_records(Image, "images", content["images"]),
        )
        found = lock.faults()
        if found:
            raise LockError("\n".join(f"{LOCK}: {fault}" for fault in found))
        if lock.dump() != raw:
            raise LockError(f"{LOCK}: it is not in its one form (order, spaces), so a program or a person changed it")
        return lock

    def dump(self) -> bytes:
        """The one form of this lock."""
        return canonical({"format": FORMAT, **dataclasses.asdict(self)})

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.dump()).hexdigest()}"

    def blobs(self) -> Dict[str, int]:
        """The size of every blob by its digest, in order of the digests."""
        sizes = {digest: size for digest, size, _name in self._pieces()}
        return dict(sorted(sizes.items()))

    def artefacts(self) -> Dict[str, List[str]]:
        """To what a blob belongs, by its digest: paths of files, names of images."""
        names: Dict[str, List[str]] = {}
        for digest, _size, name in self._pieces():
            names.setdefault(digest, [])
            if name not in names[digest]:
                names[digest].append(name)
        return names

    def missing_in(self, other: Lock) -> Dict[str, int]:
        """The blobs of this lock that the other one does not have."""
        there = other.blobs()
        return {digest: size for digest, size in self.blobs().items() if digest not in there}

    def file(self, path: str) -> File:
        for file in self.files:
            if file.path == path:
                return file
        raise LockError(f"{LOCK}: there is no {path} in release {self.release}")

    def faults(self) -> List[str]:
        """What is wrong with this lock, one sentence each."""
        found = [] if release_order(self.release) else [f"release {self.release!r} is not YYYY.MM.DD or YYYY.MM.DD.N"]
        found += [f"unknown architecture {name!r}" for name in self.architectures if name not in ARCHITECTURES[1:]]
        found += [f"{name!r} is no system as Debian_12" for name in self.systems if not _SYSTEM.fullmatch(name)]
        for component in self.components:
            found += _component_faults(component)
        for file in self.files:
            found += _file_faults(file)
        for image in self.images:
            found += _image_faults(image)
        return found + self._contradictions()

    def _contradictions(self) -> List[str]:
        found = [
            *_twice("architecture", self.architectures),
            *_twice("system", self.systems),
            *_twice("component", [component.name for component in self.components]),
            *_twice("path", [file.path for file in self.files]),
            *_twice("image", [image.reference for image in self.images]),
        ]
        paths = {file.path for file in self.files}
        found += [
            f"{parent} is a file and the folder of {path}"
            for path in sorted(paths)
            for parent in _parents(path)
            if parent in paths
        ]
        known = {component.name for component in self.components}
        users = [(file.path, file.component) for file in self.files]
        users += [(image.reference, image.component) for image in self.images]
        found += [f"{user}: its component {name!r} is not listed" for user, name in users if name not in known]
        sizes: Dict[str, Tuple[int, str]] = {}
        for digest, size, name in self._pieces():
            first, owner = sizes.setdefault(digest, (size, name))
            if first != size:
                found.append(f"{digest} has {first} bytes in {owner} and {size} bytes in {name}")
        return found

    def _pieces(self) -> Iterable[Tuple[str, int, str]]:
        for file in self.files:
            yield file.digest, file.size, file.path
        for image in self.images:
            yield image.digest, image.size, image.reference
            for blob in image.blobs:
                yield blob.digest, blob.size, image.reference


def canonical(content: Any) -> bytes:
    """JSON in the one form that the files of a bundle have."""
    return (json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def release_order(release: str) -> Tuple[int, ...]:
    """What releases are compared by; empty if this is none."""
    match = _RELEASE.fullmatch(release)
    if not match:
        return ()
    year, month, day, number = (int(part or 0) for part in match.groups())
    try:
        datetime.date(year, month, day)
    except ValueError:
        return ()
    return (year, month, day, number)


def hex_of(digest: str) -> str:
    """The name of a blob's file."""
    if not _DIGEST.fullmatch(digest):
        raise LockError(f"{digest!r} is not a sha256 digest")
    return digest[len("sha256:") :]


def layout() -> bytes:
    """The file that makes the folder an OCI image layout."""
    return canonical({"imageLayoutVersion": "1.0.0"})


def index(lock: Lock) -> bytes:
    """The index of the OCI image layout. It says nothing that the lock does not say."""
    manifests = [
        {
            "annotations": {"org.opencontainers.image.ref.name": image.reference},
            "digest": image.digest,
            "mediaType": image.media_type,
            "size": image.size,
        }
        for image in lock.images
    ]
    return canonical({"manifests": manifests, "mediaType": IMAGE_INDEX, "schemaVersion": 2})


# Read


def _loaded(raw: bytes) -> Dict[str, Any]:
    try:
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise LockError(f"{LOCK}: it is not JSON ({error})") from error
    return content if isinstance(content, dict) else _refuse("it is not a JSON object")


def _once(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    content = dict(pairs)
    return content if len(content) == len(pairs) else _refuse("a field stands twice in one object")


def _refuse(fault: str) -> NoReturn:
    raise LockError(f"{LOCK}: {fault}")


def _same_fields(where: str, content: Mapping[str, Any], wanted: Iterable[str]) -> None:
    wanted = set(wanted)
    faults = [f"{where}: field {field} is missing" for field in sorted(wanted - set(content))]
    faults += [f"{where}: unknown field {field}" for field in sorted(set(content) - wanted)]
    if faults:
        raise LockError("\n".join(faults))


def _word(where: str, value: Any) -> str:
    return value if isinstance(value, str) else _refuse(f"{where} is not text")


def _words(where: str, value: Any) -> Tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return tuple(value)
    return _refuse(f"{where} is not a list of texts")


def _records(kind: Type[Record], where: str, value: Any) -> Tuple[Record, ...]:
    if not isinstance(value, list):
        return _refuse(f"{where} is not a list")
    return tuple(_record(kind, f"{LOCK}: {where}[{number}]", entry) for number, entry in enumerate(value))


def _record(kind: Type[Record], where: str, entry: Any) -> Record:
    if not isinstance(entry, dict):
        raise LockError(f"{where} is not an object")
    fields = [field.name for field in dataclasses.fields(kind)]
    _same_fields(where, entry, fields)
    values: Dict[str, Any] = dict(entry)
    for field, value in entry.items():
        if field == "blobs":
            values[field] = _records(Blob, f"{where.split(': ', 1)[1]}.blobs", value)
        elif field == "size":
            if not isinstance(value, int) or isinstance(value, bool):
                raise LockError(f"{where}: size is not a whole number")
        elif not isinstance(value, str) and not (field == "end_of_life" and value is None):
            raise LockError(f"{where}: {field} is not text")
    return kind(**values)


# Faults of one record


def _component_faults(component: Component) -> List[str]:
    where = f"component {component.name!r}"
    found = [] if _COMPONENT.fullmatch(component.name) else [f"{where} is not a name in lower case"]
    found += [f"{where}: {field} is empty" for field in ("licence", "source") if not getattr(component, field).strip()]
    if component.end_of_life is not None and not _DAY.fullmatch(component.end_of_life):
        found.append(f"{where}: end_of_life {component.end_of_life!r} is not a day as 2026-11-25")
    return found


def _file_faults(file: File) -> List[str]:
    where = f"file {file.path!r}"
    parts = file.path.split("/")
    found = [] if all(map(_PATH_PART.fullmatch, parts)) else [f"{where}: this is not a path inside a bundle"]
    found += [] if file.kind in KINDS else [f"{where}: unknown kind {file.kind!r}"]
    found += [] if file.architecture in ARCHITECTURES else [f"{where}: unknown architecture {file.architecture!r}"]
    found += [] if _one_line(file.source) else [f"{where}: source is not one line"]
    found += [] if _one_line(file.version) else [f"{where}: version is not one line"]
    return found + _blob_faults(where, file.digest, file.size)


def _image_faults(image: Image) -> List[str]:
    where = f"image {image.reference!r}"
    found = [] if _IMAGE_NAME.fullmatch(image.name) else [f"{where}: this is not a name with its registry"]
    found += [] if _TAG.fullmatch(image.tag) else [f"{where}: this is not a tag"]
    found += [] if image.media_type in MEDIA_TYPES else [f"{where}: unknown media type {image.media_type!r}"]
    found += _blob_faults(where, image.digest, image.size)
    for blob in image.blobs:
        found += _blob_faults(where, blob.digest, blob.size)
    return found + [f"{where}: {fault}" for fault in _twice("blob", [blob.digest for blob in image.blobs])]


def _blob_faults(where: str, digest: str, size: int) -> List[str]:
    found = [] if _DIGEST.fullmatch(digest) else [f"{where}: {digest!r} is not a sha256 digest"]
    return found + ([] if size >= 0 else [f"{where}: its size is {size}"])


def _one_line(text: str) -> bool:
    return text.isprintable()


def _twice(what: str, names: Iterable[str]) -> List[str]:
    return [f"{what} {name} stands twice" for name, count in sorted(Counter(names).items()) if count > 1]


def _parents(path: str) -> Iterable[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _in_order(image: Image) -> Image:
    return dataclasses.replace(image, blobs=tuple(sorted(image.blobs, key=lambda blob: blob.digest)))
