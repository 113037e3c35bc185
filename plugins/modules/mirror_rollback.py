#!/usr/bin/python

# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release before is served again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mirror_rollback
short_description: Let the mirror serve the release before
version_added: 0.3.0
description:
  - Switches the mirror to the release that it served before the present one, in one step. Nothing is copied.
  - The images of the release that is left stay reachable by digest, for the cluster that still runs them.
  - Goes back once. A second run with the same O(from) changes nothing.
author:
  - onprem.dify contributors (@onprem-dify)
options:
  directory:
    description: The folder of the mirror.
    type: path
    default: /srv/onprem-dify/mirror
  from:
    description:
      - The release to leave, by its name on the mirror or by the name of its release alone.
      - Without it, the one that is served.
    type: str
attributes:
  check_mode:
    description: Says where it would go back to.
    support: full
  diff_mode:
    description: Returns the release before and after.
    support: full
"""

EXAMPLES = r"""
- name: Go back to the release before 2026.11.25
  onprem.dify.mirror_rollback:
    from: 2026.11.25
"""

RETURN = r"""
release:
  description: The release that is served now.
  returned: success
  type: str
previous:
  description: The release that was left.
  returned: success
  type: str
"""

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import LockError
from ansible_collections.onprem.dify.plugins.module_utils.mirror_load import roll_back
from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import (
    CURRENT,
    DIRECTORY,
    PREVIOUS,
    Mirror,
    MirrorError,
    Release,
    alone,
)

SPEC = {"directory": {"type": "path", "default": DIRECTORY}, "from": {"type": "str"}}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    os.umask(0o022)
    mirror = Mirror(Path(module.params["directory"]))
    try:
        result = bring(mirror, module.params["from"], module.check_mode)
    except (MirrorError, LockError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or mirror.root}: {error.strerror}")
    module.exit_json(**result)


def bring(mirror: Mirror, leave: str | None, check_mode: bool) -> dict[str, Any]:
    current, previous = mirror.link(CURRENT), mirror.link(PREVIOUS)
    if current is None or previous is None or current.name == previous.name:
        raise MirrorError("there is no release before this one on the mirror")
    if leave and _is(previous, leave) and not _is(current, leave):
        return {"changed": False, "release": current.name, "previous": previous.name}
    if leave and not _is(current, leave):
        raise MirrorError(f"the mirror serves {current.name}, and not {leave}, from which it was to go back")
    if not check_mode:
        with alone(mirror.root):
            roll_back(mirror)
    diff = {"before": f"{current.name}\n", "after": f"{previous.name}\n"}
    header = {"before_header": CURRENT, "after_header": CURRENT}
    return {"changed": True, "release": previous.name, "previous": current.name, "diff": {**header, **diff}}


def _is(release: Release, name: str) -> bool:
    return name in (release.name, release.lock.release)


if __name__ == "__main__":
    main()
