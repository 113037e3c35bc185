# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cut a bundle into parts on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.onprem.dify.plugins.module_utils.bundle_parts import parse_size, split
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_action import BundleAction, done, progress
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import size


class ActionModule(BundleAction):
    OPTIONS: ClassVar[Mapping[str, Any]] = {
        "directory": {"type": "path", "required": True},
        "parts_directory": {"type": "path", "required": True},
        "part_size": {"type": "str", "default": "4G"},
        "part": {"type": "int", "default": 0},
    }

    def act(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        bundle, target = Path(asked["directory"]), Path(asked["parts_directory"])
        manifest, new = split(bundle, target, parse_size(asked["part_size"]), asked["part"], report=progress())
        parts = [part.name for part in manifest.parts]
        written = f"part {asked['part']} of {len(parts)}" if asked["part"] else f"{len(parts)} parts"
        done(f"{target}: {written}, {size(manifest.size)} in all, with {manifest.name}.parts.json")
        return {"changed": new, "parts": parts, "size": manifest.size}
