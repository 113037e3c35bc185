"""Write the table of pins in docs/pins.md from the bundle; with --check, say whether it is out of date."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/pins.md"
BEGIN, END = "<!-- pins: made by `make docs` -->", "<!-- end of pins -->"
HEAD = ("Component", "Version", "In packages", "Archive for", "Licence", "End of life")


def table() -> str:
    pins = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob("bundle/*.yml"))]
    rows = [HEAD, ("---",) * len(HEAD), *(row(pin) for pin in pins)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def row(pin: dict[str, Any]) -> tuple[str, ...]:
    packages = [f"{version} on {system.replace('_', ' ')}" for system, version in (pin.get("packages") or {}).items()]
    life = ". ".join(str(part) for part in (pin["end_of_life"], pin.get("end_of_life_note")) if part)
    archives = ", ".join(pin.get("archives") or {})
    return (f"[{pin['name']}]({pin['source']})", pin["version"], ", ".join(packages), archives, pin["licence"], life)


def main() -> int:
    text = PAGE.read_text(encoding="utf-8")
    fresh = re.sub(
        f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _match: f"{BEGIN}\n\n{table()}\n\n{END}", text, flags=re.S
    )
    if fresh == text:
        return 0
    if "--check" in sys.argv:
        print(f"{PAGE.relative_to(ROOT)} is out of date, run `make docs`")
        return 1
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
