# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the transfers of a build are: bytes, rate, time left. Counted by many threads, shown by one."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable

# The rate is that of the last half minute: long enough to be calm, short enough to be true.
WINDOW = 30.0
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class StoppedError(Exception):
    """Another transfer failed, so this one ends."""


class Meter:
    """Bytes wanted and bytes here. Once it is stopped, whoever counts is told to end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._samples: collections.deque[tuple[float, int]] = collections.deque([(clock(), 0)])
        self.wanted = 0
        self.here = 0
        self.fetched = 0

    def stop(self) -> None:
        self._stopped.set()

    def check(self) -> None:
        if self._stopped.is_set():
            raise StoppedError

    def wait(self, seconds: float) -> None:
        """Pause, but not longer than the others go on."""
        self._stopped.wait(seconds)
        self.check()

    def want(self, size: int) -> None:
        with self._lock:
            self.wanted += size

    def have(self, size: int) -> None:
        """Bytes that needed no transfer."""
        self.check()
        with self._lock:
            self.here += size

    def count(self, size: int) -> None:
        """Bytes that came over the network."""
        self.check()
        with self._lock:
            self.here += size
            self.fetched += size

    def line(self) -> str:
        now = self._clock()
        with self._lock:
            self._samples.append((now, self.fetched))
            while len(self._samples) > 2 and now - self._samples[1][0] > WINDOW:
                self._samples.popleft()
            (then, before), wanted, here = self._samples[0], self.wanted, self.here
            rate = (self.fetched - before) / (now - then) if now > then else 0.0
        words = [f"{size(here)} of {size(max(wanted, here))}", f"{size(int(rate))}/s"]
        if rate > 0 and wanted > here:
            words.append(f"{clock_time((wanted - here) / rate)} left")
        return ", ".join(words)


def size(count: int) -> str:
    """Bytes as a person reads them."""
    value = float(count)
    for unit in UNITS:
        if value < 1024 or unit == UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == UNITS[0] or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError(count)


def clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
