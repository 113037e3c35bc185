# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The volumes of pods that the inventory declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_volumes

DOCUMENTATION = r"""
name: storage_volumes
short_description: Work out the local volumes of a cluster from the inventory
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns a PersistentVolume for each volume that a host lists in C(storage_local_volumes), bound to its node.
positional: hosts, directory
options:
  _input:
    description: The variables of every host, as C(hostvars) holds them.
    type: dict
    required: true
  hosts:
    description: Names of the hosts of the cluster.
    type: list
    elements: str
    required: true
  directory:
    description: Directory of the volumes that have no path of their own.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the local volumes of the workers
  ansible.builtin.debug:
    msg: "{{ hostvars | onprem.dify.storage_volumes(groups['workers'], '/var/lib/onprem-dify/volumes') }}"
"""

RETURN = r"""
_value:
  description: The volumes, for M(onprem.dify.kubernetes_objects).
  type: list
  elements: dict
"""


def storage_volumes(
    hostvars: Mapping[str, Mapping[str, Any]], hosts: Iterable[str], directory: str
) -> list[dict[str, Any]]:
    volumes = {host: hostvars[host].get(kubernetes_volumes.VARIABLE) or [] for host in hosts}
    return kubernetes_volumes.persistent_volumes(volumes, directory)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"storage_volumes": storage_volumes}
