# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of the RHEL family and openEuler for a bundle: what the wanted ones need, and a signed repository of them.

dnf itself works out what is needed, in a root of its own where nothing is installed. Each package must have a signature
of its makers. The repository has one form in bytes: what upstream's index says, with the places of this one.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_manager
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_apt import day_of
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_fetch import logins
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_program import run
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_systems import Repository, System

# The Python that has dnf is that of the operating system.
PYTHON = "/usr/bin/python3"
SOLVE = Path(__file__).with_name("bundle_dnf_solve.py")
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "noarch": "all"}
COMMON, REPO, RPM = (f"http://linux.duke.edu/metadata/{name}" for name in ("common", "repo", "rpm"))
FILELISTS = "http://linux.duke.edu/metadata/filelists"
_END = b"</package>"
_CHECKSUM = re.compile(r'<checksum type="sha256" pkgid="YES">([0-9a-f]{64})</checksum>')
_PACKAGE_ID = re.compile(r'<package pkgid="([0-9a-f]{64})"')
_LOCATION = re.compile(r"<location [^>]*/>")
_TIME = re.compile(r'<time file="\d+"')
CHUNK = 1 << 20
# What rpmkeys writes behind the path of a package that a trusted key has signed; else a part of it is in capitals.
_SIGNED = "signatures OK"
# The file that says what the others must be.
INDEX = "repodata/repomd.xml"


class DnfError(Exception):
    """The packages cannot be had; the text is for the user."""


@dataclass(frozen=True)
class Package(bundle_manager.Package):
    """`primary` and `filelists`: what the indexes of upstream say of it."""

    primary: str
    filelists: str


class Dnf(bundle_manager.Manager):
    """dnf for one target."""

    def prepare(self) -> None:
        system = self.target.system
        for program, package in (("dnf", "dnf"), ("rpmkeys", "rpm")):
            if not shutil.which(program):
                raise DnfError(
                    f"{program} is missing: packages of {self.target} need it (package {package}, of Debian as well)"
                )
        for repository in self.repositories:
            if not repository.signed_by or not Path(repository.signed_by).is_file():
                raise DnfError(
                    f"{repository.uri}: {repository.signed_by or 'no key'} is no file with the public key of its "
                    f"makers. Give it in bundle_keyrings.{system.name} or in signed_by of bundle_repositories"
                )
        for name in ("state", "cache", "root", "log"):
            (self.work / name).mkdir(parents=True, exist_ok=True)

    def choose(
        self, wanted: Iterable[str], optional: Iterable[str], pinned: Mapping[str, str]
    ) -> tuple[list[Package], list[str]]:
        answer = self._ask(sorted(wanted), sorted(optional), pinned)
        bad = [one["name"] for one in answer["packages"] if not one["digest"].startswith("sha256:")]
        if bad:
            raise DnfError(f"{self.target}: its index has no SHA-256 of {', '.join(bad)}")
        # Indexes are large: those of a repository from which nothing is taken are not read.
        taken: dict[str, set[str]] = {}
        for one in answer["packages"]:
            taken.setdefault(one["repository"], set()).add(one["digest"])
        stanzas = {
            kind: {
                name: dict(_stanzas(Path(answer["indexes"][name][kind]), kind, digests))
                for name, digests in taken.items()
            }
            for kind in ("primary", "filelists")
        }
        packages = [
            self._package(one, *(stanzas[kind][one["repository"]] for kind in ("primary", "filelists")))
            for one in answer["packages"]
        ]
        return sorted(packages, key=_order), list(answer["missing"])

    def _ask(self, wanted: Sequence[str], optional: Sequence[str], pinned: Mapping[str, str]) -> dict[str, Any]:
        question = {
            "wanted": wanted,
            "optional": optional,
            "pinned": dict(pinned),
            "machine": MACHINES[self.target.architecture],
            "platform": self.target.system.codename,
            "version": self.target.system.version,
            "work": str(self.work),
            "ca_file": self._ca_file,
            "repositories": [
                self._repository(number, repository) for number, repository in enumerate(self.repositories)
            ],
        }
        with tempfile.TemporaryFile("w+") as file:
            json.dump(question, file)
            file.seek(0)
            done = run([PYTHON, "-I", str(SOLVE)], os.environ, self._meter.check, self._inherit, file)
        if done.code != 0:
            lines = [line for line in done.errors.splitlines() if line.strip()] or ["dnf failed and did not say why"]
            raise DnfError(f"{self.target}: {lines[-1]}")
        answer: dict[str, Any] = json.loads(done.output)
        return answer

    def _uri(self, repository: Repository) -> str:
        return repository.uri.replace("$basearch", MACHINES[self.target.architecture])

    def _repository(self, number: int, repository: Repository) -> dict[str, str]:
        uri = self.sources.of(self._uri(repository) + "/")
        user, password = logins().get(urllib.parse.urlsplit(uri).hostname or "", ("", ""))
        return {"id": str(number), "uri": uri, "user": user, "password": password}

    def _package(self, one: Mapping[str, Any], primary: Mapping[str, str], filelists: Mapping[str, str]) -> Package:
        digest = str(one["digest"])
        upstream = f"{self._uri(self.repositories[int(one['repository'])])}/{one['location']}"
        if digest not in primary or digest not in filelists:
            raise DnfError(f"{self.target}: the indexes of its repository do not describe {one['name']}")
        # Other signs stand in versions, and cannot stand in the paths of a bundle.
        file = re.sub(r"[^A-Za-z0-9._+~-]", "_", str(one["location"]).rpartition("/")[2])
        path = f"Packages/{file}"
        return Package(
            name=str(one["name"]),
            version=str(one["version"]),
            architecture=ARCHITECTURES.get(str(one["architecture"]), self.target.architecture),
            path=f"packages/{self.target.system.name}/{path}",
            upstream=upstream,
            size=int(one["size"]),
            digest=digest,
            primary=_placed(primary[digest], path),
            filelists=filelists[digest],
        )


