# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which snapshot of etcd is restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import etcd_snapshots

DOCUMENTATION = r"""
name: etcd_snapshot_choice
short_description: Choose the snapshot of etcd that is restored
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Chooses from what every control plane has, as M(onprem.dify.etcd_snapshots) tells.
  - Refuses to replace the data of an etcd that has its quorum, unless told, or unless a restore has begun.
positional: wanted, healthy_too
options:
  _input:
    description: The results of M(onprem.dify.etcd_snapshots) by name of the host.
    type: dict
    required: true
  wanted:
    description: C(newest), the name of a snapshot, or its path on a host.
    type: str
    default: newest
  healthy_too:
    description: Whether data of an etcd with a quorum are replaced.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show what would be restored
  ansible.builtin.debug:
    msg: "{{ (seen | onprem.dify.etcd_snapshot_choice).text }}"
"""

RETURN = r"""
_value:
  description: C(host) and C(path) of the snapshot, its C(revision), and C(text) with all that is to be known of it.
  type: dict
"""


def etcd_snapshot_choice(found: Mapping[str, Any], wanted: str = "newest", healthy_too: bool = False) -> dict[str, Any]:
    try:
        host, snapshot = etcd_snapshots.choose(found, wanted, healthy_too)
    except etcd_snapshots.SnapshotError as error:
        raise AnsibleFilterError(str(error)) from error
    return {"host": host, **snapshot._asdict(), "text": f"{snapshot}, from {host}"}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"etcd_snapshot_choice": etcd_snapshot_choice}
