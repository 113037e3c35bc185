# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask upstream for the digests that no maker published, on the controller."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.onprem.dify.plugins.module_utils import pins
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import write_file
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_pins, collection_files
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_action import BundleAction, display, done, refusal
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_fetch import FetchError
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import SourceError, Sources


class ActionModule(BundleAction):
    OPTIONS: ClassVar[Mapping[str, Any]] = {
        "file": {"type": "path", "required": True},
        "pins": {"type": "dict", "default": {}},
        "architectures": {"type": "list", "elements": "str", "default": ["amd64"], "choices": ["amd64", "arm64"]},
        "sources": {"type": "list", "elements": "dict", "default": []},
        "ca_file": {"type": "path", "default": ""},
    }

    def act(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        file = Path(asked["file"]).absolute()
        try:
            found = self._resolve(asked, self._earlier(file))
        except (pins.PinError, bundle_pins.PinsError, FetchError, SourceError) as error:
            raise refusal(str(error), str(error).splitlines()[0]) from error
        if not found:
            done("every image and archive has a digest")
            return {"pins": {}}
        changed = write_file(file, bundle_pins.write(found).encode())
        done(f"{file}: {', '.join(found)}. Review it, then take it over into site_pins.")
        return {"changed": changed, "pins": found}

    def _earlier(self, file: Path) -> dict[str, Any]:
        if not file.exists():
            return {}
        try:
            return bundle_pins.read(file.read_text(encoding="utf-8"))
        except bundle_pins.PinsError as error:
            raise bundle_pins.PinsError(f"{file} {error}. Name another bundle_pins_file.") from error

    def _resolve(self, asked: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        site = {**earlier, **asked["pins"]}
        with tempfile.TemporaryDirectory(prefix="bundle-pins-") as work:
            makers = bundle_pins.Makers(Sources.parse(asked["sources"]), asked["ca_file"], Path(work))
            return bundle_pins.resolve(
                pins.of_site(collection_files.bundle(), site),
                site,
                asked["architectures"],
                makers,
                lambda line: display.display(f"  {line}"),
            )
