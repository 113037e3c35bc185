# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try many ports at once over TCP and UDP."""

from __future__ import annotations

import errno
import selectors
import socket
import time
from typing import Dict, List, NamedTuple, Optional, Sequence

MESSAGE = b"onprem-dify probe"
# Under load an answer may be late; what should be open gets a second, longer chance.
PATIENCE = 3


class Target(NamedTuple):
    address: str
    port: str
    protocol: str
    expected: str


class Attempt(NamedTuple):
    number: int
    target: Target
    deadline: float


def try_all(targets: Sequence[Target], timeout: float, parallel: int, source: str = "") -> List[str]:
    """Return ``open``, ``refused`` or ``shut`` for every target, in their order."""
    found = _round(dict(enumerate(targets)), timeout, parallel, source)
    late = {
        number: target for number, target in enumerate(targets) if found[number] == "shut" and target.expected != "shut"
    }
    found.update(_round(late, timeout * PATIENCE, parallel, source))
    return [found[number] for number in range(len(targets))]


def _round(targets: Dict[int, Target], timeout: float, parallel: int, source: str) -> Dict[int, str]:
    found: Dict[int, str] = {}
    waiting = list(reversed(list(targets.items())))
    with selectors.DefaultSelector() as selector:
        while waiting or selector.get_map():
            while waiting and len(selector.get_map()) < parallel:
                number, target = waiting.pop()
                answer = _start(selector, Attempt(number, target, time.monotonic() + timeout), source)
                if answer:
                    found[number] = answer
            for key, _events in selector.select(timeout=0.05):
                found[key.data.number] = _answer(key.fileobj, key.data.target)  # type: ignore[arg-type]
                _close(selector, key.fileobj)  # type: ignore[arg-type]
            now = time.monotonic()
            for key in [key for key in selector.get_map().values() if key.data.deadline <= now]:
                found[key.data.number] = "shut"
                _close(selector, key.fileobj)  # type: ignore[arg-type]
    return found


def _start(selector: selectors.BaseSelector, attempt: Attempt, source: str) -> Optional[str]:
    """Begin an attempt; return its answer if there is one at once."""
    target = attempt.target
    kind = socket.SOCK_STREAM if target.protocol == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET, kind)
    sock.setblocking(False)
    try:
        if source:
            sock.bind((source, 0))
        code = sock.connect_ex((target.address, int(target.port)))
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "")
        if target.protocol == "udp":
            sock.send(MESSAGE)
    except OSError as error:
        sock.close()
        return _meaning(error.errno)
    events = selectors.EVENT_WRITE if target.protocol == "tcp" else selectors.EVENT_READ
    selector.register(sock, events, attempt)
    return None


def _answer(sock: socket.socket, target: Target) -> str:
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if target.protocol == "udp" and code == 0:
        try:
            sock.recv(len(MESSAGE))
        except OSError as error:
            code = error.errno or 0
    return _meaning(code)


def _meaning(code: Optional[int]) -> str:
    return {0: "open", errno.ECONNREFUSED: "refused"}.get(code or 0, "shut")


def _close(selector: selectors.BaseSelector, sock: socket.socket) -> None:
    selector.unregister(sock)
    sock.close()
