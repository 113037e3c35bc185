"""Write the table of controls in docs/hardening.md from the catalogue; with --check, say whether it is out of date."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/hardening.md"
BEGIN, END = "<!-- controls: made by `make docs` -->", "<!-- end of controls -->"
HEAD = (
    "Control",
    "What it does",
    "Variable",
    "CIS Debian 12",
    "CIS RHEL 9",
    "GB/T 22239",
    "Where",
    "How it is checked",
)

# What each type of check reads of the running system.
READS = {
    "sshd": "effective options of sshd",
    "sysctl": "live kernel setting",
    "file": "owner and permissions",
    "line": "text of the file",
    "mount": "live mount options",
    "unit": "state of the unit",
    "package": "installed packages",
    "module": "configuration of modprobe, loaded modules",
    "login": "a real login shell",
    "audit_rule": "rules that the kernel holds",
    "account": "all local accounts",
    "selinux": "live mode and the one after a reboot",
    "apparmor": "live profiles",
    "pinned": "installed versions, holds, records of archives",
    "time_source": "what chronyd follows",
}


def table() -> str:
    parts = []
    for path in sorted(ROOT.glob("roles/verify/files/controls/*.yml")):
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        rows = [HEAD, ("---",) * len(HEAD), *(row(entry) for entry in entries)]
        lines = ["| " + " | ".join(cells) + " |" for cells in rows]
        parts.append(f"### {path.stem.capitalize()} ({len(entries)})\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def row(entry: dict[str, Any]) -> tuple[str, ...]:
    variable = f"`{entry['variable']}`" if entry["variable"] else ""
    clauses = [str(entry.get(name) or "") for name in ("cis_debian12", "cis_rhel9", "mlps3")]
    where = ", ".join(tag.replace("not_", "not ") for tag in entry.get("when") or []) or "everywhere"
    return (f"`{entry['id']}`", cell(entry["title"]), variable, *clauses, where, cell(how(entry["check"])))


def how(check: dict[str, Any]) -> str:
    if check["type"] == "command":
        return f"`{' '.join(map(str, check['argv']))}`"
    return READS[check["type"]]


def cell(text: str) -> str:
    return text.replace("|", "\\|")


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
