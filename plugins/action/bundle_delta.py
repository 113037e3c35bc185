# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the delta between two bundles on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.onprem.dify.plugins.module_utils.bundle_delta import make
from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import LOCK, Lock
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import read
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_action import BundleAction, done, progress
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import size


class ActionModule(BundleAction):
    OPTIONS: ClassVar[Mapping[str, Any]] = {
        "directory": {"type": "path", "required": True},
        "base_lock": {"type": "path", "required": True},
        "delta_directory": {"type": "path", "required": True},
    }

    def act(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        bundle, target = Path(asked["directory"]), Path(asked["delta_directory"])
        base = Lock.parse(read(Path(asked["base_lock"])))
        blobs, new = make(bundle, base, target, progress())
        lock = Lock.parse(read(bundle / LOCK))
        carried, whole = sum(blobs.values()), sum(lock.blobs().values())
        done(
            f"{target}: from release {base.release} to {lock.release}, {size(carried)} "
            f"instead of {size(whole)} ({carried / max(whole, 1):.1%})"
        )
        return {"changed": new, "release": lock.release, "base": base.release, "size": carried, "full_size": whole}
