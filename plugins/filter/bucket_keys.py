# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets with the keys of their users."""

from __future__ import annotations

DOCUMENTATION = r"""
name: bucket_keys
short_description: Give each bucket the keys of its user
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Replaces C(secret) of each bucket by the two keys that stand under that name in the secrets of the site.
positional: secrets
options:
  _input:
    description: The buckets, each with C(name) and C(secret).
    type: list
    elements: dict
    required: true
  secrets:
    description: The secrets of the site.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Keep the buckets
  onprem.dify.s3_buckets:
    endpoint: https://10.20.3.16:8333
    buckets: "{{ objects_buckets | onprem.dify.bucket_keys(site_secrets) }}"
"""

RETURN = r"""
_value:
  description: The buckets, each with C(access_key) and C(secret_key).
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import s3_buckets as core


def bucket_keys(buckets: Sequence[Mapping[str, Any]], secrets: Mapping[str, str]) -> list[dict[str, Any]]:
    try:
        return core.with_keys(buckets, secrets)
    except core.BucketError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"bucket_keys": bucket_keys}
