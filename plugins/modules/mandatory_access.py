#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep SELinux or AppArmor in force."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mandatory_access
short_description: Keep SELinux or AppArmor in force
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - For SELinux sets mode and policy for the next boot and now, booleans and policy modules, and the arguments of the
    kernel where SELinux is off. Between permissive and enforcing no reboot is needed. Switching SELinux on takes one
    that labels all files in permissive mode, and another run after it.
  - For AppArmor sees to the unit that loads the profiles, and to the arguments of the kernel where it is off. Profiles
    are left alone.
  - Says in one warning why a reboot is needed, and does not reboot.
  - In a container nothing is done, because the kernel is that of the container's host.
options:
  system:
    description: The system that is to be in force.
    type: str
    choices: [selinux, apparmor]
    required: true
  mode:
    description: Mode of SELinux.
    type: str
    choices: [enforcing, permissive]
    default: enforcing
  policy:
    description: Policy of SELinux.
    type: str
    default: targeted
  booleans:
    description: SELinux booleans and their values, now and at boot.
    type: dict
    default: {}
  modules:
    description: SELinux policy modules by name, as text in CIL.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Can tell what would change without changing it.
    support: full
  diff_mode:
    description: Shows files, mode and commands.
    support: full
"""

EXAMPLES = r"""
- name: Keep SELinux enforcing
  onprem.dify.mandatory_access:
    system: selinux
    booleans:
      httpd_can_network_connect: true
  register: result
"""

RETURN = r"""
mode:
  description: Mode of SELinux in the running kernel, C(enforcing), C(permissive) or C(disabled).
  returned: always
  type: str
apparmor:
  description: Whether AppArmor is on in the running kernel and this host may change it.
  returned: always
  type: bool
reboot_required:
  description: Whether a reboot is needed.
  returned: always
  type: bool
reason:
  description: Why a reboot is needed, or why nothing was done.
  returned: always
  type: str
"""

import bz2
import subprocess
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import host
from ansible_collections.onprem.dify.plugins.module_utils import mandatory_access as core

SELINUXFS = Path("/sys/fs/selinux")
APPARMOR = Path("/sys/module/apparmor/parameters/enabled")
GRUB_GENERATED = Path("/boot/grub/grub.cfg")


def cil_of(path: Path) -> str:
    """Return the source of a policy module; the store may hold it compressed."""
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    return (bz2.decompress(content) if content.startswith(b"BZh") else content).decode()


def boot_loader(module: AnsibleModule) -> core.Boot:
    if module.get_bin_path("update-grub") and GRUB_GENERATED.exists():
        return core.Boot("grub", host.text_of(Path(core.GRUB_DROP_IN)), host.text_of(GRUB_GENERATED))
    grubby = module.get_bin_path("grubby")
    if grubby:
        _rc, out, _err = module.run_command([grubby, "--info=ALL"])
        return core.Boot("grubby", generated=out)
    return core.Boot()


def apparmor_service(module: AnsibleModule) -> str:
    """Return how the unit that loads AppArmor's profiles stands."""
    query = ["systemctl", "show", "--property=LoadState,UnitFileState,ActiveState", "apparmor.service"]
    _rc, out, _err = module.run_command(query)
    state = dict(line.partition("=")[::2] for line in out.splitlines())
    if state.get("LoadState") == "masked":
        return "masked"
    if state.get("LoadState") != "loaded":
        return ""
    if state.get("UnitFileState") != "enabled":
        return "disabled"
    on = host.text_of(APPARMOR).strip() == "Y"
    return "inactive" if on and state.get("ActiveState") != "active" else "enabled"


