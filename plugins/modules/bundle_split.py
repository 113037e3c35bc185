#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_split
short_description: Cut a bundle into parts for media
version_added: 0.3.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Writes parts of a given size, a list of them with their digests, and the program that joins them.
  - With O(part) only that one is written, straight to its medium, so that no disk has to hold the bundle twice.
  - A part that is there and right is not written again.
  - The parts are a tar archive cut into pieces, which C(cat) and C(tar) join where nothing else is at hand.
options:
  directory:
    description: The folder of the bundle, or of a delta.
    type: path
    required: true
  parts_directory:
    description: The folder of the parts. They are called as the folder of the bundle, with a number.
    type: path
    required: true
  part_size:
    description:
      - Size of a part, as on the label of a medium. V(4G) are 4,000,000,000 bytes, which FAT can hold.
      - V(1GiB) are 1,073,741,824 bytes.
    type: str
    default: 4G
  part:
    description: Number of the only part to write. V(0) writes all.
    type: int
    default: 0
attributes:
  action:
    description: Runs on the controller only.
    support: full
  check_mode:
    description: Writes nothing, so is left out.
    support: none
"""

EXAMPLES = r"""
- name: Write all parts
  onprem.dify.bundle_split:
    directory: /srv/bundle/2026.11.25
    parts_directory: /srv/parts

- name: Write the second part to a stick
  onprem.dify.bundle_split:
    directory: /srv/bundle/2026.11.25
    parts_directory: /media/usb
    part: 2
"""

RETURN = r"""
parts:
  description: The names of all parts.
  returned: success
  type: list
  elements: str
size:
  description: Bytes of all parts.
  returned: success
  type: int
"""
