"""What stands behind a gateway in its tests, in the place of a router: it tells what it was asked, over TLS.

On a host of the lab it runs by itself: gateway_service.py PORT CERTIFICATE KEY
"""

from __future__ import annotations

import http.server
import json
import ssl
import sys
import time
from typing import Any

# A stream tells that it goes on.
EVENTS, PAUSE = 30, 0.1


class Service(http.server.BaseHTTPRequestHandler):
    """Stands behind the gateway: tells what it was asked, streams, and speaks on after an upgrade."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            self._echo()
        elif self.path.startswith("/v1/stream"):
            self._stream()
        else:
            self._tell()

    def do_POST(self) -> None:
        self._tell()

    def _tell(self) -> None:
        told = {
            "path": self.path,
            "port": self.server.server_port,
            "received": self._received(),
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Powered-By", "a framework")
        self.end_headers()
        self.wfile.write(body)

    def _received(self) -> int:
        left = total = int(self.headers.get("Content-Length") or 0)
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        return total

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(EVENTS):
            self.wfile.write(f"data: {number}\n\n".encode())
            self.wfile.flush()
            time.sleep(PAUSE)
        self.close_connection = True

    def _echo(self) -> None:
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while line := self.rfile.readline():
            self.wfile.write(line)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """The test says what went wrong."""


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who breaks off does so on purpose here."""


def server(context: ssl.SSLContext, port: int, address: str = "") -> Server:
    made = Server((address, port), Service)
    made.socket = context.wrap_socket(made.socket, server_side=True, do_handshake_on_connect=False)
    return made


if __name__ == "__main__":
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(sys.argv[2], sys.argv[3])
    server(shown, int(sys.argv[1])).serve_forever()
