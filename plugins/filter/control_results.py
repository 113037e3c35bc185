# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of checked controls, collected from the hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

DOCUMENTATION = r"""
name: control_results
short_description: Collect the results of checked controls from all hosts
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns by host what M(onprem.dify.control_checks) registered.
  - Hosts that have no result, because they could not be reached, are left out.
positional: hosts, variable
options:
  _input:
    description: The variables of every host, as C(hostvars) holds them.
    type: dict
    required: true
  hosts:
    description: Hosts to collect from.
    type: list
    elements: str
    required: true
  variable:
    description: Name of the registered variable.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show how many controls failed on a host
  ansible.builtin.debug:
    msg: "{{ results['db1'].counts.fail }}"
  vars:
    results: "{{ hostvars | onprem.dify.control_results(ansible_play_hosts_all, 'checks') }}"
"""

RETURN = r"""
_value:
  description: Results by host.
  type: dict
"""

KEPT = ("controls", "counts", "os", "kernel", "tags", "started", "ended")


def control_results(hostvars: Mapping[str, Any], hosts: Sequence[str], variable: str) -> dict[str, dict[str, Any]]:
    registered = {host: hostvars[host].get(variable) or {} for host in hosts}
    return {host: {name: result[name] for name in KEPT} for host, result in registered.items() if "controls" in result}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"control_results": control_results}
