# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the managers of packages have in common: what they are asked, for which system, from where, in which folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import Meter
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Sources
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_systems import Repository, System


@dataclass(frozen=True)
class Target:
    """A system on an architecture."""

    system: System
    architecture: str

    def __str__(self) -> str:
        return f"{self.system.title} on {self.architecture}"


@dataclass(frozen=True)
class Package:
    """A package that goes into the bundle."""

    name: str
    version: str
    architecture: str
    path: str
    upstream: str
    size: int
    digest: str


class Manager(ABC):
    """A manager of packages for one target in a folder of its own."""

    def __init__(
        self,
        target: Target,
        repositories: Sequence[Repository],
        sources: Sources,
        work: Path,
        ca_file: str,
        inherit: Sequence[int],
        meter: Meter | None = None,
    ) -> None:
        self.target = target
        self.repositories = tuple(repositories)
        self.sources = sources
        self.work = work
        self._ca_file = ca_file
        self._inherit = tuple(inherit)
        self._meter = meter or Meter()

    @abstractmethod
    def prepare(self) -> None:
        """Say what is missing before anything is asked."""

    @abstractmethod
    def choose(
        self, wanted: Iterable[str], optional: Iterable[str], pinned: Mapping[str, str]
    ) -> tuple[Sequence[Package], list[str]]:
        """The wanted packages and all that they need, and which of the optional ones no repository has.

        `pinned`: the version of some, in full or that of upstream.
        """
