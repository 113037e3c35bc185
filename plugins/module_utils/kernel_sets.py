# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of addresses of the kernel (ipset), without the program of that name, which a host may not have."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Iterator, List, Tuple

NETLINK_NETFILTER = 12
_SUBSYSTEM, _DESTROY, _LIST = 6, 3, 7
_PROTOCOL, _SETNAME = 1, 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3


def names() -> List[str]:
    """The names of all sets; none where the kernel has no such thing."""
    try:
        return list(dict.fromkeys(name for payload in _ask(_LIST, _DUMP) for name in _names_in(payload)))
    except OSError:
        # Its module is not loaded, so nobody has made a set.
        return []


def destroy(name: str) -> None:
    for _answer in _ask(_DESTROY, _ACK, attribute(_SETNAME, f"{name}\0".encode())):
        pass


def attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + b"\0" * (-length % 4)


def message(command: int, flags: int, attributes: bytes) -> bytes:
    body = struct.pack("=BBH", socket.AF_INET, 0, 0) + attribute(_PROTOCOL, b"\x06") + attributes
    return struct.pack("=IHHII", 16 + len(body), _SUBSYSTEM << 8 | command, _REQUEST | flags, 1, 0) + body


def _ask(command: int, flags: int, attributes: bytes = b"") -> Iterator[bytes]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as link:
        link.settimeout(10)
        link.bind((0, 0))
        link.send(message(command, flags, attributes))
        while True:
            for kind, payload in parts(link.recv(1 << 17)):
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    code = -struct.unpack_from("=i", payload)[0]
                    if code in (0, errno.ENOENT):
                        return
                    raise OSError(code, os.strerror(code))
                yield payload


def parts(data: bytes) -> Iterator[Tuple[int, bytes]]:
    """Kind and content of each message in what the kernel sent."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        yield kind, data[16:length]
        data = data[(length + 3) & ~3 :]


def _names_in(payload: bytes) -> Iterator[str]:
    data = payload[4:]
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if kind & 0x3FFF == _SETNAME:
            yield data[4:length].rstrip(b"\0").decode()
        data = data[max((length + 3) & ~3, 4) :]
