# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of Kubernetes: what may follow what. No Ansible, no I/O."""

from __future__ import annotations

import re
from typing import Optional, Tuple

# kubeadm goes from one minor version to the next, and no further.
STEP = 1


def parse(version: str) -> Optional[Tuple[int, int, int]]:
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def change(found: str, wanted: str) -> str:
    """What the step is: `none`, `upgrade`, `downgrade`, `skew` (too large a step), or `unknown`."""
    before, after = parse(found), parse(wanted)
    if before is None or after is None:
        return "unknown"
    if before == after:
        return "none"
    if after < before:
        return "downgrade"
    return "upgrade" if after[0] == before[0] and after[1] - before[1] <= STEP else "skew"


def refusal(found: str, wanted: str) -> str:
    """Why a host that runs `found` does not get `wanted`; empty if the step is a possible one."""
    step = change(found, wanted)
    if step == "downgrade":
        return "Kubernetes does not go back: its data are those of the newer version"
    if step == "skew":
        major, minor, _patch = parse(found) or (0, 0, 0)
        return f"Kubernetes goes one minor version at a time: {major}.{minor + 1} comes next"
    return ""
