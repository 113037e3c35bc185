"""Find the collection under the name by which Ansible imports it, and the lab as the package it is."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT / ".ansible/collections", ROOT / "tests"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
