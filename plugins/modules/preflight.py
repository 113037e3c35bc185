#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Check the inventory, or what the hosts said, before anything is changed
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Without O(hosts) it checks the inventory alone. No host is needed or touched.
  - With O(hosts) it holds what M(onprem.dify.host_checks) saw against the site, and the hosts against each other.
  - Fails with all findings at once, one line each - host, variable, what was found, what is wanted, id of the check.
  - Findings that C(preflight_waivers) in the inventory accepts do not fail, and are printed with their reason.
options:
  hosts:
    description: What M(onprem.dify.host_checks) returned as RV(onprem.dify.host_checks#module:seen) for each host.
    type: dict
  site:
    description: The site. Needed with O(hosts).
    type: dict
  minimums:
    description: Processors, memory in MiB and disk in GiB that each group needs. Needed with O(hosts).
    type: dict
  max_clock_skew:
    description: Seconds by which the clocks of two hosts may differ. Needed with O(hosts).
    type: float
attributes:
  action:
    description: Runs on the controller only.
    support: full
  check_mode:
    description: Changes nothing, so runs in check mode too.
    support: full
"""

EXAMPLES = r"""
- name: Check the inventory
  onprem.dify.preflight:
  run_once: true
"""

RETURN = r""" # """
