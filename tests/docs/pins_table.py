"""Write the table of pins in docs/pins.md from the bundle; with --check, say whether it is out of date."""

from __future__ import annotations

import sys
from typing import Any

import page
import yaml

PAGE = page.ROOT / "docs/pins.md"
HEAD = ("Component", "Version", "In packages", "Archive for", "Images", "Licence", "End of life")


def table() -> str:
    pins = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(page.ROOT.glob("bundle/*.yml"))]
    return page.table(HEAD, map(row, pins))


def row(pin: dict[str, Any]) -> tuple[str, ...]:
    packages = [f"{version} on {system.replace('_', ' ')}" for system, version in (pin.get("packages") or {}).items()]
    life = ". ".join(str(part) for part in (pin["end_of_life"], pin.get("end_of_life_note")) if part)
    asked_for = (pin.get("to_resolve") or {}).get("archives") or {}
    archives = ", ".join([*(pin.get("archives") or {}), *(f"{name} †" for name in asked_for)])
    images = ", ".join([*(f"{image['name']}:{image['tag']}" for image in pin.get("images") or ()), *asked(pin)])
    name = f"[{pin['name']}]({pin['source']})"
    return (name, pin["version"], ", ".join(packages), archives, images, pin["licence"], life)


def asked(pin: dict[str, Any]) -> list[str]:
    """Images without a known digest."""
    images = (pin.get("to_resolve") or {}).get("images") or ()
    return [f"{image.format(version=pin['version'])} †" for image in images]


if __name__ == "__main__":
    sys.exit(page.keep(PAGE, "pins", table()))
