"""Draw inventories/prod into docs/zones-and-flows.svg; with --check, say whether it is out of date."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DRAWING = ROOT / "docs/zones-and-flows.svg"


def draw(target: Path) -> None:
    command = ["ansible-playbook", "playbooks/drawing.yml", "-i", "inventories/prod", "-e", f"drawing={target}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / DRAWING.name
        draw(fresh)
        if DRAWING.exists() and DRAWING.read_bytes() == fresh.read_bytes():
            return 0
        if "--check" in sys.argv:
            print(f"{DRAWING.relative_to(ROOT)} is out of date, run `make docs`")
            return 1
        DRAWING.write_bytes(fresh.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
