# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The users of the bundled object store."""

from __future__ import annotations

DOCUMENTATION = r"""
name: seaweedfs_users
short_description: Give each user the right to its own buckets
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Turns the list of buckets into the configuration of an S3 gateway. There is no administrator in it.
  - With the configuration that the gateway has now, a pair of keys that is replaced stays valid beside the new one.
  - A user whose bucket is no longer listed stays as well.
  - Refuses to have no user at all, as a gateway without users asks nobody for keys.
positional: known, retire
options:
  _input:
    description: The buckets, as in M(onprem.dify.s3_buckets).
    type: list
    elements: dict
    required: true
  known:
    description: The configuration that the gateway has now, as JSON. Empty where there is none.
    type: str
    default: ""
  retire:
    description: Whether keys that were replaced stop being valid, and users that are no longer listed go.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show who may use the gateways
  ansible.builtin.debug:
    msg: "{{ objects_buckets | onprem.dify.seaweedfs_users }}"
"""

RETURN = r"""
_value:
  description: C(identities), each with C(name), C(credentials) and C(actions).
  type: dict
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import seaweedfs as core


def seaweedfs_users(buckets: Sequence[Mapping[str, Any]], known: str = "", retire: bool = False) -> dict[str, Any]:
    try:
        return core.identities(buckets, json.loads(known) if known else None, retire)
    except core.StoreError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"seaweedfs_users": seaweedfs_users}
