"""Write the table of preflight's checks into docs/inventory.md; with --check, say if it is out of date."""

from __future__ import annotations

import importlib
import sys

import page

PAGE = page.ROOT / "docs/inventory.md"


def table() -> str:
    sys.path.insert(0, str(page.ROOT / ".ansible/collections"))
    checks = importlib.import_module("ansible_collections.onprem.dify.plugins.module_utils.preflight").CHECKS
    return page.table(("id", "what is checked"), ((f"`{check}`", meaning) for check, meaning in checks.items()))


if __name__ == "__main__":
    sys.exit(page.keep(PAGE, "checks", table()))
