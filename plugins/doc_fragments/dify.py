# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filters that work on one tenant are given."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  _input:
    description: A tenant, as P(onprem.dify.dify_tenants#filter) returns it.
    type: dict
    required: true
  site:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
  secrets:
    description: The secrets of the site.
    type: dict
    required: true
  given:
    description: The services that the site gives, as P(onprem.dify.external_services#lookup) returns them.
    type: dict
    default: {}
"""
