#!/usr/bin/python

# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle becomes the release that a mirror serves."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mirror_load
short_description: Load a bundle into the mirror, whole or not at all
version_added: 0.3.0
description:
  - Loads what M(onprem.dify.bundle_carry) has brought, or the bundle in a folder on the host, such as a disk that is
    plugged in.
  - The lock must be signed by one of O(signers) and must not be older than the release that is served.
    A bundle in a folder is hashed before anything of it is taken, what was carried was hashed as it arrived.
  - A release is laid out as hard links to the blobs, packages, files, wheels and images alike, so that each blob stands
    on the disk once.
  - When all of it is there, the link C(current) is replaced, and with it packages, files and images change in one step.
    Whatever ends a load half way, the release of before is served until then, and the next load goes on.
  - The images of the release before stay reachable by digest, for the cluster that still runs them.
  - A second load of the same bundle copies nothing and links nothing.
author:
  - onprem.dify contributors (@onprem-dify)
options:
  directory:
    description: The folder of the mirror.
    type: path
    default: /srv/onprem-dify/mirror
  bundle:
    description: The folder of a bundle on the host. Without it, what was carried here is loaded, if anything was.
    type: path
  release:
    description:
      - The release that M(onprem.dify.bundle_carry) has named.
      - In check mode nothing was carried, and this is what would be loaded.
    type: str
    default: ""
  signers:
    description: Whom the site trusts to sign bundles, in lines such as C(release@bank.internal ssh-ed25519 AAAA...).
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: Verifies, and says what would be loaded.
    support: full
  diff_mode:
    description: Returns the release before and after.
    support: full
"""

EXAMPLES = r"""
- name: Load the bundle from the disk that was brought
  onprem.dify.mirror_load:
    bundle: /media/bundle
    signers: ["release@bank.internal ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI..."]
"""

RETURN = r"""
release:
  description: The release that is served, empty if there is none.
  returned: success
  type: str
  sample: 2026.11.25-0123456789ab
previous:
  description: The release to which M(onprem.dify.mirror_rollback) would go back.
  returned: success
  type: str
taken:
  description: Bytes that were copied from O(bundle).
  returned: success
  type: int
linked:
  description: Files and images of which a new release was made. Nothing if the release was there.
  returned: success
  type: int
key:
  description: The public key of the packages, as the release has it.
  returned: success
  type: str
makers:
  description: The public keys of the makers of packages, by system, where dnf installs them.
  returned: success
  type: dict
"""

import contextlib
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import Lock, LockError
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import SignatureError, parse_signers
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import StoreError
from ansible_collections.onprem.dify.plugins.module_utils.mirror_load import (
    Loaded,
    check,
    key_of,
    load,
    makers_of,
    source_of,
)
from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import (
    CURRENT,
    DIRECTORY,
    PREVIOUS,
    Mirror,
    MirrorError,
    alone,
    name_of,
)

SPEC = {
    "directory": {"type": "path", "default": DIRECTORY},
    "bundle": {"type": "path"},
    "release": {"type": "str", "default": ""},
    "signers": {"type": "list", "elements": "str", "required": True},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    os.umask(0o022)
    mirror = Mirror(Path(module.params["directory"]))
    bundle = Path(module.params["bundle"]) if module.params["bundle"] else None
    try:
        result = bring(mirror, bundle, module.params["signers"], module.check_mode)
        if module.check_mode:
            result = foreseen(result, module.params["release"])
    except (MirrorError, SignatureError, LockError, StoreError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or mirror.root}: {error.strerror}; the release of before is served")
    module.exit_json(**result)


def bring(mirror: Mirror, bundle: Path | None, signers: list[str], check_mode: bool) -> dict[str, Any]:
    with contextlib.nullcontext() if check_mode else alone(mirror.root):
        source = source_of(mirror, bundle)
        current = mirror.link(CURRENT)
        before = current.name if current else ""
        lock = check(mirror, source, parse_signers(signers), whole=bundle is not None) if source else None
        done = load(mirror, source, lock) if source and lock and not check_mode else Loaded()
    return _result(mirror, done, before, lock)


def foreseen(result: dict[str, Any], release: str) -> dict[str, Any]:
    """The result of a dry run, in which the carried release is not there yet."""
    if release in ("", result["release"]):
        return result
    return {**result, "changed": True, "release": release, "diff": {**result["diff"], "after": f"{release}\n"}}


def _result(mirror: Mirror, done: Loaded, before: str, lock: Lock | None) -> dict[str, Any]:
    current, previous = mirror.link(CURRENT), mirror.link(PREVIOUS)
    after = name_of(lock) if lock else before
    return {
        "changed": done.changed or after != before,
        "release": after,
        "previous": previous.name if previous else "",
        "taken": done.taken,
        "linked": done.linked,
        "key": key_of(current) if current else "",
        "makers": makers_of(current) if current else {},
        "diff": {"before_header": CURRENT, "after_header": CURRENT, "before": f"{before}\n", "after": f"{after}\n"},
    }


if __name__ == "__main__":
    main()
