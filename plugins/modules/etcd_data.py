#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See whether a host holds data of etcd, and refuse to leave them behind."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_data
short_description: See whether this host holds data of etcd, and refuse to leave them behind
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Looks for data of etcd in their directory. Changes nothing.
  - Fails where an earlier run has put them elsewhere. Members that begin again without what they know would found a
    new cluster.
options:
  directory:
    description: Wished directory of the data.
    type: path
    required: true
  configuration:
    description: Environment of etcd, as an earlier run left it.
    type: path
    required: true
attributes:
  check_mode:
    description: Can run in check mode and predict what would change.
    support: full
  diff_mode:
    description: Returns the difference.
    support: none
"""

EXAMPLES = r"""
- name: See which members hold data
  onprem.dify.etcd_data:
    directory: /var/lib/etcd
    configuration: /etc/etcd/etcd.env
"""

RETURN = r"""
holds:
  description: Whether this host holds data.
  returned: success
  type: bool
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import etcd

SPEC = {
    "directory": {"type": "path", "required": True},
    "configuration": {"type": "path", "required": True},
}


def look(directory: Path, configuration: Path) -> bool:
    """Whether the host holds data."""
    text = configuration.read_text(encoding="utf-8") if configuration.is_file() else ""
    before = etcd.directory_of(text)
    if before and Path(before) != directory and _holds(Path(before)):
        raise etcd.EtcdError(
            f"the data of etcd stand in {before}, etcd_data_directory is {directory}. A run moves no data. Set the"
            " variable back, or stop etcd and move the directory yourself, on one host after the other."
        )
    return _holds(directory)


def _holds(directory: Path) -> bool:
    return (directory / "member" / "wal").is_dir()


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        holds = look(Path(module.params["directory"]), Path(module.params["configuration"]))
    except etcd.EtcdError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, holds=holds)


if __name__ == "__main__":
    main()
