# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply the rules over one connection, confirm them over another."""

from __future__ import annotations

from ansible_collections.onprem.dify.plugins.plugin_utils.guarded import GuardedAction


class ActionModule(GuardedAction):
    pass
