# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drawing of the site."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.drawing import draw

DOCUMENTATION = r"""
name: site_drawing
short_description: Draw the zones, hosts and flows of the site
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Returns the text of an SVG file that is legible on paper and on light and dark screens.
options:
  _input:
    description: The site, as P(onprem.dify.site#filter) returns it.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Draw the site
  ansible.builtin.copy:
    content: "{{ site_facts | onprem.dify.site_drawing }}"
    dest: site.svg
    mode: "0644"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: The drawing as SVG.
  type: str
"""


def site_drawing(site: Mapping[str, Any]) -> str:
    return draw(site)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"site_drawing": site_drawing}
