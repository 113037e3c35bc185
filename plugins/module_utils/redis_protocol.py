# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speak to Redis, Valkey or Sentinel: just enough of their protocol, with nothing but Python."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any, BinaryIO, Dict, List, NamedTuple


class RedisError(Exception):
    """The server answered with an error; the text is its own."""


class Tls(NamedTuple):
    """Paths of the certificates of the caller and of the authorities that it trusts."""

    certificate: str
    key: str
    authorities: str

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key)
        return context


class Connection(contextlib.AbstractContextManager["Connection"]):
    """One connection. What cannot be reached raises OSError, what the server refuses RedisError."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._reader: BinaryIO = connected.makefile("rb")

    @classmethod
    def local(cls, path: str, seconds: float = 10) -> Connection:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.settimeout(seconds)
        try:
            connected.connect(path)
        except OSError:
            connected.close()
            raise
        return cls(connected)

    @classmethod
    def over_tls(cls, address: str, port: int, tls: Tls, seconds: float = 3) -> Connection:
        plain = socket.create_connection((address, port), timeout=seconds)
        try:
            return cls(tls.context().wrap_socket(plain, server_hostname=address))
        except (OSError, ValueError):
            plain.close()
            raise

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        self._reader.close()
        self.socket.close()

    def login(self, user: str, password: str) -> Connection:
        self.call("AUTH", user, password)
        return self

    def call(self, *words: Any) -> Any:
        self.socket.sendall(encode(words))
        answer = read(self._reader)
        if isinstance(answer, RedisError):
            raise answer
        return answer


def encode(words: Any) -> bytes:
    parts = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def read(stream: BinaryIO) -> Any:
    """One answer: text, number, list, None, or a RedisError where the server says no."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("the server closed the connection")
    kind, rest = line[:1], line[1:-2].decode("utf-8", "replace")
    if kind == b"+":
        return rest
    if kind == b"-":
        return RedisError(rest)
    if kind == b":":
        return int(rest)
    length = int(rest)
    if length < 0:
        return None
    if kind == b"*":
        return [read(stream) for _element in range(length)]
    content = stream.read(length + 2)
    if len(content) != length + 2:
        raise ConnectionResetError("the server closed the connection")
    return content[:-2].decode("utf-8", "replace")


def pairs(answer: List[Any]) -> Dict[str, Any]:
    """A flat list of names and values, as CONFIG GET answers."""
    return {answer[place]: answer[place + 1] for place in range(0, len(answer), 2)}
