# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories that stand in several places, as apt has to be told so that one of them is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

DOCUMENTATION = r"""
name: apt_places
short_description: Tell apt where its repositories stand
version_added: 0.3.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns what stands behind C(URIs) for each repository, and the lists of places that this needs as files.
  - apt takes several addresses in C(URIs) for several repositories and fails if one of them does not answer. From a
    list it goes on to the next place, and fails if none answers.
positional: directory
options:
  _input:
    description: Repositories in the form of the variable C(packages_repositories).
    type: list
    elements: dict
    required: true
  directory:
    description: The directory of the lists on the host.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Write the lists of places
  onprem.dify.configure:
    directories:
      - {path: /etc/apt/onprem-dify, others: remove}
    files: "{{ (packages_repositories | onprem.dify.apt_places('/etc/apt/onprem-dify')).files }}"
"""

RETURN = r"""
_value:
  description: C(uris) by name of the repository, and C(files) with C(path) and C(content).
  type: dict
"""

HEAD = "# One repository in several places: apt goes on to another one where one does not answer.\n"


def apt_places(repositories: Iterable[Mapping[str, Any]], directory: str) -> dict[str, Any]:
    uris, files = {}, []
    for repository in repositories:
        places = _places(repository.get("uris") or [])
        uris[repository["name"]] = " ".join(places)
        if len(places) > 1:
            path = f"{directory}/{repository['name']}.list"
            uris[repository["name"]] = f"mirror+file:{path}"
            files.append({"path": path, "content": HEAD + "".join(f"{place}\n" for place in places)})
    return {"uris": uris, "files": files}


def _places(uris: str | Sequence[str]) -> list[str]:
    return [uris] if isinstance(uris, str) else list(uris)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"apt_places": apt_places}
