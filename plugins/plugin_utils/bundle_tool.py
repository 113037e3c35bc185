# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make onprem-dify.pyz: the core of the bundle as one file that a bare Python runs."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[1]
PACKAGE = "ansible_collections/onprem/dify/plugins"
# Only modules that need nothing but Python, and what they import of each other.
MODULES = (
    "module_utils/bundle_lock.py",
    "module_utils/bundle_parts.py",
    "module_utils/bundle_sbom.py",
    "module_utils/bundle_signature.py",
    "module_utils/bundle_store.py",
    "module_utils/bundle_verify.py",
    "plugin_utils/bundle_command.py",
    "plugin_utils/bundle_install.py",
    "plugin_utils/bundle_progress.py",
    "plugin_utils/bundle_report.py",
)
_SHEBANG = b"#!/usr/bin/env python3\n"
_MAIN = f"""import sys

if sys.version_info < (3, 11):
    sys.exit("onprem-dify.pyz needs Python 3.11 or newer, this is " + sys.version.split()[0])

from {PACKAGE.replace("/", ".")}.plugin_utils.bundle_command import main

sys.exit(main())
"""
# The oldest day that a zip archive knows: the same code makes the same bytes on every day.
_DAY = (1980, 1, 1, 0, 0, 0)


def tool() -> bytes:
    """The bytes of onprem-dify.pyz."""
    content = {"__main__.py": _MAIN.encode()}
    for module in MODULES:
        path = f"{PACKAGE}/{module}"
        content[path] = (PLUGINS / module).read_bytes()
        content |= {f"{parent}/__init__.py": b"" for parent in Path(path).parents if parent != Path()}
    raw = io.BytesIO(_SHEBANG)
    raw.seek(0, io.SEEK_END)
    # Stored, since the same bytes compressed differ from one zlib to another.
    with zipfile.ZipFile(raw, "a", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(content.items()):
            entry = zipfile.ZipInfo(name, _DAY)
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)
    return raw.getvalue()
