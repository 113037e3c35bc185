# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small edits in texts that belong to the distribution. No Ansible, no I/O."""

from __future__ import annotations

import re
from typing import List, Mapping, NamedTuple, Optional


class LineWish(NamedTuple):
    """A line that stands in a file once: where `pattern` finds one, else after `after`, else at the end."""

    pattern: str
    line: str
    after: str = ""


def set_keys(text: str, settings: Mapping[str, object], separator: str) -> str:
    """Return a text of keys and values in which each key of `settings` stands once, with its value."""
    for key, value in settings.items():
        glue = r"\s*=\s*" if separator == "=" else r"\s+"
        found = rf"^\s*{re.escape(key)}(?:{glue}.*|\s*)$"
        text = set_line(text, LineWish(found, f"{key}{separator or ' '}{value}"))
    return text


def set_line(text: str, wish: LineWish) -> str:
    """Return the text with the line in its place, and without other lines that the pattern finds."""
    lines = text.splitlines()
    places = [number for number, line in enumerate(lines) if re.search(wish.pattern, line)]
    if places:
        lines[places[0]] = wish.line
        drop = set(places[1:])
        lines = [line for number, line in enumerate(lines) if number not in drop]
    else:
        lines.insert(_after(lines, wish.after), wish.line)
    return "\n".join([*lines, ""])


def _after(lines: List[str], pattern: str) -> int:
    found: Optional[int] = None
    if pattern:
        found = next((number for number, line in enumerate(lines) if re.search(pattern, line)), None)
    return len(lines) if found is None else found + 1
