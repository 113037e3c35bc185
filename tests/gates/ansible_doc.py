"""ansible-doc answers for every role and every plugin of the collection, and none is without documentation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"filter": "filter", "lookup": "lookup", "modules": "module"}


def names(kind: str) -> list[str]:
    listed = subprocess.run(
        ["ansible-doc", "--type", kind, "--list", "--json", "onprem.dify"], capture_output=True, text=True, check=True
    )
    return sorted(json.loads(listed.stdout))


def undocumented(kind: str, wanted: list[str]) -> list[str]:
    if not wanted:
        return []
    answer = subprocess.run(
        ["ansible-doc", "--type", kind, "--json", *wanted], capture_output=True, text=True, check=False
    )
    known = json.loads(answer.stdout) if answer.returncode == 0 else {}
    return [f"{kind} {name}: {answer.stderr.strip()[:300]}" for name in wanted if not described(known.get(name))]


def described(entry: dict | None) -> bool:
    if not entry:
        return False
    if "entry_points" in entry:
        return bool(entry["entry_points"]["main"].get("short_description"))
    return bool(entry.get("doc", {}).get("short_description")) and bool(entry.get("examples"))


def main() -> int:
    roles = [f"onprem.dify.{path.parents[1].name}" for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))]
    missing = undocumented("role", roles)
    folders = {path.name for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir()}
    missing += [f"role {name}: no argument_specs" for name in folders - {role.rsplit(".", 1)[1] for role in roles}]
    count = len(roles)
    for folder, kind in KINDS.items():
        if not any((ROOT / "plugins" / folder).glob("*.py")):
            continue
        found = names(kind)
        count += len(found)
        missing += undocumented(kind, found)
    for line in missing:
        print(line)
    print(f"{count} documented, {len(missing)} not")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
