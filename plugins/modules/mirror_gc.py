#!/usr/bin/python

# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Room on the disk of a mirror."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mirror_gc
short_description: Take away what no release of the mirror needs
version_added: 0.3.0
description:
  - Keeps the release that is served and the one before it. Other releases and their blobs go, and what a load that
    was broken off left.
  - What is served is not touched, so that this may run while hosts install and pull.
author:
  - onprem.dify contributors (@onprem-dify)
options:
  directory:
    description: The folder of the mirror.
    type: path
    default: /srv/onprem-dify/mirror
attributes:
  check_mode:
    description: Says what would go.
    support: full
  diff_mode:
    description: Lists what goes.
    support: full
"""

EXAMPLES = r"""
- name: Make room on the mirror
  onprem.dify.mirror_gc:
"""

RETURN = r"""
releases:
  description: Releases that were taken away.
  returned: success
  type: list
  elements: str
blobs:
  description: How many blobs were taken away.
  returned: success
  type: int
size:
  description: Bytes that these blobs had.
  returned: success
  type: int
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import LockError
from ansible_collections.onprem.dify.plugins.module_utils.mirror_load import Garbage, collect, garbage
from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import DIRECTORY, Mirror, MirrorError, alone

SPEC = {"directory": {"type": "path", "default": DIRECTORY}}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    mirror = Mirror(Path(module.params["directory"]))
    try:
        found = bring(mirror, module.check_mode)
    except (MirrorError, LockError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or mirror.root}: {error.strerror}")
    module.exit_json(
        changed=bool(found),
        releases=[path.name for path in found.releases],
        blobs=len(found.blobs),
        size=found.size,
        diff={"before_header": str(mirror.root), "before": found.describe(mirror), "after": ""},
    )


def bring(mirror: Mirror, check_mode: bool) -> Garbage:
    if check_mode or not mirror.root.is_dir():
        return garbage(mirror)
    with alone(mirror.root):
        found = garbage(mirror)
        collect(mirror, found)
    return found


if __name__ == "__main__":
    main()
