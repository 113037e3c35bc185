"""A slow line: passes a connection on, only so many bytes a second."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

CHUNK = 64 * 1024


class Line:
    """Listens on 127.0.0.1 and leads to another port there. All connections share the rate; 0 is without a limit."""

    def __init__(self, port: int) -> None:
        self.rate = 0
        self.passed = 0
        self._to = port
        self._free = 0.0
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._to))
                except OSError:
                    client.close()
                    continue
                # What is on the way must not wait in buffers, or a killed client would have cost more than it did.
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(CHUNK):
                self._wait(len(data))
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _wait(self, count: int) -> None:
        with self._lock:
            self.passed += count
            if not self.rate:
                return
            self._free = max(self._free, time.monotonic()) + count / self.rate
            pause = self._free - time.monotonic()
        time.sleep(max(pause, 0))
