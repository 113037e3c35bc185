# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python packages of a bundle: what a hash-locked list names, for the Pythons of the site, fetched by pip."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import hash_file
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_fetch import FetchError, Kept
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_program import run
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import Meter
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Sources

# Ansible needs it too, so a controller has it. Sanity tests import this file where it is not.
with suppress(ImportError):
    from packaging.requirements import InvalidRequirement, Requirement

UPSTREAM = "https://pypi.org/simple/"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
# Newest first, down to the oldest that projects still publish for.
PLATFORMS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_26", "manylinux_2_17", "manylinux2014", "manylinux_2_5")
_HASH = re.compile(r"\s--hash=sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Wish:
    """The list of a component, for one Python on one architecture."""

    component: str
    version: str
    requirements: str
    python: str
    architecture: str

    @property
    def where(self) -> str:
        return f"wheels of {self.component} {self.version} for Python {self.python} on {self.architecture}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": MACHINES[self.architecture],
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }


@dataclass(frozen=True)
class Wheel:
    name: str
    digest: str
    size: int

    @property
    def upstream(self) -> str:
        project, version = self.name.split("-")[:2]
        return f"https://pypi.org/project/{project.replace('_', '-').lower()}/{version}/"

    @property
    def version(self) -> str:
        return self.name.split("-")[1]

    @property
    def architecture(self) -> str:
        platform = self.name.removesuffix(".whl").rpartition("-")[2]
        return next((name for name, machine in MACHINES.items() if platform.endswith(machine)), "all")


def lines_of(requirements: str) -> Iterator[str]:
    """A line for each project."""
    for line in re.sub(r"\\\n\s*", " ", requirements).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield " ".join(line.split())


def for_target(wish: Wish) -> str:
    """The lines that hold for this Python. pip would judge their conditions by the Python that runs it."""
    kept = []
    for line in lines_of(wish.requirements):
        try:
            requirement = Requirement(_HASH.sub("", line).strip())
        except InvalidRequirement as error:
            raise FetchError(f"{wish.where}: {line!r} is no requirement ({error})") from error
        if requirement.marker is None or requirement.marker.evaluate(wish.environment):
            requirement.marker = None
            kept.append(" ".join([str(requirement), *(match.strip() for match in _HASH.findall(line))]))
    return "".join(f"{line}\n" for line in kept)


def options(wish: Wish) -> list[str]:
    tag = f"cp{wish.python.replace('.', '')}"
    machine = MACHINES[wish.architecture]
    return [
        f"--python-version={wish.python}",
        "--implementation=cp",
        *(f"--abi={abi}" for abi in (tag, "abi3", "none")),
        *(f"--platform={platform}_{machine}" for platform in PLATFORMS),
    ]


class Wheels:
    """pip, with what it fetched before kept beside the bundle."""

    def __init__(
        self,
        kept: Kept,
        sources: Sources,
        meter: Meter,
        work: Path,
        ca_file: str,
        links: Sequence[str],
        inherit: Sequence[int] = (),
    ):
        self.kept = kept
        self.sources = sources
        self.meter = meter
        self.work = work
        self._ca_file = ca_file
        self._links = tuple(links)
        self._inherit = tuple(inherit)

    def fetch(self, wish: Wish) -> list[Wheel]:
        lock = for_target(wish)
        record = self._folder(wish) / "wheels.json"
        wanted = hashlib.sha256("\n".join([lock, *options(wish)]).encode()).hexdigest()
        found = self._recorded(record, wanted)
        if found is None:
            found = self._download(wish, lock)
            record.write_text(json.dumps({"wanted": wanted, "wheels": [asdict(wheel) for wheel in found]}))
        return found

    def _folder(self, wish: Wish) -> Path:
        return self.work / f"{wish.component}-{wish.python}-{wish.architecture}"

    def _recorded(self, record: Path, wanted: str) -> list[Wheel] | None:
        """What pip brought for this list before, if all of it is still there and right."""
        if not record.is_file():
            return None
        content = json.loads(record.read_text())
        wheels = [Wheel(**wheel) for wheel in content["wheels"]]
        if content["wanted"] != wanted or any(self.kept.size(wheel.digest) is None for wheel in wheels):
            return None
        for wheel in wheels:
            self.meter.want(wheel.size)
            self.meter.have(wheel.size)
        return wheels

    def _download(self, wish: Wish, lock: str) -> list[Wheel]:
        folder = self._folder(wish)
        brought = folder / "brought"
        shutil.rmtree(brought, ignore_errors=True)
        brought.mkdir(parents=True)
        (folder / "requirements.txt").write_text(lock)
        self._pip(
            wish,
            *("download", "--quiet", "--require-hashes", "--no-deps", "--only-binary=:all:", *options(wish)),
            *("--cache-dir", str(self.work / "cache"), "--dest", str(brought)),
            *([f"--index-url={self.sources.of(UPSTREAM)}"] if self.sources.replaced(UPSTREAM) else []),
            *([f"--cert={self._ca_file}"] if self._ca_file else []),
            *(f"--find-links={link}" for link in self._links),
            *("--requirement", str(folder / "requirements.txt")),
        )
        wheels = []
        for path in sorted(brought.glob("*.whl")):
            digest, size = hash_file(path), path.stat().st_size
            wheels.append(Wheel(path.name, digest, size))
            self.meter.want(size)
            self.meter.count(size)
            with self.kept.of(digest):
                if self.kept.size(digest) is None:
                    self.kept.store.adopt(path, digest, size)
                    self.kept.right(digest)
        shutil.rmtree(brought)
        return wheels

    def _pip(self, wish: Wish, *words: str) -> None:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *words]
        done = run(command, _environment(os.environ), self.meter.check, self._inherit)
        if done.code != 0:
            raise FetchError(f"{wish.where}: {complaint(done.errors)}")


def complaint(errors: str) -> str:
    """What pip says, in one line: the wheel and its hashes, or what it did not find."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    start = next((number for number, line in enumerate(lines) if line.startswith("ERROR:")), max(len(lines) - 1, 0))
    words = [word for line in lines[start : start + 6] for word in line.removeprefix("ERROR:").split()]
    return " ".join(words) or "pip failed silently"


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Options of pip in the environment that would change what it fetches must not."""
    changing = ("PIP_REQUIRE_HASHES", "PIP_NO_BINARY", "PIP_ONLY_BINARY", "PIP_PLATFORM", "PIP_TARGET", "PIP_PRE")
    return {name: value for name, value in environment.items() if name not in changing}
