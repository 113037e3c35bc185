# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The REST interface of Patroni's members."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from ansible_collections.onprem.dify.plugins.module_utils.patroni import Member, parse_member


class ApiError(Exception):
    """A member does not answer, or refuses with a status of HTTP; the text is for the user."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """`members` maps names to addresses. `certificates` is a directory with ca.crt, tls.crt and tls.key."""

    def __init__(
        self, members: Mapping[str, str], certificates: str, port: int = 8008, username: str = "", password: str = ""
    ) -> None:
        self._members = members
        self._folder = Path(certificates)
        self._port = port
        word = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {word}"} if username else {}

    def call(self, name: str, path: str, method: str = "GET", body: Any = None, timeout: float = 5) -> Any:
        """The answer of a member; what a member says of itself comes with any status."""
        request = urllib.request.Request(
            f"https://{self._members[name]}:{self._port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers if method != "GET" else {},
            method=method,
        )
        try:
            context = ssl.create_default_context(cafile=str(self._folder / "ca.crt"))
            context.load_cert_chain(str(self._folder / "tls.crt"), str(self._folder / "tls.key"))
            # No proxy of the environment stands between members.
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
            )
            with opener.open(request, timeout=timeout) as answer:
                return _parse(answer.read())
        except urllib.error.HTTPError as error:
            text = error.read()
            if method == "GET" and text.startswith(b"{"):
                return _parse(text)
            said = text.decode(errors="replace").strip()
            raise ApiError(
                f"Patroni of {name}: {method} {path}: {said or error.reason} ({error.code})", error.code
            ) from error
        except (OSError, urllib.error.URLError, ValueError) as error:
            raise ApiError(f"Patroni of {name} does not answer: {getattr(error, 'reason', error)}") from error

    def member(self, name: str) -> Member:
        try:
            return parse_member(name, self.call(name, "/patroni"))
        except ApiError:
            return Member(name)

    def cluster(self, name: str) -> Optional[Dict[str, Any]]:
        try:
            answer = self.call(name, "/cluster")
        except ApiError:
            return None
        return answer if isinstance(answer, dict) else None


def _parse(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode(errors="replace")
