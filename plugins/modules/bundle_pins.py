#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_pins
short_description: Ask upstream for the digests that no maker published
version_added: 0.3.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Asks for the digest of each image and archive that the pins name without one, and writes them as C(site_pins) into
    a file.
  - The digests are taken on first use. Nobody but the server that was asked stands for them, so a person reviews them.
  - A tag that leads to another digest than the one that the site has pinned is an error, and nothing is written.
  - Images are asked by C(skopeo), archives are downloaded and hashed. Needs no root.
options:
  file:
    description: The file to write. One that this module did not write is not replaced.
    type: path
    required: true
  pins:
    description: The pins of the site, C(site_pins).
    type: dict
    default: {}
  architectures:
    description: Architectures of the hosts.
    type: list
    elements: str
    choices: [amd64, arm64]
    default: [amd64]
  sources:
    description: Rules of C(from) and C(to), which put other addresses in the place of the upstream ones.
    type: list
    elements: dict
    default: []
  ca_file:
    description: File with certificates of authorities that are trusted besides those of the system.
    type: path
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
- name: Ask for the digests that no maker published
  onprem.dify.bundle_pins:
    file: pins.yml
    pins: "{{ site_pins }}"
"""

RETURN = r"""
pins:
  description: What was written, by component.
  returned: success
  type: dict
"""
