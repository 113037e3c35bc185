# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first administrator of a Dify, through the paths of its console. No Ansible."""

from __future__ import annotations

import base64
import http.cookiejar
import json
import urllib.error
import urllib.request
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

API = "/console/api"


class ConsoleError(Exception):
    """Dify said no, or something that nobody understands; the text is for the user and has no password."""


class Answer(NamedTuple):
    status: int
    content: Mapping[str, Any]


# Asks a path, with a body if there is one.
Ask = Callable[[str, Optional[Mapping[str, Any]]], Answer]


def client(address: str, timeout: float) -> Ask:
    """Asks the API at an address, and keeps its cookies: who has passed the gate is known by one."""
    opener = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), urllib.request.ProxyHandler({})
    )

    def ask(path: str, body: Optional[Mapping[str, Any]] = None) -> Answer:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{address}{API}{path}", data, {"Content-Type": "application/json"})
        try:
            with opener.open(request, timeout=timeout) as reply:
                return Answer(reply.status, _content(reply.read()))
        except urllib.error.HTTPError as error:
            return Answer(error.code, _content(error.read()))
        except OSError as error:
            raise ConsoleError(f"{API}{path} does not answer: {error}") from error

    return ask


def _content(text: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def is_set_up(ask: Ask) -> bool:
    answer = ask("/setup", None)
    step = answer.content.get("step")
    if answer.status != 200 or step not in ("not_started", "finished"):
        raise _refusal("/setup", answer, "step not_started or finished")
    return bool(step == "finished")


def set_up(ask: Ask, init_password: str, administrator: Mapping[str, str]) -> None:
    """Pass the gate, create the administrator, and see that there is one who may log in."""
    steps: Dict[str, Mapping[str, Any]] = {"/init": {"password": init_password}, "/setup": administrator}
    for path, body in steps.items():
        answer = ask(path, body)
        if answer.status != 201:
            raise _refusal(path, answer, "201")
    if not is_set_up(ask):
        raise ConsoleError(f"{API}/setup says not_started after the setup, wanted: finished")
    # The pages of Dify send passwords like this.
    password = base64.b64encode(administrator["password"].encode()).decode()
    answer = ask("/login", {"email": administrator["email"], "password": password, "remember_me": False})
    if answer.status != 200:
        raise _refusal("/login", answer, "200, for the administrator that was just created")


def _refusal(path: str, answer: Answer, wanted: str) -> ConsoleError:
    said = answer.content.get("code") or answer.content.get("step") or "nothing that is known"
    return ConsoleError(f"{API}{path} answers {answer.status} ({said}), wanted: {wanted}")
