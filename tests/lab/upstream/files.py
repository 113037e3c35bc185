"""A web server over a folder that knows ranges, and remembers every byte that it sent."""

from __future__ import annotations

import http.server
import re
import threading
import time
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote, urlsplit

CHUNK = 64 * 1024


class Files:
    """Serves a folder on 127.0.0.1. It can be switched off and on at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sent: dict[str, int] = defaultdict(int)
        self.asked: list[tuple[float, str]] = []
        # Bytes a second for all that ask; 0 for as fast as it goes.
        self.rate = 0
        # What a client has to send as its Authorization; empty for everybody.
        self.login = ""
        self._lock = threading.Lock()
        self._server: http.server.ThreadingHTTPServer | None = None
        self._port = 0
        self.on()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def on(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.files = self
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def off(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def put(self, path: str, data: bytes) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file

    def forget(self) -> None:
        """Count anew."""
        with self._lock:
            self.sent.clear()
            self.asked.clear()

    @property
    def total(self) -> int:
        with self._lock:
            return sum(self.sent.values())

    def note(self, path: str, count: int) -> None:
        with self._lock:
            if not count:
                self.asked.append((time.time(), path))
            self.sent[path] += count
        if self.rate and count:
            time.sleep(count / self.rate)

    @property
    def running(self) -> bool:
        return self._server is not None


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    files: Files

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is what these tests are about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        files = self.server.files
        path = unquote(urlsplit(self.path).path).lstrip("/")
        file = files.folder / path
        if files.login and self.headers.get("Authorization") != files.login:
            return self._ask_for_login()
        if file.is_dir():
            return self._page(path, file)
        if not file.is_file():
            return self.send_error(404)
        size = file.stat().st_size
        modified = self.date_time_string(int(file.stat().st_mtime))
        if self.headers.get("If-Modified-Since") == modified:
            self.send_response(304)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(span[1]) if span else 0
        if span and start >= size:
            return self.send_error(416)
        files.note(path, 0)
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Last-Modified", modified)
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        with file.open("rb") as content:
            content.seek(start)
            while files.running and (chunk := content.read(CHUNK)):
                self.wfile.write(chunk)
                files.note(path, len(chunk))
        self.close_connection = not files.running
        return None

    def _ask_for_login(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="test"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _page(self, path: str, folder: Path) -> None:
        links = "".join(f'<a href="{one.name}">{one.name}</a>\n' for one in sorted(folder.iterdir()))
        data = f"<!DOCTYPE html><html><body>\n{links}</body></html>".encode()
        self.server.files.note(path, 0)
        self.server.files.note(path, len(data))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """The server counts by itself."""
