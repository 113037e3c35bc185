# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the reading of a bundle is, in a line every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import clock_time, size

SECONDS_BETWEEN_LINES = 5.0


class Lines:
    """Says how far it is: bytes, rate, time left. A short run says nothing."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._began = self._said = clock()

    def __call__(self, done: int, total: int) -> None:
        now = self._clock()
        if now - self._said < SECONDS_BETWEEN_LINES or not done:
            return
        self._said = now
        rate = done / (now - self._began)
        left = clock_time((total - done) / rate)
        self._say(f"{size(done)} of {size(total)}, {size(int(rate))}/s, {left} left")
