# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix of what the hosts of a site reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils import probe

DOCUMENTATION = r"""
name: probe_report
short_description: Judge what the hosts of a site found
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Compares what M(onprem.dify.probe) found on every host with what the flows of the site say.
  - A host without a result is wrong.
positional: hostvars, outside
options:
  _input:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
  hostvars:
    description: The variables of every host, with the registered results C(__probe_found) and C(__probe_listeners).
    type: dict
    required: true
  outside:
    description: The doors outside the site that were given to P(onprem.dify.probe_plan#filter).
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show the matrix
  ansible.builtin.debug:
    msg: "{{ (site_facts | onprem.dify.probe_report(hostvars)).text }}"
"""

RETURN = r"""
_value:
  description: C(wrong) and C(unproven) cells as text, all C(cells) as data, and the matrix as C(text).
  type: dict
"""


def probe_report(
    site: Mapping[str, Any], hostvars: Mapping[str, Any], outside: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    found = {host: hostvars[host].get("__probe_found", {}).get("found", []) for host in site["hosts"]}
    occupied = {host: hostvars[host].get("__probe_listeners", {}).get("occupied", []) for host in site["hosts"]}
    return probe.report(site, found, occupied, outside)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"probe_report": probe_report}
