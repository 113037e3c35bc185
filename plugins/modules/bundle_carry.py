#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_carry
short_description: Verify a bundle on the controller and send a mirror what it lacks
version_added: 0.3.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Verifies signature and every byte of the bundle on the controller, and that it is not older than the release that
    the mirror serves. If anything is wrong, all of it is listed and nothing is sent.
  - Sends the blobs that the mirror lacks over the connection that Ansible has, in loads of bounded size. A run that was
    broken off goes on where it was, within a blob as well.
  - The mirror hashes each blob again before it counts. M(onprem.dify.mirror_load) makes a release of them.
  - A bundle that is served already is not hashed and not sent.
  - A delta is enough for a mirror that has the rest.
options:
  bundle:
    description: The folder of the bundle on the controller.
    type: path
    required: true
  signers:
    description: Whom the site trusts to sign bundles, in lines such as C(release@bank.internal ssh-ed25519 AAAA...).
    type: list
    elements: str
    required: true
  directory:
    description: The folder of the mirror on the host.
    type: path
    default: /srv/onprem-dify/mirror
  megabytes:
    description: Size of a load. It takes that much of the temporary folders of controller and host.
    type: int
    default: 256
attributes:
  action:
    description: Has a part that runs on the controller.
    support: full
  check_mode:
    description: Verifies, and says how much would be sent.
    support: full
  diff_mode:
    description: Names the release and the bytes.
    support: full
"""

EXAMPLES = r"""
- name: Verify the bundle and send what the mirror lacks
  onprem.dify.bundle_carry:
    bundle: /media/bundle
    signers: ["release@bank.internal ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI..."]
"""

RETURN = r"""
release:
  description: The release of the bundle, by its name on a mirror.
  returned: success
  type: str
  sample: 2026.11.25-0123456789ab
digest:
  description: Digest of its lock.
  returned: success
  type: str
sent:
  description: Bytes of blobs that were sent, or in check mode would be.
  returned: success
  type: int
"""
