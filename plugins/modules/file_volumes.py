#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of a fixed size, each a file with a file system in it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: file_volumes
short_description: Keep volumes of a fixed size, each in a file
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Makes a file for each volume, all of its space allocated, with an ext4 file system in it. Its size is the quota.
  - A larger size grows the volume, also while it is mounted. A smaller one is refused, and so is another directory.
  - An image that a killed run left unfinished has no file system yet and is made anew. One that has is never formatted.
options:
  volumes:
    description: The volumes.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the volume, for messages and as label of the file system.
        type: str
        required: true
      size:
        description: Size, such as C(50G).
        type: str
        required: true
      clients:
        description: Not used here, so that the list may be that of role P(onprem.dify.files#role).
        type: list
        elements: str
      owner:
        description: Not used here either.
        type: int
      group:
        description: Not used here either.
        type: int
  directory:
    description: Where the files stand, each with the name of its volume and C(.img).
    type: path
    required: true
  mounted_in:
    description: Where units of systemd mount the volumes. A volume that comes from another directory is refused.
    type: path
    required: true
attributes:
  check_mode:
    description: Predicts what would be made or grown.
    support: full
  diff_mode:
    description: Shows the sizes.
    support: full
"""

EXAMPLES = r"""
- name: Keep the volume of the plugins
  onprem.dify.file_volumes:
    directory: /var/lib/onprem-dify/files
    mounted_in: /srv/files
    volumes:
      - {name: plugins, size: 50G}
"""

RETURN = r"""
steps:
  description: What was done, by volume.
  returned: success
  type: dict
  sample: {plugins: [allocate, format]}
"""

import os
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import file_volumes as core

UNITS = Path("/etc/systemd/system")


def find(module: AnsibleModule, volume: core.Volume) -> core.Found:
    image = Path(volume.image)
    parent = image.parent
    while not parent.exists():
        parent = parent.parent
    free = shutil.disk_usage(parent).free
    if not image.exists():
        return core.Found(None, None, free)
    # Of a mounted volume, the device knows first what the image hears later.
    with Path([*devices(image), str(image)][0]).open("rb") as file:
        file.seek(core.SUPERBLOCK_AT)
        filesystem = core.read_superblock(file.read(core.SUPERBLOCK_SIZE))
    if filesystem is None:
        probe = ["blkid", "--probe", "--match-tag", "TYPE", "--output", "value", str(image)]
        other = module.run_command(probe)[1].strip()
        if other:
            raise core.VolumeError(f"volume {volume.name}: found {other} in {image}, wanted a volume or no file")
    return core.Found(image.stat().st_size, filesystem, free)


def devices(image: Path) -> list:
    """The loop devices that stand for the image."""
    files = sorted(Path("/sys/block").glob("loop*/loop/backing_file"))
    return [f"/dev/{file.parent.parent.name}" for file in files if file.read_text().strip() == str(image.resolve())]


def follow(module: AnsibleModule, volume: core.Volume, steps: list) -> None:
    image = Path(volume.image)
    for step in steps:
        if step == "allocate":
            allocate(image, volume.size)
        elif step == "format":
            # What is discarded would be free for others again.
            must(module, ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard", "-L", volume.name[:16], str(image)])
        else:
            loops = devices(image)
            for loop in loops:
                must(module, ["losetup", "--set-capacity", loop])
            if not loops:
                # 1: there was something to repair, and it is.
                must(module, ["e2fsck", "-f", "-p", str(image)], good=(0, 1))
            must(module, ["resize2fs", [*loops, str(image)][0]])


def allocate(image: Path, size: int) -> None:
    descriptor = os.open(image, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.ftruncate(descriptor, size)
        os.posix_fallocate(descriptor, 0, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def must(module: AnsibleModule, command: list, good: tuple = (0,)) -> None:
    code, out, err = module.run_command(command)
    if code not in good:
        module.fail_json(msg=f"{' '.join(command)}: {err.strip() or out.strip() or f'exit code {code}'}")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "volumes": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "size": {"type": "str", "required": True},
                    "clients": {"type": "list", "elements": "str"},
                    "owner": {"type": "int"},
                    "group": {"type": "int"},
                },
            },
            "directory": {"type": "path", "required": True},
            "mounted_in": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    todo, diffs = {}, []
    try:
        core.check_names(module.params["volumes"])
        for entry in module.params["volumes"]:
            size = core.parse_size(entry["size"], f"volume {entry['name']}")
            volume = core.Volume(entry["name"], f"{module.params['directory']}/{entry['name']}.img", size)
            unit = UNITS / core.mount_unit(f"{module.params['mounted_in']}/{volume.name}")
            core.refuse_move(volume, unit.read_text(encoding="utf-8") if unit.exists() else "")
            found = find(module, volume)
            steps = core.plan(volume, found)
            if steps:
                todo[volume] = steps
                diffs.append(core.diff(volume, found))
        if todo and not module.check_mode:
            Path(module.params["directory"]).mkdir(mode=0o700, parents=True, exist_ok=True)
            for volume, steps in todo.items():
                follow(module, volume, steps)
    except core.VolumeError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a volume'}: {error.strerror}")
    module.exit_json(changed=bool(todo), diff=diffs, steps={volume.name: steps for volume, steps in todo.items()})


if __name__ == "__main__":
    main()
