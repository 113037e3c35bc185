# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports of the file server."""

from __future__ import annotations

DOCUMENTATION = r"""
name: file_exports
short_description: Write the exports of an NFS server
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - One line for each volume, each client by address or network, with root as nobody.
  - Refuses a volume without clients and one for everybody.
positional: directory, workers
options:
  _input:
    description: The volumes, each with C(name) and C(clients).
    type: list
    elements: dict
    required: true
  directory:
    description: Directory in which the volumes are mounted.
    type: str
    required: true
  workers:
    description: Addresses of the clients of a volume that names none.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show the exports
  ansible.builtin.debug:
    msg: "{{ files_volumes | onprem.dify.file_exports('/srv/files') }}"
"""

RETURN = r"""
_value:
  description: Lines as exports(5) knows them.
  type: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import file_volumes as core


def file_exports(volumes: Sequence[Mapping[str, Any]], directory: str, workers: Sequence[str] = ()) -> str:
    try:
        return core.exports(volumes, directory, workers)
    except core.VolumeError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"file_exports": file_exports}
