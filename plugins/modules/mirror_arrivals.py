#!/usr/bin/python

# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's half of the action `bundle_carry`."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mirror_arrivals
short_description: Take in what is carried to a mirror
version_added: 0.3.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - The host's half of M(onprem.dify.bundle_carry), which decides what is sent. Use that one.
options:
  directory:
    description: The folder of the mirror.
    type: path
    required: true
  lock:
    description: The text of the lock that is about to be carried. Returns what the mirror has, and changes nothing.
    type: str
  archive:
    description: A file on the host with pieces of blobs, which is taken in and removed.
    type: path
  digest:
    description: Digest of the lock to which O(archive) belongs.
    type: str
attributes:
  check_mode:
    description: Changes nothing then.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
"""

EXAMPLES = r"""
- name: Ask what a mirror lacks
  onprem.dify.mirror_arrivals:
    directory: /srv/onprem-dify/mirror
    lock: "{{ lookup('ansible.builtin.file', '/media/bundle/lock.json') }}"
"""

RETURN = r"""
current:
  description: C(release) and C(digest) of the lock that is served, both empty if there is none.
  returned: with O(lock)
  type: dict
carried:
  description: Digest of the lock that is on its way here.
  returned: with O(lock)
  type: str
missing:
  description: Blobs that are not here, with the bytes that have arrived of each.
  returned: with O(lock)
  type: dict
free:
  description: Free bytes on the disk of the mirror.
  returned: with O(lock)
  type: int
received:
  description: Bytes that were new.
  returned: with O(archive)
  type: int
"""

import os
import tarfile
from pathlib import Path
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import Lock, LockError
from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import CURRENT, Mirror, MirrorError, patiently
from ansible_collections.onprem.dify.plugins.module_utils.quiet_module import QuietModule

SPEC = {
    "directory": {"type": "path", "required": True},
    "lock": {"type": "str"},
    "archive": {"type": "path"},
    "digest": {"type": "str"},
}


def main() -> None:
    module = QuietModule(
        argument_spec=SPEC,
        required_one_of=[("lock", "archive")],
        required_together=[("archive", "digest")],
        supports_check_mode=True,
    )
    os.umask(0o022)
    mirror = Mirror(Path(module.params["directory"]))
    try:
        if module.params["lock"]:
            module.exit_json(changed=False, **inspect(mirror, Lock.parse(module.params["lock"])))
        if module.check_mode:
            module.exit_json(changed=True, received=0)
        received = take_in(mirror, Path(module.params["archive"]), module.params["digest"])
    except (MirrorError, LockError) as error:
        module.fail_json(msg=str(error))
    except tarfile.TarError as error:
        module.fail_json(msg=f"what arrived is damaged ({error}): run it again")
    except OSError as error:
        module.fail_json(msg=f"{error.filename or mirror.root}: {error.strerror}; what has arrived is kept")
    module.exit_json(changed=True, received=received)


def inspect(mirror: Mirror, lock: Lock) -> dict[str, Any]:
    current, carried = mirror.link(CURRENT), mirror.carried()
    return {
        "current": {
            "release": current.lock.release if current else "",
            "digest": current.lock.digest if current else "",
        },
        "carried": carried.digest if carried else "",
        "missing": mirror.missing(lock),
        "free": mirror.free(),
    }


def take_in(mirror: Mirror, archive: Path, digest: str) -> int:
    try:
        with patiently(mirror.root):
            return mirror.receive(archive, digest)
    finally:
        archive.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
