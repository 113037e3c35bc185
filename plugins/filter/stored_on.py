# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets and volumes that the site has a use for."""

from __future__ import annotations

DOCUMENTATION = r"""
name: stored_on
short_description: Choose the buckets or volumes that a site uses
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Leaves out each whose C(purpose) the site stores on another kind of storage.
  - Takes the key C(purpose) away from the others.
positional: kind, storage
options:
  _input:
    description: Buckets or volumes.
    type: list
    elements: dict
    required: true
  kind:
    description: What they are on.
    type: str
    choices: [s3, nfs]
    required: true
  storage:
    description: The kind of storage by purpose, as in C(site_facts.storage).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the buckets of the site
  ansible.builtin.debug:
    msg: "{{ objects_buckets | onprem.dify.stored_on('s3', site_facts.storage) }}"
"""

RETURN = r"""
_value:
  description: Those that the site uses, as they are but for C(purpose).
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils import storage as core


def stored_on(entries: Sequence[Mapping[str, Any]], kind: str, storage: Mapping[str, str]) -> list[dict[str, Any]]:
    return core.stored_on(kind, entries, storage)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"stored_on": stored_on}
