#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_sign
short_description: Sign a bundle on the controller
version_added: 0.3.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Signs the lock with an SSH key, for the purpose C(onprem-dify-bundle) alone.
  - A key of the kinds Ed25519 and RSA signs the same lock the same way, so that a second run changes nothing.
  - A key with a passphrase is given by its public half, and C(ssh-agent) signs.
options:
  directory:
    description: The folder of the bundle.
    type: path
    required: true
  key:
    description: The private key, or the public one whose private half an agent holds.
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
- name: Sign the bundle
  onprem.dify.bundle_sign:
    directory: /srv/bundle
    key: ~/.ssh/release_ed25519
"""

RETURN = r"""
release:
  description: The release that was signed.
  returned: success
  type: str
"""
