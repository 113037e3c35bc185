"""Write the table of controls in docs/hardening.md from the catalogue; with --check, say whether it is out of date."""

from __future__ import annotations

import sys
from typing import Any

import page
import yaml

PAGE = page.ROOT / "docs/hardening.md"
STANDARDS = {
    "cis_debian12": "CIS Debian 12",
    "cis_rhel9": "CIS RHEL 9",
    "cis_kubernetes": "CIS Kubernetes",
    "mlps3": "GB/T 22239",
}
HEAD = ("Control", "What it does", "Variable", *STANDARDS.values(), "Where", "How it is checked")

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
    for path in sorted(page.ROOT.glob("roles/verify/files/controls/*.yml")):
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        parts.append(f"### {path.stem.capitalize()} ({len(entries)})\n\n{page.table(HEAD, map(row, entries))}")
    return "\n\n".join(parts)


def row(entry: dict[str, Any]) -> tuple[str, ...]:
    variable = f"`{entry['variable']}`" if entry["variable"] else ""
    clauses = [str(entry.get(name) or "") for name in STANDARDS]
    where = ", ".join(tag.replace("not_", "not ") for tag in entry.get("when") or []) or "everywhere"
    return (f"`{entry['id']}`", page.cell(entry["title"]), variable, *clauses, where, page.cell(how(entry["check"])))


def how(check: dict[str, Any]) -> str:
    if check["type"] == "command":
        return f"`{' '.join(map(str, check['argv']))}`"
    return READS[check["type"]]


if __name__ == "__main__":
    sys.exit(page.keep(PAGE, "controls", table()))
