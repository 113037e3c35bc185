# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of etcd, from the groups of the site."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils.etcd import EtcdError, members_of_site

DOCUMENTATION = r"""
name: etcd_members
short_description: Work out which hosts run etcd
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns the members of the etcd that Patroni uses, the hosts of the groups C(database) and C(witness).
  - Fails if they are not 1, 3 or 5.
options:
  _input:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show where clients find etcd
  ansible.builtin.debug:
    msg: "{{ site_facts | onprem.dify.etcd_members | map(attribute='client') }}"
"""

RETURN = r"""
_value:
  description: C(name) and C(address) of each member, with its URLs for clients C(client) and for other members C(peer).
  type: list
  elements: dict
"""


def etcd_members(site: Mapping[str, Any]) -> list[dict[str, str]]:
    try:
        return members_of_site(site)
    except EtcdError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"etcd_members": etcd_members}
