#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write audit rules and have the kernel load them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_rules
short_description: Write audit rules and have the kernel load them
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Writes a rule set to one file of C(/etc/audit/rules.d) and loads all rules with C(augenrules).
  - The last rule of the set carries a digest as its key, so what counts is what the kernel has loaded, not what was
    done before.
  - Leaves out what the processor architecture of the host does not have.
  - In a container only the file is written. Rules that were made immutable cannot be changed before a reboot, which is
    said.
options:
  path:
    description: File of the rule set.
    type: path
    default: /etc/audit/rules.d/60-onprem-dify.rules
  rules:
    description: The rules, one a line, as C(auditctl) knows them. Comments and empty lines are left out.
    type: str
    required: true
attributes:
  check_mode:
    description: Can tell what would change without changing it.
    support: full
  diff_mode:
    description: Shows the file, and the digest that the kernel has loaded.
    support: full
"""

EXAMPLES = r"""
- name: Record changes of accounts
  onprem.dify.audit_rules:
    rules: |
      -w /etc/passwd -p wa -k identity
      -w /etc/shadow -p wa -k identity
"""

RETURN = r"""
key:
  description: Key of the last rule, with the digest of the rule set.
  returned: always
  type: str
  sample: onprem-dify-0123456789abcdef
loaded:
  description: Whether the kernel has loaded the rule set.
  returned: always
  type: bool
reboot_required:
  description: Whether a reboot is needed, because the rules are immutable.
  returned: always
  type: bool
reason:
  description: Why the rule set is not loaded.
  returned: always
  type: str
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import audit_rules as core
from ansible_collections.onprem.dify.plugins.module_utils import host


def output(module: AnsibleModule, *argv: str) -> str:
    program = module.get_bin_path(argv[0])
    if program is None:
        return ""
    _rc, out, _err = module.run_command([program, *argv[1:]])
    return str(out)


def ask_kernel(module: AnsibleModule) -> core.Kernel:
    return core.Kernel(output(module, "auditctl", "-l"), output(module, "auditctl", "-s"))


def load(module: AnsibleModule, key: str, lines: list[str]) -> None:
    program = module.get_bin_path("augenrules", required=True)
    _rc, out, err = module.run_command([program, "--load"])
    if not core.loaded(ask_kernel(module), key, lines):
        module.fail_json(msg=f"the kernel did not load the audit rules: {(err or out).strip()}")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/audit/rules.d/60-onprem-dify.rules"},
            "rules": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    lines = core.for_machine(core.clean(module.params["rules"]), os.uname().machine)
    key = f"onprem-dify-{core.digest(lines)}"
    text = core.rules_text(lines, str(path), key)
    before = host.text_of(path)
    written = before != text
    if written and not module.check_mode:
        host.replace(module, path, text, 0o640)
    diff = [host.file_diff(path, before, text)] if written else []

    if host.in_container():
        reason = "a container has no audit of its own, the rules are written and not loaded"
        module.exit_json(changed=written, diff=diff, key=key, loaded=False, reboot_required=False, reason=reason)

    kernel = ask_kernel(module)
    stale = not core.loaded(kernel, key, lines) or "No change" not in output(module, "augenrules", "--check")
    if stale and kernel.locked:
        reason = "the audit rules in the kernel are immutable, the next boot loads the new ones"
        module.warn(reason)
        module.exit_json(changed=written, diff=diff, key=key, loaded=False, reboot_required=True, reason=reason)
    if stale:
        count = f"{kernel.size()} rules{'' if kernel.on else ', audit off'}\n"
        diff.append(
            {"before_header": "kernel", "after_header": "kernel", "before": count, "after": f"rule set {key}\n"}
        )
        if not module.check_mode:
            load(module, key, lines)
    module.exit_json(
        changed=written or stale,
        diff=diff,
        key=key,
        loaded=not (stale and module.check_mode),
        reboot_required=False,
        reason="",
    )


if __name__ == "__main__":
    main()
