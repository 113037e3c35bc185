# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says about itself, read from the texts that the kernel and the usual tools print. No Ansible, no I/O."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional

USERS = re.compile(r'\("([^"]+)"')


def memory_mib(meminfo: str) -> int:
    """The memory of the host, from /proc/meminfo."""
    match = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(match[1]) // 1024 if match else 0


def swaps(proc_swaps: str) -> List[str]:
    """The devices and files that the host swaps to, from /proc/swaps."""
    return [line.split()[0] for line in proc_swaps.splitlines()[1:] if line.strip()]


def listeners(ss: str) -> List[Dict[str, Any]]:
    """Sockets that listen on an address other than loopback, from `ss -Hlntup`."""
    found = []
    for line in ss.splitlines():
        fields = line.split(None, 6)
        if len(fields) < 6 or fields[0] not in ("tcp", "udp"):
            continue
        address, _colon, port = fields[4].rpartition(":")
        address = address.strip("[]").split("%")[0]
        if not port.isdigit() or address == "::1" or address.startswith("127."):
            continue
        programs = sorted(set(USERS.findall(fields[6]))) if len(fields) > 6 else []
        entry = {"protocol": fields[0], "port": int(port), "programs": programs}
        if entry not in found:
            found.append(entry)
    return found


def security_modules(lsm: Optional[str], selinux_enforce: Optional[str], apparmor_enabled: Optional[str]) -> List[str]:
    """The mandatory access control that is active, from the kernel's own files; None stands for a missing file."""
    loaded = (lsm or "").strip().split(",")
    active = []
    if selinux_enforce is not None or "selinux" in loaded:
        active.append("selinux")
    if (apparmor_enabled or "").strip() == "Y" or "apparmor" in loaded:
        active.append("apparmor")
    return active


def route_problem(code: int, output: str) -> str:
    """Why there is no way to an address, from `ip route get`; empty if there is one."""
    if code == 0 and not re.match(r"(unreachable|prohibit|blackhole|throw)\b", output.strip()):
        return ""
    lines = output.strip().splitlines()
    return lines[0].replace("RTNETLINK answers: ", "") if lines else f"ip route get ended with {code}"


def wrong_names(answers: Mapping[str, List[str]], wanted: Mapping[str, str]) -> Dict[str, str]:
    """Names that resolve to something else than wanted; a name that does not resolve is not wrong."""
    return {
        name: ", ".join(answers[name])
        for name, address in wanted.items()
        if answers.get(name) and address not in answers[name]
    }
