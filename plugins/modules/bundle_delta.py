#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_delta
short_description: Make the delta between two bundles
version_added: 0.3.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Writes a folder with lock and signature of the bundle, and only those blobs that the base does not have.
  - M(onprem.dify.bundle_join) makes the full bundle of it at the site. A mirror that has the base loads it as it is.
  - What is there already is not copied again.
options:
  directory:
    description: The folder of the new bundle, complete.
    type: path
    required: true
  base_lock:
    description: The file C(lock.json) of the bundle that the site has.
    type: path
    required: true
  delta_directory:
    description: The folder of the delta.
    type: path
    required: true
attributes:
  action:
    description: Runs on the controller only.
    support: full
  check_mode:
    description: Writes nothing, so is left out.
    support: none
"""

EXAMPLES = r"""
- name: Carry only what is new
  onprem.dify.bundle_delta:
    directory: /srv/bundle
    base_lock: /srv/locks/2026.11.25.json
    delta_directory: /media/usb/2026.12.01
"""

RETURN = r"""
release:
  description: The release of the new bundle.
  returned: success
  type: str
base:
  description: The release that the site has.
  returned: success
  type: str
size:
  description: Bytes of the blobs in the delta.
  returned: success
  type: int
full_size:
  description: Bytes of all blobs of the bundle.
  returned: success
  type: int
"""
