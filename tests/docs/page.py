"""A part of a page that is made: a table between two comments."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ("---",) * len(head), *rows))


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def keep(page: Path, name: str, content: str) -> int:
    """Write the part `name` of a page; with --check, say whether it is out of date. Returns the code to exit with."""
    begin, end = f"<!-- {name}: made by `make docs` -->", f"<!-- end of {name} -->"
    text = page.read_text(encoding="utf-8")
    made = f"{begin}\n\n{content}\n\n{end}"
    fresh = re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _match: made, text, flags=re.S)
    if fresh == text:
        return 0
    if "--check" in sys.argv:
        print(f"{page.relative_to(ROOT)} is out of date, run `make docs`")
        return 1
    page.write_text(fresh, encoding="utf-8")
    return 0
