#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See which snapshots of etcd a control plane has, and whether it needs one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_snapshots
short_description: See which snapshots of etcd a control plane has, and whether it needs one
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Lists the snapshots that the timer of this control plane has stored, and says how far its etcd is.
  - Changes nothing.
options:
  directory:
    description: Where the snapshots are.
    type: path
    required: true
  programs:
    description: Where C(etcdctl) and C(etcdutl) are.
    type: path
    required: true
  path:
    description: A snapshot that lies elsewhere on this host, which is listed as well.
    type: path
attributes:
  check_mode:
    description: Changes nothing, so runs in check mode too.
    support: full
"""

EXAMPLES = r"""
- name: See which snapshots there are
  onprem.dify.etcd_snapshots:
    directory: /var/lib/onprem-dify/etcd-snapshots
    programs: /opt/onprem-dify/etcd
  register: seen
"""

RETURN = r"""
snapshots:
  description: C(path), C(taken) in seconds since the epoch, C(revision) and C(size) of each.
  returned: success
  type: list
  elements: dict
revision:
  description: At which revision etcd is. C(0) if it does not answer on this host, or has no quorum.
  returned: success
  type: int
begun:
  description: Whether a restore began on this host and has not ended.
  returned: success
  type: bool
"""

from pathlib import Path
from typing import Any, List, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import etcd_restore as restore
from ansible_collections.onprem.dify.plugins.module_utils import etcd_snapshots as snapshots

SPEC = {
    "directory": {"type": "path", "required": True},
    "programs": {"type": "path", "required": True},
    "path": {"type": "path"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    run = restore.runner(module, Path(module.params["programs"]))
    try:
        found = snapshots.stored(Path(module.params["directory"])) + elsewhere(module.params["path"], run)
    except (snapshots.SnapshotError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        snapshots=[one._asdict() for one in found],
        revision=restore.revision(run),
        begun=restore.RECORD.exists(),
    )


def elsewhere(path: Optional[str], run: Any) -> List[snapshots.Snapshot]:
    file = Path(path) if path else None
    if file is None or not file.is_file():
        return []
    return [snapshots.Snapshot(str(file), int(file.stat().st_mtime), snapshots.check(file, run), file.stat().st_size)]


if __name__ == "__main__":
    main()
