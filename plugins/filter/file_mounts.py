# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units that mount the volumes of the file server."""

from __future__ import annotations

DOCUMENTATION = r"""
name: file_mounts
short_description: Write the units that mount volumes
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - One unit for each volume, in the forms that M(onprem.dify.configure) takes.
  - Once they are mounted, the volumes are directories with owners of their own.
positional: directory, images
options:
  _input:
    description: The volumes, each with C(name), and C(owner) and C(group) if they are not those of Dify.
    type: list
    elements: dict
    required: true
  directory:
    description: Directory in which the volumes are mounted.
    type: str
    required: true
  images:
    description: Directory of the files that hold them.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Mount the volumes
  onprem.dify.configure:
    directories:
      - path: /srv/files
    files: "{{ mounts.files }}"
    units: "{{ mounts.units }}"
  vars:
    mounts: "{{ files_volumes | onprem.dify.file_mounts('/srv/files', '/var/lib/onprem-dify/files') }}"
"""

RETURN = r"""
_value:
  description: C(files) and C(units), and the C(volumes) as directories.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.onprem.dify.plugins.module_utils import file_volumes as core


def file_mounts(volumes: Sequence[Mapping[str, Any]], directory: str, images: str) -> dict[str, list[dict[str, Any]]]:
    try:
        mounts = core.mounts(volumes, directory, images)
    except core.VolumeError as error:
        raise AnsibleFilterError(str(error)) from error
    return {
        "files": [{"path": f"/etc/systemd/system/{mount['name']}", "content": mount["text"]} for mount in mounts],
        "units": [{"name": mount["name"], "enabled": True, "state": "started"} for mount in mounts],
        # Several users share a volume by its group, which new files inherit.
        "volumes": [{key: mount[key] for key in ("path", "owner", "group")} | {"mode": "2770"} for mount in mounts],
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"file_mounts": file_mounts}
