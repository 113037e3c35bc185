# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a body and how long an answer may be, by the settings of Dify. No Ansible, no I/O."""

from __future__ import annotations

from typing import Mapping

# What Dify allows where nobody says otherwise: megabytes of an upload, bytes of a plugin, seconds of a run.
UPLOADS = {
    "UPLOAD_FILE_SIZE_LIMIT": 15,
    "UPLOAD_IMAGE_FILE_SIZE_LIMIT": 10,
    "UPLOAD_AUDIO_FILE_SIZE_LIMIT": 50,
    "UPLOAD_VIDEO_FILE_SIZE_LIMIT": 100,
}
PACKAGES = {"PLUGIN_MAX_PACKAGE_SIZE": 52428800}
RUNS = {"WORKFLOW_MAX_EXECUTION_TIME": 1200, "APP_MAX_EXECUTION_TIME": 1200, "GUNICORN_TIMEOUT": 360}
NUMBERS = frozenset([*UPLOADS, *PACKAGES, "MAX_PLUGIN_PACKAGE_SIZE", *RUNS])
MEGABYTE = 1048576


def body_megabytes(settings: Mapping[str, str]) -> int:
    """The largest body that Dify would take, and a bit for what stands around it. `settings`: those of the API."""
    packages = [int(settings.get(name, size)) // MEGABYTE + 1 for name, size in PACKAGES.items()]
    return max(*packages, *(int(settings.get(name, size)) for name, size in UPLOADS.items())) + 10


def read_seconds(settings: Mapping[str, str]) -> int:
    """As long as the longest run may be silent."""
    return max(int(settings.get(name, seconds)) for name, seconds in RUNS.items()) + 60


def is_number(value: object) -> bool:
    """Whether a setting among NUMBERS is one."""
    text = str(value)
    return not isinstance(value, bool) and text.isdigit() and int(text) > 0
