# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the machine that builds has Debian from: what its apt is configured to ask."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping

from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Rule, SourceError, Sources
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_systems import SYSTEMS, Repository, System

# A mirror has the packages of all releases, so that a machine with one release knows where the others are.
_RELEASES = (*(system.codename for system in SYSTEMS.values() if system.family == "Debian"), "stable", "oldstable")
_TARGETS = ("apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages")


def with_debian(sources: Sources, systems: Iterable[System]) -> Sources:
    """The rules of the site, and this machine's mirrors for what of Debian they leave open."""
    open_ones = [
        (system, repository)
        for system in systems
        if system.family == "Debian"
        for repository in system.repositories
        if not sources.replaced(f"{repository.uri}/")
    ]
    known = places_of_this_machine() if open_ones else {}
    rules = {repository.uri: _rule(system, repository, known) for system, repository in open_ones}
    return Sources([*sources.rules, *rules.values()])


def _rule(system: System, repository: Repository, known: Mapping[str, str]) -> Rule:
    ending = repository.suites[0].removeprefix(system.codename)
    for release in (system.codename, *_RELEASES):
        if f"{release}{ending}" in known:
            return Rule(f"{repository.uri}/", known[f"{release}{ending}"].rstrip("/") + "/")
    raise SourceError(
        f"{system.title}: apt of this machine does not say where {repository.suites[0]} is. "
        f"Say it in bundle_sources: {{from: {repository.uri}/, to: https://...}}"
    )


def places_of_this_machine() -> dict[str, str]:
    """Suites that apt is configured to ask, and where."""
    if not shutil.which(_TARGETS[0]):
        return {}
    done = subprocess.run(_TARGETS, capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())
