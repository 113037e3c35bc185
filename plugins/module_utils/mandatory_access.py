# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SELinux and AppArmor: what a host is wished to have, what it has, and the steps between."""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

CONFIG = "/etc/selinux/config"
AUTORELABEL = "/.autorelabel"
# Read after /etc/default/grub on Debian and Ubuntu; of two contrary arguments the kernel takes the last.
GRUB_DROP_IN = "/etc/default/grub.d/60-onprem-dify-mac.cfg"
ARGUMENTS = {"selinux": "security=selinux selinux=1", "apparmor": "security=apparmor apparmor=1"}
# What switches SELinux off where it is on by default.
CONTRARY = ("selinux=0", "enforcing=0")

_UNIT = "apparmor.service"
_START = ("systemctl", "enable", "--now", _UNIT)
SERVICE_STEPS: Dict[str, List[Tuple[str, ...]]] = {
    "masked": [("systemctl", "unmask", _UNIT), _START],
    "disabled": [_START],
    "inactive": [_START],
}


class Wish(NamedTuple):
    """Which system is to be in force; mode, policy and the rest are SELinux's."""

    system: str
    mode: str = "enforcing"
    policy: str = "targeted"
    booleans: Mapping[str, bool] = {}
    modules: Mapping[str, str] = {}


class Boot(NamedTuple):
    """The boot loader: GRUB of Debian with its generated file, or what grubby shows; empty where it is neither."""

    kind: str = ""
    drop_in: str = ""
    generated: str = ""


class Found(NamedTuple):
    """A host as it is. mode is enforcing, permissive or disabled, and speaks of the running kernel.

    service is the unit that loads AppArmor's profiles: enabled, disabled, masked, inactive (enabled, not run) or empty.
    """

    mode: str = "disabled"
    apparmor: bool = False
    service: str = "enabled"
    config: str = ""
    policies: Sequence[str] = ()
    relabel: bool = False
    booleans: Mapping[str, bool] = {}
    kept_booleans: Mapping[str, bool] = {}
    modules: Mapping[str, str] = {}
    boot: Boot = Boot()


class Step(NamedTuple):
    """One change: a file with its texts, a command, or the mode of the running kernel."""

    file: str = ""
    before: str = ""
    after: str = ""
    command: Tuple[str, ...] = ()
    enforce: str = ""
    policy_modules: Tuple[str, ...] = ()


class Plan(NamedTuple):
    steps: List[Step]
    reboot: str = ""


class ImpossibleError(Exception):
    """What is wished cannot be had on this host."""


def config_with(text: str, mode: str, policy: str) -> str:
    """Return the text of /etc/selinux/config with this mode and policy."""
    for name, value in (("SELINUX", mode), ("SELINUXTYPE", policy)):
        pattern = re.compile(rf"^\s*{name}\s*=.*$", re.MULTILINE)
        line = f"{name}={value}"
        if pattern.search(text):
            text = pattern.sub(line, text)
        else:
            text = f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n"
    return text


def parse_booleans(text: str) -> Dict[str, bool]:
    """Return what the policy store's file of local booleans holds."""
    found = re.findall(r"^\s*(\w+)\s*=\s*(\w+)", text, re.MULTILINE)
    return {name: value in ("1", "on", "true") for name, value in found}


def plan(wish: Wish, found: Found) -> Plan:
    """Return the steps to what is wished, and why a reboot is needed, if one is."""
    return _plan_selinux(wish, found) if wish.system == "selinux" else _plan_apparmor(found)


def _plan_apparmor(found: Found) -> Plan:
    if not found.service:
        raise ImpossibleError("AppArmor is not installed")
    steps = [Step(command=command) for command in SERVICE_STEPS.get(found.service, ())]
    if found.apparmor:
        return Plan(steps + (_boot_steps("apparmor", found.boot) if found.boot.drop_in else []))
    reason = "AppArmor is off in the running kernel"
    if found.boot.kind != "grub":
        return Plan(steps, f"{reason}. Without GRUB, add {ARGUMENTS['apparmor']} to the arguments by hand")
    return Plan(steps + _boot_steps("apparmor", found.boot), f"{reason}, the next boot switches it on")


