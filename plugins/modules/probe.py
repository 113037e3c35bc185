#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: probe
short_description: Try many ports of other hosts at once
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Tries every target over TCP or UDP, many at the same time, and returns what it found. Judging that is left to the
    filter P(onprem.dify.probe_report#filter).
options:
  targets:
    description: What to try, each as a list of address, port, protocol and what is expected there.
    type: list
    elements: list
    required: true
  timeout:
    description: Seconds to wait for an answer. What should answer and does not is tried once more, three times as long.
    type: float
    default: 1.2
  parallel:
    description: How many attempts run at the same time.
    type: int
    default: 400
attributes:
  check_mode:
    description: Changes nothing and runs in check mode too.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
  platform:
    description: Any host with Python.
    platforms: posix
    support: full
"""

EXAMPLES = r"""
- name: Try what the site says about this host
  onprem.dify.probe:
    targets: "{{ (site_facts | onprem.dify.probe_plan(inventory_hostname)).targets }}"
"""

RETURN = r"""
found:
  description: For every target V(open), V(refused) or V(shut), in their order.
  returned: always
  type: list
  elements: str
seconds:
  description: How long it took.
  returned: always
  type: float
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils.probe_sockets import Target, try_all


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "targets": {"type": "list", "elements": "list", "required": True},
            "timeout": {"type": "float", "default": 1.2},
            "parallel": {"type": "int", "default": 400},
        },
        supports_check_mode=True,
    )
    started = time.monotonic()
    targets = [Target(*(str(word) for word in target)) for target in module.params["targets"]]
    found = try_all(targets, module.params["timeout"], module.params["parallel"])
    module.exit_json(changed=False, found=found, seconds=round(time.monotonic() - started, 1))


if __name__ == "__main__":
    main()
