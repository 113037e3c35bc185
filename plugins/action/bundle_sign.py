# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign a bundle on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import LOCK, SIGNATURE, Lock
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import sign
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import write_file
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import read
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_action import BundleAction


class ActionModule(BundleAction):
    OPTIONS: ClassVar[Mapping[str, Any]] = {
        "directory": {"type": "path", "required": True},
        "key": {"type": "path", "required": True, "no_log": False},
    }

    def act(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        bundle = Path(asked["directory"])
        raw = read(bundle / LOCK)
        # Nobody should put a name to what no site would take.
        release = Lock.parse(raw).release
        return {"changed": write_file(bundle / SIGNATURE, sign(raw, Path(asked["key"]))), "release": release}
