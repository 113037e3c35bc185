# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a bundle together on the controller: from its parts, or from a delta and its base."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.onprem.dify.plugins.module_utils.bundle_delta import whole
from ansible_collections.onprem.dify.plugins.module_utils.bundle_parts import join
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import parse_signers
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_action import BundleAction, accepted, done, progress
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import size


class ActionModule(BundleAction):
    OPTIONS: ClassVar[Mapping[str, Any]] = {
        "directory": {"type": "path", "required": True},
        "parts": {"type": "list", "elements": "path"},
        "delta": {"type": "path"},
        "base": {"type": "path"},
        "signers": {"type": "list", "elements": "str"},
        "newest_release": {"type": "str", "default": ""},
    }
    RULES: ClassVar[Mapping[str, Any]] = {
        "mutually_exclusive": [["parts", "delta"]],
        "required_one_of": [["parts", "delta"]],
        "required_together": [["delta", "base"]],
        "required_by": {"delta": ["signers"]},
    }

    def act(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        target = Path(asked["directory"])
        return self._from_delta(asked, target) if asked["delta"] else self._from_parts(asked, target)

    def _from_parts(self, asked: Mapping[str, Any], target: Path) -> dict[str, Any]:
        manifest, new = join([Path(folder) for folder in asked["parts"]], target, progress())
        done(f"{target}: {len(manifest.parts)} parts, {size(manifest.size)}. Verify it next.")
        return {"changed": new, "size": manifest.size}

    def _from_delta(self, asked: Mapping[str, Any], target: Path) -> dict[str, Any]:
        delta, signers = Path(asked["delta"]), parse_signers(asked["signers"])
        verdict, new = whole(delta, Path(asked["base"]), target, signers, asked["newest_release"], progress())
        lock = accepted(verdict, str(delta))
        done(f"{target}: release {lock.release}, signed by {verdict.signer}, all of it is right")
        return {"changed": new, "size": verdict.size, "release": lock.release, "signer": verdict.signer}
