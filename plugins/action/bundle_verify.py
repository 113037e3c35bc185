# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify a bundle on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.onprem.dify.plugins.module_utils.bundle_sbom import licence_table
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import parse_signers
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import verify
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_action import BundleAction, accepted, done, progress
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import size


class ActionModule(BundleAction):
    OPTIONS: ClassVar[Mapping[str, Any]] = {
        "directory": {"type": "path", "required": True},
        "signers": {"type": "list", "elements": "str", "required": True},
        "newest_release": {"type": "str", "default": ""},
        "workers": {"type": "int", "default": 0},
    }
    WRITES = False

    def act(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        bundle, signers = Path(asked["directory"]), parse_signers(asked["signers"])
        verdict = verify(bundle, signers, asked["newest_release"], asked["workers"], progress())
        lock = accepted(verdict, str(bundle))
        done(
            f"{bundle}: release {lock.release}, signed by {verdict.signer}. "
            f"All {len(lock.files)} files and {len(lock.images)} images are right, {size(verdict.size)}."
        )
        return {
            "release": lock.release,
            "signer": verdict.signer,
            "digest": lock.digest,
            "size": verdict.size,
            "licences": licence_table(lock),
        }