def _plan_selinux(wish: Wish, found: Found) -> Plan:
    if wish.policy not in found.policies:
        raise ImpossibleError(
            f"the SELinux policy {wish.policy} is not installed, found {', '.join(sorted(found.policies)) or 'none'}"
        )
    steps: List[Step] = []
    changed = tuple(
        sorted(name for name, text in wish.modules.items() if found.modules.get(name, "").strip() != text.strip())
    )
    if changed:
        steps.append(Step(policy_modules=changed))
    switched_off = found.mode == "disabled"
    # Without labels an enforcing host does not come up, so the boot that labels is permissive.
    mode = "permissive" if switched_off else wish.mode
    config = config_with(found.config, mode, wish.policy)
    other_policy = _policy(found) not in ("", wish.policy)
    if config != found.config:
        steps.append(Step(file=CONFIG, before=found.config, after=config))
    relabel = switched_off or other_policy
    if relabel and not found.relabel:
        steps.append(Step(file=AUTORELABEL))
    reboot = ""
    if switched_off:
        boot, reboot = _selinux_boot(found.boot)
        steps += boot
    elif relabel:
        reboot = f"the SELinux policy changes to {wish.policy}, the next boot labels all files for it"
    elif found.relabel:
        reboot = "all files are to be labelled at the next boot"
    steps += _boolean_steps(wish, found)
    if not switched_off and found.mode != wish.mode:
        steps.append(Step(enforce=wish.mode, before=found.mode, after=wish.mode))
    return Plan(steps, reboot)


def _policy(found: Found) -> str:
    match = re.search(r"^\s*SELINUXTYPE\s*=\s*(\S+)", found.config, re.MULTILINE)
    return match.group(1) if match else ""


def _selinux_boot(boot: Boot) -> Tuple[List[Step], str]:
    reason = (
        "SELinux is off in the running kernel. The next boot labels all files, the run after it makes SELinux enforcing"
    )
    if boot.kind == "grub":
        return _boot_steps("selinux", boot), reason
    if boot.kind == "grubby":
        arguments = [argument for argument in CONTRARY if argument in re.split(r"[\s\"']+", boot.generated)]
        if arguments:
            return [Step(command=("grubby", "--update-kernel=ALL", f"--remove-args={' '.join(arguments)}"))], reason
        return [], reason
    return [], f"{reason}. Without GRUB, add {ARGUMENTS['selinux']} to the kernel's arguments by hand"


def _boot_steps(system: str, boot: Boot) -> List[Step]:
    arguments = ARGUMENTS[system]
    text = f'# Ansible managed\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {arguments}"\n'
    steps = [Step(file=GRUB_DROP_IN, before=boot.drop_in, after=text)] if boot.drop_in != text else []
    if steps or arguments not in boot.generated:
        steps.append(Step(command=("update-grub",)))
    return steps


def _boolean_steps(wish: Wish, found: Found) -> List[Step]:
    if found.mode == "disabled" or not wish.booleans:
        return []
    unknown = sorted(set(wish.booleans) - set(found.booleans))
    if unknown:
        raise ImpossibleError(f"the SELinux policy has no boolean {', '.join(unknown)}")
    differing = [
        name
        for name, value in sorted(wish.booleans.items())
        if found.booleans[name] != value or found.kept_booleans.get(name) != value
    ]
    words = tuple(f"{name}={int(wish.booleans[name])}" for name in differing)
    # Kept and set apart: what reloads the policy may not write to the pipes that a module gives its commands.
    return [Step(command=("setsebool", "-N", "-P", *words)), Step(command=("setsebool", *words))] if words else []


def diffs(steps: Sequence[Step]) -> List[Dict[str, str]]:
    """Return before and after of all steps."""
    shown = []
    for step in steps:
        if step.file == AUTORELABEL:
            shown.append(_diff(AUTORELABEL, "absent\n", "present\n"))
        elif step.file:
            shown.append(_diff(step.file, step.before, step.after))
        elif step.enforce:
            shown.append(_diff("SELinux now", f"{step.before}\n", f"{step.after}\n"))
        elif step.policy_modules:
            shown.append(_diff("SELinux policy modules", "", "".join(f"{name}\n" for name in step.policy_modules)))
        else:
            shown.append(_diff("command", "", f"{' '.join(step.command)}\n"))
    return shown


def _diff(header: str, before: str, after: str) -> Dict[str, str]:
    return {"before_header": header, "after_header": header, "before": before, "after": after}


def enforce_value(mode: Optional[str]) -> str:
    """Return what the kernel reads for a mode."""
    return "1" if mode == "enforcing" else "0"
