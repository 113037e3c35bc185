#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check controls on a running host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: control_checks
short_description: Check security controls on a running host
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Checks all controls of the catalogue on one host. Returns for each what is expected, what was found and the result.
  - Reads each source once, whatever the number of controls, and changes nothing.
  - A control that cannot be checked, because a program or a file is missing, has failed.
options:
  controls:
    description: Entries of the catalogue as P(onprem.dify.controls#lookup) returns them.
    type: list
    elements: dict
    required: true
  tags:
    description:
      - What the host is at this site, its groups and zones and C(cluster) for a host of Kubernetes.
      - What can be seen on the host itself is added, such as C(debian), C(redhat), C(container) and C(selinux).
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: The module only reads, so it does the same in check mode.
    support: full
  diff_mode:
    description: Nothing is changed.
    support: none
"""

EXAMPLES = r"""
- name: Check the controls of this host
  onprem.dify.control_checks:
    controls: "{{ catalogue.controls }}"
    tags: "{{ group_names }}"
  vars:
    catalogue: "{{ lookup('onprem.dify.controls') }}"
  register: result
"""

RETURN = r"""
controls:
  description:
    - One record for each control with its catalogue fields, C(expected), C(found), C(result), C(reason) and C(time).
    - The result is C(pass), C(fail), C(waived) or C(not-applicable).
  returned: always
  type: list
  elements: dict
counts:
  description: Number of controls with each result.
  returned: always
  type: dict
  sample: {pass: 98, fail: 1, waived: 2, not-applicable: 12}
os:
  description: Name of the operating system as it calls itself.
  returned: always
  type: str
  sample: Debian GNU/Linux 12 (bookworm)
kernel:
  description: Release of the running kernel.
  returned: always
  type: str
tags:
  description: What the host is, given and seen.
  returned: always
  type: list
  elements: str
started:
  description: When the checks began, in UTC.
  returned: always
  type: str
  sample: "2030-01-31T21:04:05Z"
ended:
  description: When the checks ended, in UTC.
  returned: always
  type: str
"""

import os
import re
import time

from ansible_collections.onprem.dify.plugins.module_utils.controls import applicable_checks, count, evaluate
from ansible_collections.onprem.dify.plugins.module_utils.controls_host import NOT_FOUND, Host, Run, Sources, host_tags
from ansible_collections.onprem.dify.plugins.module_utils.quiet_module import QuietModule

SECONDS = "30"


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def runner(module: QuietModule) -> Run:
    """Return what runs a program for the checks: never through a shell, in plain English, and not for ever."""
    timeout = module.get_bin_path("timeout")

    def run(argv: list[str]) -> tuple[int, str, str]:
        program = module.get_bin_path(argv[0])
        if program is None:
            return NOT_FOUND, "", ""
        command = ([timeout, SECONDS] if timeout else []) + [program, *argv[1:]]
        rc, out, err = module.run_command(command, environ_update={"LC_ALL": "C", "SYSTEMD_COLORS": "0"})
        return rc, out, err

    return run


def os_name(host: Host) -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)', host.read("/etc/os-release") or "", re.MULTILINE)
    return match.group(1) if match else "unknown"


def main() -> None:
    module = QuietModule(
        argument_spec={
            "controls": {"type": "list", "elements": "dict", "required": True},
            "tags": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    started = now()
    entries = module.params["controls"]
    host = Host(runner(module))
    tags = sorted({*module.params["tags"], *host_tags(host)})
    records = evaluate(entries, tags, Sources(host, applicable_checks(entries, tags)), now)
    module.exit_json(
        changed=False,
        controls=records,
        counts=count(records),
        os=os_name(host),
        kernel=os.uname().release,
        tags=tags,
        started=started,
        ended=now(),
    )


if __name__ == "__main__":
    main()
