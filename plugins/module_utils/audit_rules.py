# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Audit rules: the file of a rule set, and whether the kernel has loaded just this rule set."""

from __future__ import annotations

import hashlib
import re
from typing import List, NamedTuple, Sequence

# Calls that other machines than x86_64 do not have; their newer forms stand beside them in each rule.
X86_ONLY = frozenset(
    {
        "chmod",
        "chown",
        "creat",
        "lchown",
        "link",
        "mkdir",
        "mknod",
        "open",
        "rename",
        "rmdir",
        "stime",
        "symlink",
        "unlink",
    }
)


def for_machine(lines: Sequence[str], machine: str) -> List[str]:
    """Return the rules that auditctl accepts on this machine."""
    if machine == "x86_64":
        return list(lines)
    kept = []
    for line in lines:
        if "arch=b32" in line:
            continue
        changed = re.sub(r"(?<=-S )\S+", lambda match: _known_calls(match.group()), line)
        if "-S  " not in changed and not changed.endswith("-S "):
            kept.append(changed)
    return kept


def _known_calls(calls: str) -> str:
    return ",".join(call for call in calls.split(",") if call not in X86_ONLY)


def digest(lines: Sequence[str]) -> str:
    """Return what tells this rule set from others."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def rules_text(lines: Sequence[str], path: str, key: str) -> str:
    """Return the text of the file. Its last rule carries the digest, so that the kernel can say what it has loaded."""
    settings = [line for line in lines if line.startswith("-e")]
    rules = [line for line in lines if not line.startswith("-e")]
    return "\n".join(["## Ansible managed", *rules, f"-w {path} -p wa -k {key}", *settings, ""])


def clean(text: str) -> List[str]:
    """Return the rules of a text without comments and empty lines."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


class Kernel(NamedTuple):
    """What auditctl says: the loaded rules, and whether they can still be changed."""

    rules: str
    status: str

    @property
    def on(self) -> bool:
        return re.search(r"^enabled\s+[12]\b", self.status, re.MULTILINE) is not None

    @property
    def locked(self) -> bool:
        return re.search(r"^enabled\s+2\b", self.status, re.MULTILINE) is not None

    def has(self, key: str) -> bool:
        return re.search(rf"(-k |key=){re.escape(key)}\s*$", self.rules, re.MULTILINE) is not None

    def size(self) -> int:
        return sum(1 for line in self.rules.splitlines() if line.startswith("-"))


def loaded(kernel: Kernel, key: str, lines: Sequence[str]) -> bool:
    """Tell whether the kernel records by the rule set: audit is on, with its last rule and no fewer rules."""
    wanted = sum(1 for line in lines if line.startswith(("-a", "-A", "-w")))
    return kernel.on and kernel.has(key) and kernel.size() > wanted
