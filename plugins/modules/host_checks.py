#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at a host before anything on it is changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_checks
short_description: Look at a host before anything on it is changed
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Reports what preflight needs to know of a host, in one call - size, listeners, routes, names, identity and clock.
  - It judges nothing and changes nothing; M(onprem.dify.preflight) holds the answers of all hosts against the site.
  - On the controller it also gathers the facts, compares the clocks, and says in plain words why a host cannot be used
    at all, which is then an answer and not a failure, so that one run names the problems of all hosts.
options:
  site:
    description: The site, from which the controller takes O(destinations) and O(names).
    type: dict
  destinations:
    description: Addresses to which the host needs a route.
    type: list
    elements: str
    default: []
  names:
    description: Names to resolve besides the name of the host itself.
    type: list
    elements: str
    default: []
  gather_subset:
    description: The facts to gather, as for M(ansible.builtin.setup).
    type: list
    elements: str
    default: ["!all", "!min", distribution]
attributes:
  check_mode:
    description: Changes nothing, so runs in check mode too.
    support: full
"""

EXAMPLES = r"""
- name: Look at the host
  onprem.dify.host_checks:
    site: "{{ site }}"
  register: seen
"""

RETURN = r"""
seen:
  description: What the host said; only C(failure) if it could not be asked.
  returned: always
  type: dict
  contains:
    cpus: {description: Processors., type: int, returned: success}
    memory: {description: Memory in MiB., type: int, returned: success}
    disk_size: {description: Size in GiB of the file system of /var., type: float, returned: success}
    disk_free: {description: Free space in GiB on it., type: float, returned: success}
    cgroup: {description: Type of the file system at /sys/fs/cgroup., type: str, returned: success}
    swap: {description: Devices and files that it swaps to., type: list, elements: str, returned: success}
    kubernetes: {description: Version of its kubelet; empty without one., type: str, returned: success}
    init: {description: Name of process 1., type: str, returned: success}
    listeners:
      description: Sockets that listen on other addresses than loopback.
      type: list
      elements: dict
      returned: success
    routes: {description: 'Destination, and why there is no route; empty if one.', type: dict, returned: success}
    names: {description: 'Name, and the addresses that it resolves to.', type: dict, returned: success}
    hostname: {description: Name that the host gives itself., type: str, returned: success}
    machine_id: {description: Content of /etc/machine-id., type: str, returned: success}
    ssh_host_key: {description: Public SSH host key., type: str, returned: success}
    security_modules: {description: Active mandatory access control., type: list, elements: str, returned: success}
    python: {description: Version of Python., type: str, returned: success}
    clock_offset: {description: Seconds that its clock is ahead of the controller's., type: float, returned: success}
    clock_error: {description: Seconds by which the offset may be wrong., type: float, returned: success}
    failure: {description: 'Why the host cannot be used, as a finding.', type: dict, returned: when it cannot}
"""

import os
import platform
import shutil
import socket
from pathlib import Path
from typing import Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils.host_checks import (
    listeners,
    memory_mib,
    route_problem,
    security_modules,
    swaps,
)
from ansible_collections.onprem.dify.plugins.module_utils.release import version_in_use

GIB = 1024**3


def read(path: str) -> Optional[str]:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return None


def resolve(name: str) -> List[str]:
    try:
        return sorted({str(answer[4][0]) for answer in socket.getaddrinfo(name, None, socket.AF_INET)})
    except OSError:
        return []


def routes(module: AnsibleModule, destinations: List[str]) -> Dict[str, str]:
    problems = {}
    for destination in destinations:
        code, output, errors = module.run_command(["ip", "route", "get", destination])
        problems[destination] = route_problem(code, output or errors)
    return problems


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "site": {"type": "dict"},
            "destinations": {"type": "list", "elements": "str", "default": []},
            "names": {"type": "list", "elements": "str", "default": []},
            "gather_subset": {"type": "list", "elements": "str", "default": ["!all", "!min", "distribution"]},
        },
        supports_check_mode=True,
    )
    hostname = socket.gethostname()
    disk = shutil.disk_usage("/var")
    _code, cgroup, _errors = module.run_command(["stat", "--file-system", "--format=%T", "/sys/fs/cgroup"])
    _code, sockets, _errors = module.run_command(["ss", "-Hlntup"])
    module.exit_json(
        changed=False,
        seen={
            "cpus": os.cpu_count() or 0,
            "memory": memory_mib(read("/proc/meminfo") or ""),
            "disk_size": round(disk.total / GIB, 1),
            "disk_free": round(disk.free / GIB, 1),
            "cgroup": cgroup.strip() or "missing",
            "swap": swaps(read("/proc/swaps") or ""),
            "kubernetes": version_in_use("kubelet"),
            "init": (read("/proc/1/comm") or "unknown").strip(),
            "listeners": listeners(sockets),
            "routes": routes(module, module.params["destinations"]),
            "names": {name: resolve(name) for name in [hostname, *module.params["names"]]},
            "hostname": hostname,
            "machine_id": (read("/etc/machine-id") or "").strip(),
            "ssh_host_key": " ".join((read("/etc/ssh/ssh_host_ed25519_key.pub") or "").split()[:2]),
            "security_modules": security_modules(
                read("/sys/kernel/security/lsm"),
                read("/sys/fs/selinux/enforce"),
                read("/sys/module/apparmor/parameters/enabled"),
            ),
            "python": platform.python_version(),
        },
    )


if __name__ == "__main__":
    main()
