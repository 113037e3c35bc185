# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules for Redis and for Sentinel are told alike."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  tls:
    description: Paths of the certificates.
    type: dict
    required: true
    suboptions:
      certificate:
        description: The certificate that the process shows.
        type: path
        required: true
      key:
        description: Its key.
        type: path
        required: true
      authorities:
        description: The authorities that all trust.
        type: path
        required: true
  unit:
    description: The systemd unit.
    type: str
    required: true
  unit_files:
    description: Files that only a restart takes in, such as drop-ins of the unit.
    type: list
    elements: path
    default: []
  owner:
    description: User and group of the process.
    type: str
    required: true
"""
