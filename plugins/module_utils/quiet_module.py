# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module whose arguments are data, too long for a log."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule


class QuietModule(AnsibleModule):
    """Writes to the system log that it was invoked, and not with what: that would be a whole catalogue each time."""

    def _log_invocation(self) -> None:
        self.log("Invoked")
