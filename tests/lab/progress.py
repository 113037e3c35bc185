"""What the user sees while a lab comes up: finished steps as lines, and in a terminal the running one below them."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    def __init__(self) -> None:
        self._started = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._lock = threading.Lock()
        self._count = 0

    def seconds(self) -> float:
        return time.monotonic() - self._started

    def say(self, line: str) -> None:
        with self._lock:
            self._erase()
            print(line, flush=True)

    def done(self, line: str) -> None:
        """Report one of the things that are being counted."""
        self._count += 1
        self.say(line)

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[None]:
        self._count = 0
        with self._running(lambda: f"{self._count} of {total} {what}"):
            yield

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        with self._running(lambda: what):
            yield

    @contextmanager
    def _running(self, text) -> Iterator[None]:  # type: ignore[no-untyped-def]
        if not self._terminal:
            yield
            return
        over = threading.Event()
        began = time.monotonic()

        def tick() -> None:
            while not over.wait(0.2):
                with self._lock:
                    self._erase()
                    print(f"{text()} … {time.monotonic() - began:.0f} s", end="", flush=True)

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            with self._lock:
                self._erase()

    def _erase(self) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", flush=True)
