#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse a change that would endanger objects which are stored already."""

from __future__ import annotations

DOCUMENTATION = r"""
module: seaweedfs_guard
short_description: Refuse what would endanger stored objects
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Compares what an earlier run left on the host with what this run wants.
  - Refuses another data directory, fewer copies and another place of the metadata while the host holds objects.
  - Changes nothing.
options:
  host:
    description: Name of the host, for the message.
    type: str
    required: true
  data:
    description: Data directory that is wanted.
    type: path
    required: true
  replication:
    description: Replication that is wanted.
    type: str
    required: true
  metadata:
    description: Place of the metadata that is wanted.
    type: str
    choices: [postgresql, local]
    required: true
  less_safety:
    description: Whether fewer copies are meant.
    type: bool
    default: false
attributes:
  check_mode:
    description: Changes nothing and runs in check mode too.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Refuse what would endanger stored objects
  onprem.dify.seaweedfs_guard:
    host: "{{ inventory_hostname }}"
    data: /var/lib/seaweedfs
    replication: "010"
    metadata: postgresql
"""

RETURN = r"""
has_data:
  description: Whether the host holds objects.
  returned: always
  type: bool
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import seaweedfs

UNITS = "/etc/systemd/system/seaweedfs-{}.service"


def text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "data": {"type": "path", "required": True},
            "replication": {"type": "str", "required": True},
            "metadata": {"type": "str", "required": True, "choices": ["postgresql", "local"]},
            "less_safety": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    wish = module.params
    found = seaweedfs.Found(
        units={process: text(UNITS.format(process)) for process in ("volume", "filer")},
        filer=text(f"{seaweedfs.CONFIGURATION}/filer.toml"),
    )
    directories = {f"{wish['data']}/volume", seaweedfs.options_of(found.units["volume"]).get("dir", "")}
    has_data = any(directory and any(Path(directory).glob("*.dat")) for directory in directories)
    problems = seaweedfs.refusals(
        found, wish["host"], wish["data"], wish["replication"], wish["metadata"], wish["less_safety"], has_data
    )
    if problems:
        module.fail_json(msg="\n".join(problems), has_data=has_data)
    module.exit_json(changed=False, has_data=has_data)


if __name__ == "__main__":
    main()
