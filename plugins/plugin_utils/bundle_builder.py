# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build a bundle: fetch what the plan wishes, all at once, then lock and sign it.

Whatever was fetched and verified stays, so that a build that was broken off goes on where it was. The old lock counts
until everything of the new one is there.
"""

from __future__ import annotations

import concurrent.futures
import datetime
import fcntl
import hashlib
import io
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import (
    INDEX,
    LAYOUT,
    LOCK,
    SBOM,
    SIGNATURE,
    TOOL,
    TOOL_PATH,
    Component,
    File,
    Image,
    Lock,
    LockError,
    index,
    layout,
)
from ansible_collections.onprem.dify.plugins.module_utils.bundle_sbom import sbom
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import (
    SignatureError,
    parse_signers,
    sign,
    verify_by,
)
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store, StoreError, write_file
from ansible_collections.onprem.dify.plugins.module_utils.pins import Pin
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_apt, bundle_dnf, bundle_wheels
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_apt import Apt, AptError, Signer
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_collections import (
    CollectionError,
    Packed,
    all_needed,
    galaxy_build,
)
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_dnf import Dnf, DnfError
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_fetch import PART, Fetcher, FetchError, Kept
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_images import Images
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_manager import Manager, Package, Target
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_plan import (
    Archive,
    Packages,
    Plan,
    component_of,
    component_of_system,
)
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import Meter, size
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Sources
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_systems import Repository, System

OWN = "onprem.dify"
SECONDS_BETWEEN_LINES = 5.0
# A program that a killed build started finishes its layer of an image, which is not lost then.
PATIENCE = 60.0

Report = Callable[[str], None]
Task = Callable[[], Any]
Then = Callable[[Any], None]


class BuildError(Exception):
    """The bundle was not built; the text is for the user."""


@dataclass(frozen=True)
class Settings:
    """What a person decides about a build."""

    directory: Path
    work: Path
    release: str
    architectures: tuple[str, ...]
    sources: Sources
    repositories: Mapping[str, Sequence[Repository]]
    repository_key: Path
    signing_key: Path | None
    earlier: tuple[Path, ...]
    wheel_links: tuple[str, ...]
    ca_file: str
    parallel: int


@dataclass
class Found:
    """What the transfers have brought so far, as the lock will say it."""

    files: dict[str, File] = field(default_factory=dict)
    images: list[Image] = field(default_factory=list)
    components: dict[str, Component] = field(default_factory=dict)
    # By system and architecture, of the kind of the system.
    packages: dict[str, dict[str, Sequence[Any]]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def add(self, file: File) -> None:
        other = self.files.setdefault(file.path, file)
        if other.digest != file.digest:
            raise BuildError(f"{file.path}: there are two of this name, {other.digest} and {file.digest}")


@dataclass(frozen=True)
class Result:
    changed: bool
    lock: Lock
    fetched: int
    left_out: tuple[str, ...]


class Build:
    """One build of one bundle."""

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        pins: Mapping[str, Pin],
        own: Path,
        find: Callable[[str], Path | None],
        tool: Callable[[], bytes] | None,
        report: Report,
    ) -> None:
        self.settings = settings
        self.plan = plan
        self.pins = pins
        self._own = own
        self._find = find
        self._tool = tool
        self._report = report
        self.store = Store(settings.directory)
        self.kept = Kept(self.store, [Store(folder) for folder in settings.earlier])
        self.meter = Meter()
        self.found = Found(left_out=list(plan.left_out))
        self._fetcher = Fetcher(self.kept, settings.sources, self.meter, settings.ca_file)
        self._pool = concurrent.futures.ThreadPoolExecutor(settings.parallel)
        self._waiting: dict[concurrent.futures.Future[Any], Then] = {}

    def run(self) -> Result:
        self.settings.work.mkdir(parents=True, exist_ok=True)
        self.store.folder.mkdir(parents=True, exist_ok=True)
        with self._alone() as inherit:
            self.store.clean()
            try:
                systems = [packages.system for packages in self.plan.packages]
                bundle_apt.refuse_day_to_come(self.settings.release, systems, datetime.datetime.now(datetime.UTC))
                self._transfer(inherit)
                self._repositories()
                self._add_tool()
                return self._finish()
            except (AptError, DnfError, CollectionError, FetchError, LockError, SignatureError, StoreError) as error:
                raise BuildError(str(error)) from error

    @contextmanager
    def _alone(self) -> Iterator[tuple[int, ...]]:
        """Two builds of one bundle would take each other's parts away. Programs that this one starts count as it."""
        handle = os.open(self.settings.work / "running", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _locked(handle):
                self._report(f"waiting up to {PATIENCE:.0f} s for another build, or what a killed one started, to end")
                self._wait_for(handle)
            yield (handle,)
        finally:
            os.close(handle)

    def _wait_for(self, handle: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while not _locked(handle):
            if time.monotonic() >= deadline:
                raise BuildError(f"another build of {self.settings.directory} is running")
            time.sleep(0.5)

    # Transfers

    def _transfer(self, inherit: tuple[int, ...]) -> None:
        try:
            for task, then in self._tasks(inherit):
                self._start(task, then)
            self._watch()
        except BaseException:
            self.meter.stop()
            raise
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._report(f"everything is here: {self.meter.line()}; {size(self.meter.fetched)} came over the network")

    def _start(self, task: Task, then: Then) -> None:
        self._waiting[self._pool.submit(task)] = then

    def _watch(self) -> None:
        """Take the results as they come, start what follows from them, and say how far it is."""
        said = time.monotonic()
        while self._waiting:
            done, _others = concurrent.futures.wait(self._waiting, 0.5, concurrent.futures.FIRST_COMPLETED)
            for future in done:
                then = self._waiting.pop(future)
                then(future.result())
            if time.monotonic() - said >= SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                self._report(f"{self.meter.line()}; {len(self._waiting)} transfers to go")

    def _tasks(self, inherit: tuple[int, ...]) -> Iterator[tuple[Task, Then]]:
        """What takes longest first."""
        work = self.settings.work
        if self.plan.images:
            images = Images(
                self.kept, self.settings.sources, self.meter, work / "images", self.settings.ca_file, inherit
            )
            yield lambda: self._copy_images(images), self.found.images.extend
        for packages in self.plan.packages:
            for architecture in self.settings.architectures:
                manager = self._manager(Target(packages.system, architecture), inherit)
                yield _later(self._choose, manager, packages), _later_with(self._fetch_packages, manager, packages)
        if self.plan.wheels:
            wheels = bundle_wheels.Wheels(
                *(self.kept, self.settings.sources, self.meter, work / "wheels", self.settings.ca_file),
                *(self.settings.wheel_links, inherit),
            )
            yield lambda: [(wish, wheels.fetch(wish)) for wish in self.plan.wheels], self._add_wheels
        yield self._pack_collections, self._add_collections
        for archive in self.plan.archives:
            yield _later(self._fetch_archive, archive), self.found.add

    def _copy_images(self, images: Images) -> list[Image]:
        images.prepare()
        return [images.copy(wish, self.settings.architectures) for wish in self.plan.images]

    def _fetch_archive(self, archive: Archive) -> File:
        count = self._fetcher.fetch(
            f"{archive.component} {archive.version} for {archive.architecture}", archive.url, archive.digest
        )
        return File(
            path=archive.path,
            kind="archive",
            component=archive.component,
            version=archive.version,
            architecture=archive.architecture,
            digest=archive.digest,
            size=count,
            source=archive.url,
        )

    def _manager(self, target: Target, inherit: tuple[int, ...]) -> Manager:
        name = target.system.name
        kind, folder = (Dnf, "dnf") if target.system.uses_rpm else (Apt, "apt")
        return kind(
            *(target, self.settings.repositories[name], self.settings.sources),
            *(self.settings.work / f"{folder}/{name}-{target.architecture}", self.settings.ca_file, inherit),
            self.meter,
        )

    def _choose(self, manager: Manager, packages: Packages) -> tuple[Sequence[Package], list[str]]:
        manager.prepare()
        return manager.choose(packages.wanted, packages.optional, packages.versions)

    def _fetch_packages(
        self, manager: Manager, packages: Packages, chosen: tuple[Sequence[Package], list[str]]
    ) -> None:
        found, missing = chosen
        by_component: dict[str, list[str]] = {}
        for name in missing:
            by_component.setdefault(packages.components[name], []).append(name)
        self.found.left_out += [
            f"{component} for {manager.target}: its pin names no version there, and no repository has "
            f"{', '.join(names)}"
            for component, names in by_component.items()
        ]
        self.found.packages.setdefault(packages.system.name, {})[manager.target.architecture] = found
        for package in found:
            self._start(_later(self._fetch_package, package, packages), self.found.add)

    def _fetch_package(self, package: Package, packages: Packages) -> File:
        name = f"package {package.name} {package.version} for {packages.system.title}"
        self._fetcher.fetch(name, package.upstream, package.digest, package.size)
        return File(
            path=package.path,
            kind="package",
            component=packages.components.get(package.name, packages.system.component),
            version=package.version,
            architecture=package.architecture,
            digest=package.digest,
            size=package.size,
            source=package.upstream,
        )

    def _add_wheels(self, results: Sequence[tuple[bundle_wheels.Wish, Sequence[bundle_wheels.Wheel]]]) -> None:
        for wish, wheels in results:
            for wheel in wheels:
                self.found.add(
                    File(
                        path=f"wheels/{wish.component}/{wheel.name}",
                        kind="wheel",
                        component=wish.component,
                        version=wheel.version,
                        architecture=wheel.architecture,
                        digest=wheel.digest,
                        size=wheel.size,
                        source=wheel.upstream,
                    )
                )

    def _pack_collections(self) -> list[Packed]:
        packed = list(all_needed(self._own, self._find, galaxy_build))
        allowed: Mapping[str, Sequence[str]] = self.pins.get("collections", {}).get("collections") or {}
        wrong = [one for one in packed if one.name in allowed and one.version not in allowed[one.name]]
        if wrong:
            here = ", ".join(f"{one.name} {one.version}" for one in wrong)
            tested = ", ".join(f"{one.name} {' or '.join(allowed[one.name])}" for one in wrong)
            raise BuildError(
                f"Here is {here}, and this collection was tested with {tested}. Install that, or name yours in "
                "site_pins.collections.collections"
            )
        return packed

    def _add_collections(self, collections: Sequence[Packed]) -> None:
        for one in collections:
            self.found.components[one.name] = Component(one.name, one.version, one.licence, one.source, None)
            source = "" if one.name == OWN else one.source
            self._add_made(one.path, one.data, "collection", one.name, one.version, source=source)

    # What is made here

    def _add_made(
        self,
        path: str,
        data: bytes,
        kind: str,
        component: str,
        version: str,
        architecture: str = "all",
        source: str = "",
    ) -> None:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if self.kept.size(digest) is None:
            self.store.add(io.BytesIO(data), digest, len(data))
            self.kept.right(digest)
        self.found.add(File(path, kind, component, version, architecture, digest, len(data), source))

    def _repositories(self) -> None:
        if not self.found.packages:
            return
        signer = Signer(self.settings.repository_key)
        own = self.found.components[OWN]
        self._add_made("keys/packages.asc", signer.public_key(), "key", OWN, own.version)
        release = self.settings.release
        for packages in self.plan.packages:
            system = packages.system
            files = self._rpm_files(system, signer) if system.uses_rpm else self._apt_files(system, signer)
            for name, data in files.items():
                path = f"packages/{system.name}/{name}"
                architecture = next((one for one in self.settings.architectures if f"/binary-{one}/" in path), "all")
                self._add_made(path, data, "index", system.component, release, architecture)

    def _apt_files(self, system: System, signer: Signer) -> dict[str, bytes]:
        release = self.settings.release
        files = bundle_apt.repository(system, release, self.found.packages[system.name])
        files |= signer.sign(files["Release"], bundle_apt.day_of(release))
        return {f"dists/{system.codename}/{name}": data for name, data in files.items()}

    def _rpm_files(self, system: System, signer: Signer) -> dict[str, bytes]:
        packages = {package.digest: package for some in self.found.packages[system.name].values() for package in some}
        repositories = self.settings.repositories[system.name]
        places = {f"{package.name} {package.version}": self.store.path(package.digest) for package in packages.values()}
        unsigned = bundle_dnf.unsigned(system, places, repositories)
        if unsigned:
            raise BuildError(
                f"{system.title}: none of the keys that are trusted for it has signed {', '.join(unsigned)}. "
                f"Name those of their makers in bundle_keyrings.{system.name} or signed_by of bundle_repositories"
            )
        # Hosts hold each package against the key of its makers as well.
        self._add_made(f"keys/{system.name}.asc", bundle_dnf.keys_of(repositories), "key", system.component, "")
        files = bundle_dnf.repository(self.settings.release, packages.values())
        index = files[bundle_dnf.INDEX]
        return {**files, f"{bundle_dnf.INDEX}.asc": signer.signature(index, bundle_apt.day_of(self.settings.release))}

    def _add_tool(self) -> None:
        if self._tool is not None:
            self._add_made(TOOL_PATH, self._tool(), "tool", OWN, self.found.components[OWN].version)

    # The end

    def _finish(self) -> Result:
        lock = self._lock()
        faults = lock.faults()
        if faults:
            raise BuildError("\n".join(f"{LOCK}: {fault}" for fault in faults))
        folder = self.settings.directory
        text = lock.dump()
        if not (folder / LOCK).is_file() or (folder / LOCK).read_bytes() != text:
            (folder / SIGNATURE).unlink(missing_ok=True)
        # The lock first: until its blobs are alone here, nothing but the signature is missing.
        derived = {LOCK: text, LAYOUT: layout(), INDEX: index(lock), SBOM: sbom(lock)}
        if self._tool is not None:
            derived[TOOL] = self.store.path(lock.file(TOOL_PATH).digest).read_bytes()
        written = [name for name, data in derived.items() if write_file(folder / name, data)]
        self._clear(lock)
        signed = self._sign(text)
        return Result(bool(written) or signed, lock, self.meter.fetched, tuple(sorted(self.found.left_out)))

    def _lock(self) -> Lock:
        files = tuple(self.found.files.values())
        used = {file.component for file in files} | {image.component for image in self.found.images}
        components = dict(self.found.components)
        for packages in self.plan.packages:
            components[packages.system.component] = component_of_system(packages.system)
        components |= {name: component_of(self.pins[name]) for name in used if name in self.pins}
        return Lock(
            release=self.settings.release,
            architectures=self.settings.architectures,
            systems=tuple(packages.system.name for packages in self.plan.packages),
            components=tuple(component for name, component in components.items() if name in used),
            files=files,
            images=tuple(self.found.images),
        )

    def _clear(self, lock: Lock) -> None:
        """Take away what no artefact of this lock is: blobs of older releases, parts of files that no pin names now."""
        wanted = lock.blobs()
        for digest in list(self.store.digests()):
            if digest not in wanted:
                self.store.path(digest).unlink()
        for part in self.store.folder.parent.glob(f"{PART}*"):
            part.unlink()
        for half in self.settings.directory.glob("*.new"):
            half.unlink()
        shutil.rmtree(self.settings.work / "images", ignore_errors=True)

    def _sign(self, text: bytes) -> bool:
        """Sign the lock, unless the key has signed exactly this one already."""
        key, place = self.settings.signing_key, self.settings.directory / SIGNATURE
        if key is None or (place.exists() and _signed_by(key, text, place.read_bytes())):
            return False
        return write_file(place, sign(text, key))


def _signed_by(key: Path, text: bytes, signature: bytes) -> bool:
    public = key if key.suffix == ".pub" else key.with_name(key.name + ".pub")
    if not public.is_file():
        return False
    try:
        verify_by(text, signature, parse_signers([f"builder {public.read_text(encoding='utf-8').strip()}"]))
    except SignatureError:
        return False
    return True


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _later(call: Callable[..., Any], *arguments: Any) -> Task:
    return lambda: call(*arguments)


def _later_with(call: Callable[..., None], *arguments: Any) -> Then:
    return lambda result: call(*arguments, result)
