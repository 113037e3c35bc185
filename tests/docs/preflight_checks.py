"""Write the table of preflight's checks into docs/inventory.md; with --check, say if it is out of date."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/inventory.md"
BEGIN, END = "<!-- checks: begin -->\n", "<!-- checks: end -->"


def table() -> str:
    sys.path.insert(0, str(ROOT / ".ansible/collections"))
    checks = importlib.import_module("ansible_collections.onprem.dify.plugins.module_utils.preflight").CHECKS
    rows = [f"| `{check}` | {meaning} |" for check, meaning in checks.items()]
    return "\n".join(["| id | what is checked |", "|---|---|", *rows, ""])


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    wanted = before + BEGIN + table() + END + rest.split(END)[1]
    if page == wanted:
        return 0
    if "--check" in sys.argv:
        print("docs/inventory.md out of date, run `make docs`")
        return 1
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
