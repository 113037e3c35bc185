# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an S3 store is and how it is asked."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  endpoint:
    description: Address of the store, such as C(https://10.20.3.16:8333).
    type: str
    required: true
  ca_file:
    description: Certificates of the authorities that vouch for the store. Those of the operating system if left out.
    type: path
  region:
    description: Region that requests are signed for.
    type: str
    default: us-east-1
"""
