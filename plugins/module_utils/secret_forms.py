# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forms of secrets: how each is made and recognised, and which values everybody knows. No Ansible, no I/O."""

from __future__ import annotations

import base64
import re
import secrets
import string
from dataclasses import dataclass
from typing import Callable, Dict


@dataclass(frozen=True)
class Form:
    """How a kind of secret is made and recognised."""

    make: Callable[[], str]
    pattern: str
    minimum: int
    wanted: str
    maximum: int = 0


def _text(alphabet: str, length: int) -> Callable[[], str]:
    return lambda: "".join(secrets.choice(alphabet) for _position in range(length))


# Letters and digits only: a password also stands in URLs, connection strings and shell-like files.
FORMS: Dict[str, Form] = {
    "password": Form(
        _text(string.ascii_letters + string.digits, 32), r"[A-Za-z0-9._~-]+", 16, "letters, digits and ._~-"
    ),
    # A store that the site gives makes its own keys, some of small letters or in base64.
    "access_key": Form(_text(string.ascii_uppercase + string.digits, 20), r"[A-Za-z0-9]+", 16, "letters and digits"),
    "secret_key": Form(
        _text(string.ascii_letters + string.digits, 32), r"[A-Za-z0-9+/=._~-]+", 16, "letters, digits and +/=._~-"
    ),
    "aes_key": Form(
        lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
        r"[A-Za-z0-9+/]{43}=",
        44,
        "32 random bytes in base64",
    ),
    # Dify refuses more than 30 characters.
    "short_password": Form(
        _text(string.ascii_letters + string.digits, 24), r"[A-Za-z0-9._~-]+", 16, "letters, digits and ._~-", 30
    ),
    # Dify wants both in the password of a person.
    "login": Form(
        lambda: (
            _text(string.ascii_letters + string.digits, 30)()
            + _text(string.ascii_letters, 1)()
            + _text(string.digits, 1)()
        ),
        r"(?=.*[A-Za-z])(?=.*[0-9])[A-Za-z0-9._~-]+",
        16,
        "letters and digits, and perhaps ._~-",
    ),
    # Without padding. A last letter other than these stands for no whole byte.
    "base64url_key": Form(
        lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("="),
        r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]",
        43,
        "32 random bytes in base64url, without padding",
        43,
    ),
    "key": Form(
        lambda: base64.b64encode(secrets.token_bytes(42)).decode(), r"[A-Za-z0-9+/]+=*", 56, "42 random bytes in base64"
    ),
}

# Published by Dify, by the services beneath it, or in every tutorial. Compared without case.
_PUBLISHED = """
sk-9f73s3ljTXVcMT3Blb3ljTqtsKiGHXVcMT3BlbkFJLK7U
difyai123456
dify-sandbox
lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi
QaHbTe77CtuXmsfyhR7+vRjI/+XbV1AaFy691iy+kGDv2Jvy0/eAh8Y1
WVF5YThaHlkYwhGUSmCRgsX3tD5ngdN8pkih
dify-agent-run-token-for-dev-only
MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY
dify-plugin-daemon dify-inner-api-key testpassword redis_password
minioadmin minio123 admin administrator adminadmin admin123 admin123456
changeme changeit default dify example guest p@ssw0rd passw0rd password password123 postgres postgrespassword
redis redispassword replicator root secret test test1234 welcome1 123456 12345678 123456789 1234567890
"""
PUBLISHED_DEFAULTS = frozenset(_PUBLISHED.lower().split())
# Placeholders and defaults that carry a version or a hint, such as "...-for-dev-only".
PLACEHOLDER = re.compile(r"change.?me|replace.?me|for-dev-only|your[-_].*(key|password|secret)|<.*>", re.IGNORECASE)


def is_published_default(value: str) -> bool:
    return value.lower() in PUBLISHED_DEFAULTS or bool(PLACEHOLDER.search(value))
