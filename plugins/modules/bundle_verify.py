#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_verify
short_description: Verify a bundle on the controller
version_added: 0.3.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Verifies who signed the lock, that it is not older than O(newest_release), and the digest of every blob.
  - Fails with all findings at once, one line each, with the path of the file or the name of the image.
  - A bundle is refused if it is unsigned, signed by a stranger or for another purpose, incomplete or altered, or if it
    holds anything that the lock does not list.
  - The clock decides nothing. Signers that C(valid-after), C(valid-before) or C(cert-authority) limit are refused.
options:
  directory:
    description: The folder of the bundle.
    type: path
    required: true
  signers:
    description: Whom the site trusts to sign bundles, in lines such as C(release@bank.internal ssh-ed25519 AAAA...).
    type: list
    elements: str
    required: true
  newest_release:
    description: The release that the site has. An older one is refused.
    type: str
    default: ""
  workers:
    description: Threads that read. V(0) takes all processors.
    type: int
    default: 0
attributes:
  action:
    description: Runs on the controller only.
    support: full
  check_mode:
    description: Changes nothing, so runs in check mode too.
    support: full
"""

EXAMPLES = r"""
- name: Verify the bundle
  onprem.dify.bundle_verify:
    directory: /media/usb/2026.11.25
    signers: ["release@bank.internal ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI..."]
"""

RETURN = r"""
release:
  description: The release of the bundle.
  returned: success
  type: str
signer:
  description: Who signed it.
  returned: success
  type: str
digest:
  description: The digest of the lock.
  returned: success
  type: str
size:
  description: Bytes that were read.
  returned: success
  type: int
licences:
  description: A page in Markdown with every component, its version, licence, end of life and source.
  returned: success
  type: str
"""
