"""Write what the pins name by its licence into docs/bundle.md; with --check, say whether that is out of date."""

from __future__ import annotations

import sys

import page
import yaml

PAGE = page.ROOT / "docs/bundle.md"


def table() -> str:
    by_licence: dict[str, list[str]] = {}
    for path in sorted(page.ROOT.glob("bundle/*.yml"), key=lambda path: path.stem):
        pin = yaml.safe_load(path.read_text(encoding="utf-8"))
        by_licence.setdefault(pin["licence"], []).append(f"[{pin['name']}]({pin['source']})")
    rows = [(licence, ", ".join(names)) for licence, names in sorted(by_licence.items())]
    return page.table(("Licence", "Components"), rows)


if __name__ == "__main__":
    sys.exit(page.keep(PAGE, "licences", table()))
