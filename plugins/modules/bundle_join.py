#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_join
short_description: Put a bundle together
version_added: 0.3.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - From O(parts), each of which is verified. One that is missing, damaged or exchanged for another is named, the good
    ones are used, and the next run goes on with the others.
  - From a O(delta) and its O(base). This one is verified as a whole, with its signature.
  - The folder of the bundle gets its name when it is complete.
options:
  directory:
    description: The folder of the bundle to make.
    type: path
    required: true
  parts:
    description: Folders with parts.
    type: list
    elements: path
  delta:
    description: The folder of a delta.
    type: path
  base:
    description: The folder of the bundle that the delta was made for. Needed with O(delta).
    type: path
  signers:
    description:
      - Whom the site trusts to sign bundles, in lines such as C(release@bank.internal ssh-ed25519 AAAA...).
      - Needed with O(delta).
    type: list
    elements: str
  newest_release:
    description: The release that the site has. An older one is refused.
    type: str
    default: ""
attributes:
  action:
    description: Runs on the controller only.
    support: full
  check_mode:
    description: Writes nothing, so is left out.
    support: none
"""

EXAMPLES = r"""
- name: Join parts
  onprem.dify.bundle_join:
    directory: /srv/bundle/2026.11.25
    parts: [/media/usb1, /media/usb2]

- name: Make a full bundle of a delta
  onprem.dify.bundle_join:
    directory: /srv/bundle/2026.12.01
    delta: /media/usb/2026.12.01
    base: /srv/bundle/2026.11.25
    signers: ["release@bank.internal ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI..."]
"""

RETURN = r"""
size:
  description: Bytes of the parts, or of the blobs that were read.
  returned: success
  type: int
release:
  description: The release of the bundle.
  returned: with O(delta)
  type: str
signer:
  description: Who signed it.
  returned: with O(delta)
  type: str
"""
