"""Write every generated part of the documentation; with --check, fail where one is out of date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    scripts = sorted(HERE.glob("*_*.py"))
    return max(subprocess.run([sys.executable, path, *sys.argv[1:]], check=False).returncode for path in scripts)


if __name__ == "__main__":
    sys.exit(main())