def _order(package: Package) -> tuple[str, str, str]:
    return package.name, package.version, package.architecture


# The indexes of upstream


def _stanzas(index: Path, kind: str, wanted: set[str]) -> Iterator[tuple[str, str]]:
    """What an index says of the wanted packages, by digest. It may be large, so it is never in memory as a whole."""
    naming = _CHECKSUM if kind == "primary" else _PACKAGE_ID
    for stanza in _packages_in(index):
        match = naming.search(stanza)
        if match and f"sha256:{match[1]}" in wanted:
            yield f"sha256:{match[1]}", stanza


def _packages_in(index: Path) -> Iterator[str]:
    rest = b""
    for chunk in _chunks(index):
        *whole, rest = (rest + chunk).split(_END)
        for text in whole:
            yield (text[text.index(b"<package ") :] + _END).decode()


def _chunks(index: Path) -> Iterator[bytes]:
    if index.suffix == ".zst":
        yield from _unpacked(index)
        return
    opener: Any = {".gz": gzip.open, ".xz": lzma.open}.get(index.suffix, open)
    with opener(index, "rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _unpacked(index: Path) -> Iterator[bytes]:
    if not shutil.which("zstd"):
        raise DnfError(f"zstd is missing: {index.name} of a repository is packed with it (package zstd)")
    with subprocess.Popen(["zstd", "-dcq", str(index)], stdout=subprocess.PIPE) as process:
        while process.stdout and (chunk := process.stdout.read(CHUNK)):
            yield chunk
    if process.returncode != 0:
        raise DnfError(f"{index}: zstd cannot unpack it")


def _placed(stanza: str, path: str) -> str:
    """The stanza with the place of this repository, and without the time of a file of upstream's."""
    return _TIME.sub('<time file="0"', _LOCATION.sub(f'<location href="{path}"/>', stanza))


# The repository


def repository(release: str, packages: Iterable[Package]) -> dict[str, bytes]:
    """The files of the indexes, without the signature, by path below the folder of the system."""
    ordered = sorted(packages, key=_order)
    day = int(day_of(release).timestamp())
    # Not compressed: the same bytes compressed differ from one machine to another.
    data = {
        "primary": _index("metadata", COMMON, [package.primary for package in ordered]),
        "filelists": _index("filelists", FILELISTS, [package.filelists for package in ordered]),
    }
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<repomd xmlns="{REPO}">', f"  <revision>{release}</revision>"]
    for kind, content in data.items():
        lines += [
            f'  <data type="{kind}">',
            f'    <checksum type="sha256">{hashlib.sha256(content).hexdigest()}</checksum>',
            f'    <location href="repodata/{kind}.xml"/>',
            f"    <timestamp>{day}</timestamp>",
            f"    <size>{len(content)}</size>",
            "  </data>",
        ]
    repomd = "".join(f"{line}\n" for line in [*lines, "</repomd>"]).encode()
    return {**{f"repodata/{kind}.xml": content for kind, content in data.items()}, INDEX: repomd}


def _index(root: str, space: str, stanzas: Sequence[str]) -> bytes:
    head = f'<{root} xmlns="{space}" xmlns:rpm="{RPM}" packages="{len(stanzas)}">'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', head, *stanzas, f"</{root}>"]
    return "".join(f"{line}\n" for line in lines).encode()


# Signatures of the makers


def keys_of(repositories: Iterable[Repository]) -> bytes:
    """The public keys that prove the packages of a system, each once."""
    files = sorted({repository.signed_by for repository in repositories})
    texts = {Path(file).read_bytes().strip() + b"\n" for file in files}
    return b"".join(sorted(texts))


def unsigned(system: System, packages: Mapping[str, Path], repositories: Sequence[Repository]) -> list[str]:
    """Those packages that no key of these repositories has signed. `packages`: where each is."""
    with tempfile.TemporaryDirectory(prefix="rpm-") as place:
        rpmkeys = ["rpmkeys", "--define", f"_dbpath {place}", "--define", "_pkgverify_level all"]
        keys = sorted({repository.signed_by for repository in repositories})
        done = subprocess.run([*rpmkeys, "--import", *keys], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DnfError(f"{system.title}: {' '.join(keys)}: {done.stderr.strip()}")
        places = sorted({str(path) for path in packages.values()})
        done = subprocess.run([*rpmkeys, "--checksig", *places], capture_output=True, text=True, check=False)
        lines = [line.rpartition(": ") for line in done.stdout.splitlines()]
        signed = {place for place, _colon, verdict in lines if verdict.endswith(_SIGNED)}
        return sorted(name for name, path in packages.items() if str(path) not in signed)