def look(module: AnsibleModule, wish: core.Wish) -> core.Found:
    store = Path("/var/lib/selinux") / wish.policy / "active"
    enforce = host.text_of(SELINUXFS / "enforce").strip()
    live = {
        name: host.text_of(SELINUXFS / "booleans" / name).startswith("1")
        for name in wish.booleans
        if (SELINUXFS / "booleans" / name).exists()
    }
    return core.Found(
        mode={"1": "enforcing", "0": "permissive"}.get(enforce, "disabled"),
        apparmor=host.text_of(APPARMOR).strip() == "Y",
        service=apparmor_service(module),
        config=host.text_of(Path(core.CONFIG)),
        policies=[path.parent.name for path in Path("/etc/selinux").glob("*/policy")],
        relabel=Path(core.AUTORELABEL).exists(),
        booleans=live,
        kept_booleans=core.parse_booleans(host.text_of(store / "booleans.local")),
        modules={name: cil_of(store / "modules" / "400" / name / "cil") for name in wish.modules},
        boot=boot_loader(module),
    )


def run(module: AnsibleModule, argv: list[str]) -> None:
    rc, out, err = module.run_command([module.get_bin_path(argv[0], required=True), *argv[1:]])
    if rc != 0:
        module.fail_json(msg=f"{' '.join(argv)}: {(err or out).strip()}")


def load_policy(module: AnsibleModule) -> None:
    """Load the policy with no way to speak: the program's domain may not write to the pipes that a module gives it."""
    program = module.get_bin_path("load_policy", required=True)
    null = subprocess.DEVNULL
    code = subprocess.run([program], stdin=null, stdout=null, stderr=null, check=False).returncode
    if code != 0:
        module.fail_json(msg=f"load_policy: the kernel refused the policy, exit code {code}")


def install_modules(module: AnsibleModule, names: tuple[str, ...], wish: core.Wish, found: core.Found) -> None:
    with tempfile.TemporaryDirectory(prefix="onprem-dify-") as folder:
        files = {name: Path(folder, f"{name}.cil") for name in names}
        for name, file in files.items():
            file.write_text(wish.modules[name])
        run(module, ["semodule", "--noreload", "--install", *map(str, files.values())])
    if found.mode != "disabled":
        load_policy(module)


def take(module: AnsibleModule, step: core.Step, wish: core.Wish, found: core.Found) -> None:
    if step.policy_modules:
        install_modules(module, step.policy_modules, wish, found)
    elif step.file:
        host.replace(module, Path(step.file), step.after)
    elif step.enforce:
        (SELINUXFS / "enforce").write_text(core.enforce_value(step.enforce))
    else:
        run(module, list(step.command))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "system": {"type": "str", "choices": ["selinux", "apparmor"], "required": True},
            "mode": {"type": "str", "choices": ["enforcing", "permissive"], "default": "enforcing"},
            "policy": {"type": "str", "default": "targeted"},
            "booleans": {"type": "dict", "default": {}},
            "modules": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    wish = core.Wish(**{name: module.params[name] for name in core.Wish._fields})
    found = look(module, wish)
    if host.in_container():
        reason = "a container has no kernel of its own, so neither SELinux nor AppArmor can be changed from inside"
        module.exit_json(changed=False, mode=found.mode, apparmor=False, reboot_required=False, reason=reason)
    try:
        plan = core.plan(wish, found)
    except core.ImpossibleError as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        # The packages of an earlier task may not be there yet. AppArmor's switches itself on.
        later = wish.system == "selinux"
        module.exit_json(
            changed=later, mode=found.mode, apparmor=found.apparmor, reboot_required=later, reason=str(error)
        )
    if not module.check_mode:
        for step in plan.steps:
            take(module, step, wish, found)
    if plan.reboot:
        module.warn(plan.reboot)
    mode = next((step.enforce for step in plan.steps if step.enforce), found.mode)
    module.exit_json(
        changed=bool(plan.steps),
        diff=core.diffs(plan.steps),
        mode=mode,
        apparmor=found.apparmor,
        reboot_required=bool(plan.reboot),
        reason=plan.reboot,
    )


if __name__ == "__main__":
    main()
