#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: site_secrets
short_description: Make the secrets that a site needs and does not have yet
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Writes C(group_vars/all/secrets.yml) of the inventory, mode 0600, encrypted with the vault password of Ansible.
  - Which secrets there are follows from the groups of the inventory that have hosts, and from C(site_services).
  - Keys of buckets are made for what C(site_storage_*) put into S3.
  - A secret that exists is changed only if O(rotate) names it. Values are neither printed nor returned.
  - Runs on the controller; no host is touched.
options:
  rotate:
    description:
      - Names of secrets that get a new value. All of them, or none if one is refused.
      - Those that would make stored data unreadable are refused, and so are those of a service that the site gives.
    type: list
    elements: str
    default: []
attributes:
  action:
    description: Runs on the controller only.
    support: full
  check_mode:
    description: Says which secrets would be made.
    support: full
  diff_mode:
    description: Shows the names of the secrets, not their values.
    support: full
"""

EXAMPLES = r"""
- name: Make the secrets that are missing
  onprem.dify.site_secrets:
  run_once: true

- name: Make a new key for the sandbox
  onprem.dify.site_secrets:
    rotate: [dify_sandbox_key]
  run_once: true
"""

RETURN = r"""
made:
  description: Names of the secrets that were made or made anew.
  returned: success
  type: list
  elements: str
"""
