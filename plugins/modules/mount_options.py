#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give mounts their options, at boot and now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mount_options
short_description: Give mounts their options, at boot and now
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Puts the options of all mounts of the list into force and makes them last.
  - A line of C(/etc/fstab) keeps its own options and gets the missing ones; a line that is not there is added. Where
    the administrator has a mount unit of their own, which hides C(/etc/fstab), that unit gets a drop-in.
  - A directory that is no mount is bound on itself until the next boot, so that open files stay where they are.
  - What counts is what the kernel shows in C(/proc/self/mountinfo), not what was done before.
options:
  mounts:
    description: The mounts.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Mount point.
        type: path
        required: true
      options:
        description: Options that must be in force.
        type: list
        elements: str
        required: true
      src:
        description: Source of a line that has to be added; the path itself for a directory that is bound on itself.
        type: str
        default: none
      fstype:
        description: File system of a line that has to be added.
        type: str
        default: none
      extra:
        description: Further options of a line that has to be added, such as C(bind) or C(size=50%).
        type: list
        elements: str
        default: []
      group:
        description: Group that is added to the options as C(gid); made as a system group where there is none.
        type: str
      members:
        description: Users that join the group where they exist, each with the unit that is restarted to notice it.
        type: dict
        default: {}
attributes:
  check_mode:
    description: Can tell what would change without changing it.
    support: full
  diff_mode:
    description: Shows the files and the mounts, before and after.
    support: full
"""

EXAMPLES = r"""
- name: Mount temporary directories without programs and devices
  onprem.dify.mount_options:
    mounts:
      - path: /tmp
        options: [nodev, nosuid, noexec]
        src: tmpfs
        fstype: tmpfs
        extra: [mode=1777, size=50%]
      - path: /var/tmp
        options: [nodev, nosuid, noexec]
        src: /var/tmp
        extra: [bind]

- name: Hide the processes of others
  onprem.dify.mount_options:
    mounts:
      - path: /proc
        options: [nodev, nosuid, noexec, hidepid=invisible]
        src: proc
        fstype: proc
        group: proc
        members:
          polkitd: polkit.service
"""

RETURN = r"""
files:
  description: Files that were changed.
  returned: always
  type: list
  elements: str
remounted:
  description: Paths that were mounted or remounted.
  returned: always
  type: list
  elements: str
joined:
  description: Users that joined a group.
  returned: always
  type: list
  elements: str
"""

import grp
import pwd
from pathlib import Path
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import host
from ansible_collections.onprem.dify.plugins.module_utils import mount_options as core

SUBOPTIONS = {
    "path": {"type": "path", "required": True},
    "options": {"type": "list", "elements": "str", "required": True},
    "src": {"type": "str", "default": "none"},
    "fstype": {"type": "str", "default": "none"},
    "extra": {"type": "list", "elements": "str", "default": []},
    "group": {"type": "str"},
    "members": {"type": "dict", "default": {}},
}


def run(module: AnsibleModule, argv: list[str]) -> None:
    rc, out, err = module.run_command([module.get_bin_path(argv[0], required=True), *argv[1:]])
    if rc != 0:
        module.fail_json(msg=f"{' '.join(argv)}: {(err or out).strip()}")


def group_of(name: str) -> Optional[grp.struct_group]:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def outsiders(group: str, members: dict[str, str]) -> list[str]:
    """Return the users that exist on this host and are not yet in the group."""
    found = group_of(group)
    inside = found.gr_mem if found else []
    return [user for user in members if user not in inside and any(entry.pw_name == user for entry in pwd.getpwall())]


def ensure_groups(module: AnsibleModule) -> list[str]:
    """Make the groups, let users join, and return what was done."""
    done = []
    for mount in module.params["mounts"]:
        group = mount["group"]
        if not group:
            continue
        if group_of(group) is None:
            done.append(f"group {group}")
            if not module.check_mode:
                run(module, ["groupadd", "--system", group])
        for user in outsiders(group, mount["members"]):
            done.append(user)
            if not module.check_mode:
                run(module, ["usermod", "--append", "--groups", group, user])
                run(module, ["systemctl", "try-restart", mount["members"][user]])
    return done


def wish_of(mount: dict[str, Any]) -> core.Wish:
    options = list(mount["options"])
    if mount["group"]:
        group = group_of(mount["group"])
        # In check mode a group that has yet to be made has no number.
        options.append(f"gid={group.gr_gid if group else mount['group']}")
    return core.Wish(mount["path"], options, mount["src"], mount["fstype"], mount["extra"])


def write_files(module: AnsibleModule, files: dict[str, str]) -> list[dict[str, str]]:
    """Write the files that differ and return their diffs."""
    diffs = []
    for path, text in files.items():
        before = host.text_of(Path(path))
        if before == text:
            continue
        diffs.append(host.file_diff(Path(path), before, text))
        if not module.check_mode:
            host.replace(module, Path(path), text)
    if diffs and not module.check_mode and Path("/run/systemd/system").is_dir():
        run(module, ["systemctl", "daemon-reload"])
    return diffs


def mounts_now() -> dict[str, core.Mount]:
    mounts = core.parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    return core.inside(mounts, Path("/proc/self/gid_map").read_text())


def main() -> None:
    module = AnsibleModule(
        argument_spec={"mounts": {"type": "list", "elements": "dict", "required": True, "options": SUBOPTIONS}},
        supports_check_mode=True,
    )
    joined = ensure_groups(module)
    wishes = [wish_of(mount) for mount in module.params["mounts"]]
    try:
        files = core.persistent(wishes)
    except core.MaskedError as error:
        module.fail_json(msg=f"{error} is masked on this host: unmask it, or leave its mount out of the list")
    diffs = write_files(module, files)

    before = mounts_now()
    open_wishes = [wish for wish in wishes if core.lacking(wish.options, before.get(wish.path))]
    if not module.check_mode:
        for wish in open_wishes:
            for command in core.commands(wish, before.get(wish.path)):
                run(module, command)
    now = core.after(before, open_wishes) if module.check_mode else mounts_now()
    for wish in open_wishes:
        missing = core.lacking(wish.options, now.get(wish.path))
        if missing:
            module.fail_json(msg=f"{wish.path} did not take {', '.join(missing)}")

    if open_wishes:
        texts = {"before": core.live_text(before, open_wishes), "after": core.live_text(now, open_wishes)}
        diffs.append({"before_header": "mounts", "after_header": "mounts", **texts})
    module.exit_json(
        changed=bool(joined or diffs),
        diff=diffs,
        files=[diff["after_header"] for diff in diffs if diff["after_header"] != "mounts"],
        remounted=[wish.path for wish in open_wishes],
        joined=joined,
    )


if __name__ == "__main__":
    main()
