# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords as PostgreSQL keeps them, so that none is ever sent to it. RFC 5802 and 7677."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets

ITERATIONS = 4096
_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")


def verifier(password: str, salt: bytes = b"", iterations: int = ITERATIONS) -> str:
    """What PostgreSQL stores of a password of printable ASCII characters."""
    if not re.fullmatch(r"[!-~]+", password):
        raise ValueError("a password holds other characters than printable ASCII")
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.new(salted, b"Client Key", hashlib.sha256).digest()
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.new(salted, b"Server Key", hashlib.sha256).digest()
    return f"SCRAM-SHA-256${iterations}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def matches(password: str, stored: str) -> bool:
    """Whether what PostgreSQL has stored was made of this password."""
    parts = _VERIFIER.fullmatch(stored)
    if parts is None:
        return False
    try:
        salt = base64.b64decode(parts.group(2), validate=True)
    except binascii.Error:
        return False
    return hmac.compare_digest(verifier(password, salt, int(parts.group(1))), stored)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
