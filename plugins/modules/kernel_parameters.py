#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set kernel parameters at boot and now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_parameters
short_description: Set kernel parameters at boot and now
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Writes all parameters to one file of C(sysctl.d) and gives the running kernel those that differ.
  - A pattern over interfaces such as C(net.ipv4.conf.*.rp_filter) is written with C(all) and C(default) beside it and
    is applied to every interface, because the kernel combines C(all) with the value of the interface and C(systemd)
    sets the latter itself.
  - In a container the parameters of the host's kernel are written to the file only, and reported.
  - Warns where a file that is read later at boot sets a parameter to something else.
options:
  path:
    description: File of C(sysctl.d) that belongs to this module.
    type: path
    default: /etc/sysctl.d/60-onprem-dify.conf
  parameters:
    description: Parameters and their values; V(null) leaves a parameter out.
    type: dict
    required: true
  optional:
    description: Parameters, as names or shell patterns, that a kernel may not have.
    type: list
    elements: str
    default: []
  modules:
    description: Kernel modules that bring some of the parameters and are loaded first where they are not.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Can tell what would change without changing it.
    support: full
  diff_mode:
    description: Shows the file and the live values, before and after.
    support: full
"""

EXAMPLES = r"""
- name: Set kernel parameters
  onprem.dify.kernel_parameters:
    parameters:
      net.ipv4.ip_forward: 0
      net.ipv4.conf.*.rp_filter: 1
      kernel.yama.ptrace_scope: 1
    optional: [kernel.yama.*]

- name: Set the parameters that Kubernetes needs
  onprem.dify.kernel_parameters:
    modules: [br_netfilter]
    parameters:
      net.ipv4.ip_forward: 1
      net.bridge.bridge-nf-call-iptables: 1
"""

RETURN = r"""
applied:
  description: Live parameters that were changed, each with the value before.
  returned: always
  type: dict
  sample: {net.ipv4.ip_forward: "1"}
modules:
  description: Kernel modules that were loaded.
  returned: always
  type: list
  elements: str
read_only:
  description: Parameters that differ but belong to the kernel of the container's host.
  returned: always
  type: list
  elements: str
missing:
  description: Optional parameters that this kernel does not have, in a container all that it does not have.
  returned: always
  type: list
  elements: str
overridden:
  description: One sentence for each parameter that another file sets to something else at boot.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import host
from ansible_collections.onprem.dify.plugins.module_utils import kernel_parameters as core

FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")


def load_modules(module: AnsibleModule, container: bool) -> list[str]:
    """Load the kernel modules that are not there and return their names."""
    loaded = []
    for name in [name for name in module.params["modules"] if not core.module_loaded(name)]:
        if not module.check_mode:
            program = module.get_bin_path("modprobe")
            rc, _out, err = module.run_command([program, name]) if program else (1, "", "modprobe is not installed")
            if rc != 0 and not container:
                module.fail_json(msg=f"the kernel module {name} cannot be loaded: {err.strip()}")
            if rc != 0:
                continue
        elif container:
            continue
        loaded.append(name)
    return loaded


def write_file(module: AnsibleModule, text: str) -> dict[str, str]:
    """Write the file where it differs and return its diff."""
    path = Path(module.params["path"])
    before = host.text_of(path)
    if before != text and not module.check_mode:
        host.replace(module, path, text)
    return host.file_diff(path, before, text)


def apply(module: AnsibleModule, lines: list[core.Setting], kernel: core.ProcSys) -> None:
    """Write the parameters that differ; a second time for those that a change of forwarding reset."""
    errors: dict[str, str] = {}
    for _attempt in range(2):
        errors = {}
        for parameter in core.to_write(core.survey(lines, kernel)):
            try:
                kernel.write(parameter.key, parameter.wanted)
            except FileNotFoundError:
                continue
            except OSError as error:
                errors[parameter.key] = error.strerror or str(error)
    rest = core.to_write(core.survey(lines, kernel))
    if rest:
        details = [
            f"{p.key} is {p.found}, wanted {p.wanted} ({errors.get(p.key, 'the kernel did not take it')})" for p in rest
        ]
        module.fail_json(msg=f"the kernel refused: {'; '.join(details)}")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/sysctl.d/60-onprem-dify.conf"},
            "parameters": {"type": "dict", "required": True},
            "optional": {"type": "list", "elements": "str", "default": []},
            "modules": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    container = host.in_container()
    kernel = core.ProcSys()
    lines = core.settings(module.params["parameters"], module.params["optional"])

    loaded = load_modules(module, container)
    parameters = core.survey(lines, kernel)
    faults = core.Faults.of(parameters)
    refused = [p.key for p in parameters if p.found is None and not p.optional]
    predicted = module.check_mode and loaded
    if refused and not container and not predicted:
        module.fail_json(msg=f"this kernel has no {', '.join(refused)}")

    differing = core.to_write(parameters)
    file_diff = write_file(module, core.file_text(lines))
    if differing and not module.check_mode:
        apply(module, lines, kernel)

    later = core.read_after(module.params["path"], FOLDERS)
    overridden = core.overridden(lines, [(path, host.text_of(Path(path))) for path in later])
    for sentence in overridden:
        module.warn(sentence)
    result: dict[str, Any] = {
        "changed": bool(file_diff["before"] != file_diff["after"] or differing or loaded),
        "diff": [diff for diff in (file_diff, core.live_diff(differing)) if diff["before"] != diff["after"]],
        "applied": {parameter.key: parameter.found for parameter in differing},
        "modules": loaded,
        "read_only": faults.read_only,
        "missing": faults.missing,
        "overridden": overridden,
    }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
