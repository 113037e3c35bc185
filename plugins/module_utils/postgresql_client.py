# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speak to PostgreSQL: TLS, login with a password and simple queries, with nothing but Python.

Protocol 3.0, and SCRAM-SHA-256 of RFC 5802 and 7677. A server that wants the password in another form does not get it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import secrets
import socket
import struct
from typing import BinaryIO, Dict, List, Mapping, Optional, Tuple

PROTOCOL = 196608
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
MECHANISM = b"SCRAM-SHA-256"
# More than any answer to a question that is asked here.
LONGEST = 1 << 24

OK, SASL, SASL_CONTINUE, SASL_FINAL = 0, 10, 11, 12
OTHER_METHODS = {2: "Kerberos", 3: "the password in plain text", 5: "MD5", 6: "SCM", 7: "GSSAPI", 9: "SSPI"}

Row = List[Optional[str]]


class PostgresError(Exception):
    """The server said no; `code` is its SQLSTATE and the text its own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LoginMethodError(Exception):
    """The server wants another proof than SCRAM-SHA-256, or none; the text says which."""


class ProtocolError(Exception):
    """What answers is not PostgreSQL, or not the server that knows the password."""


def offers_tls(connected: socket.socket) -> bool:
    """Ask for TLS. After a yes the next bytes are those of the handshake."""
    connected.sendall(SSL_REQUEST)
    answer = connected.recv(1)
    if answer in (b"S", b"N"):
        return answer == b"S"
    raise ProtocolError("does not speak the protocol of PostgreSQL" if answer else "closed the connection")


class Scram:
    """The client's side of one login: what it sends, and whether the server knows the password, too."""

    def __init__(self, password: str, nonce: str = "") -> None:
        self._password = password.encode()
        self._nonce = nonce or base64.b64encode(secrets.token_bytes(18)).decode()
        self._bare = f"n=,r={self._nonce}"
        self._server_signature = b""

    def first(self) -> bytes:
        return f"n,,{self._bare}".encode()

    def final(self, server_first: bytes) -> bytes:
        text = server_first.decode("ascii", "replace")
        said = _attributes(text)
        if not said.get("r", "").startswith(self._nonce) or not said.get("i", "").isdigit():
            raise ProtocolError("answers the login with what is not SCRAM-SHA-256")
        salted = hashlib.pbkdf2_hmac("sha256", self._password, _bytes(said.get("s", "")), int(said["i"]))
        without_proof = f"c=biws,r={said['r']}"
        message = f"{self._bare},{text},{without_proof}".encode()
        client_key = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
        signature = hmac.new(hashlib.sha256(client_key).digest(), message, hashlib.sha256).digest()
        proof = bytes(byte ^ signature[place] for place, byte in enumerate(client_key))
        server_key = hmac.new(salted, b"Server Key", hashlib.sha256).digest()
        self._server_signature = hmac.new(server_key, message, hashlib.sha256).digest()
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def check(self, server_final: bytes) -> None:
        shown = _bytes(_attributes(server_final.decode("ascii", "replace")).get("v", ""))
        if not self._server_signature or not hmac.compare_digest(shown, self._server_signature):
            raise ProtocolError("does not know the password itself, and so is not the server that it seems to be")


class Connection(contextlib.AbstractContextManager["Connection"]):
    """One session. What cannot be reached raises OSError, what the server refuses PostgresError."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._reader: BinaryIO = connected.makefile("rb")
        self.parameters: Dict[str, str] = {}

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        # The server may have been quicker.
        with contextlib.suppress(OSError):
            self._send(b"X", b"")
        self._reader.close()
        self._socket.close()

    def login(self, user: str, password: str, database: str, nonce: str = "") -> Connection:
        self._socket.sendall(startup({"user": user, "database": database, "application_name": "onprem-dify-check"}))
        scram = Scram(password, nonce)
        proven = False
        while True:
            kind, body = self._receive()
            if kind == b"Z":
                break
            if kind == b"S":
                name, value = body.decode("utf-8", "replace").split("\0")[:2]
                self.parameters[name] = value
            elif kind == b"R":
                proven = self._authenticate(scram, body) or proven
        if not proven:
            raise LoginMethodError("no password")
        return self

    def query(self, sql: str) -> List[Row]:
        self._send(b"Q", sql.encode() + b"\0")
        rows: List[Row] = []
        refusal: Optional[PostgresError] = None
        while True:
            try:
                kind, body = self._receive()
            except PostgresError as error:
                # The server goes on to say that it is ready.
                refusal = error
                continue
            if kind == b"D":
                rows.append(data_row(body))
            elif kind == b"Z":
                if refusal:
                    raise refusal
                return rows

    def _authenticate(self, scram: Scram, body: bytes) -> bool:
        """Answer one request of the server; true when both sides have proven themselves."""
        request, rest = struct.unpack("!i", body[:4])[0], body[4:]
        if request == SASL:
            if MECHANISM not in rest.split(b"\0"):
                raise LoginMethodError("another kind of SASL")
            first = scram.first()
            self._send(b"p", MECHANISM + b"\0" + struct.pack("!i", len(first)) + first)
        elif request == SASL_CONTINUE:
            self._send(b"p", scram.final(rest))
        elif request == SASL_FINAL:
            scram.check(rest)
            return True
        elif request != OK:
            raise LoginMethodError(OTHER_METHODS.get(request, f"method {request}"))
        return False

    def _send(self, kind: bytes, body: bytes) -> None:
        self._socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def _receive(self) -> Tuple[bytes, bytes]:
        """The next message; an error is raised."""
        head = self._read(5)
        kind, length = head[:1], struct.unpack("!i", head[1:])[0]
        if not 4 <= length <= LONGEST:
            raise ProtocolError("does not speak the protocol of PostgreSQL")
        body = self._read(length - 4)
        if kind == b"E":
            said = error_fields(body)
            raise PostgresError(said.get("C", ""), said.get("M", ""))
        return kind, body

    def _read(self, count: int) -> bytes:
        content = self._reader.read(count)
        if len(content) != count:
            raise ConnectionResetError("closed the connection")
        return content


def startup(parameters: Mapping[str, str]) -> bytes:
    words = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items())
    body = struct.pack("!i", PROTOCOL) + words + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def data_row(body: bytes) -> Row:
    row: Row = []
    position = 2
    for _column in range(struct.unpack("!h", body[:2])[0]):
        length = struct.unpack("!i", body[position : position + 4])[0]
        position += 4
        row.append(body[position : position + length].decode("utf-8", "replace") if length >= 0 else None)
        position += max(length, 0)
    return row


def error_fields(body: bytes) -> Dict[str, str]:
    """The parts of an error by their letter: C is the SQLSTATE, M the message."""
    return {part[:1]: part[1:] for part in body.decode("utf-8", "replace").split("\0") if part}


def _attributes(text: str) -> Dict[str, str]:
    return {part[:1]: part[2:] for part in text.split(",")}


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ProtocolError("answers the login with what is not SCRAM-SHA-256") from None
