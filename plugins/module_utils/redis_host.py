# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules for Redis and for Sentinel do on a host: units, waiting, questions to the other servers."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import units
from ansible_collections.onprem.dify.plugins.module_utils.redis_protocol import Connection, RedisError, Tls, pairs
from ansible_collections.onprem.dify.plugins.module_utils.redis_server import Peer, ServerError, parse_info

# Options of the modules. The shared ones are described in the fragment redis.
TLS_OPTIONS = {
    "certificate": {"type": "path", "required": True},
    "key": {"type": "path", "required": True, "no_log": False},
    "authorities": {"type": "path", "required": True},
}
UNIT_OPTIONS = {
    "tls": {"type": "dict", "required": True, "options": TLS_OPTIONS},
    "unit": {"type": "str", "required": True},
    "unit_files": {"type": "list", "elements": "path", "default": []},
    "owner": {"type": "str", "required": True},
}
LOGIN_OPTIONS = {
    "user": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
}
HOST_OPTIONS = {
    "name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
}
# What a call to a server that is not well can raise.
TROUBLE = (OSError, ValueError, RedisError)


class Service:
    """A systemd unit of the host; `module` is the AnsibleModule."""

    def __init__(self, module: Any, name: str) -> None:
        self._module = module
        self._wish = units.Wish(name, state="started", on_change="restart")

    def look(self) -> units.Unit:
        return units.parse_show(self._must(units.show_command([self._wish])), [self._wish])[0]

    def bring(self, action: str) -> None:
        self._must(["systemctl", action, "--", self._wish.name])

    def last_words(self) -> str:
        words = ["journalctl", "--no-pager", "--quiet", "--lines=10", "--output=cat", f"--unit={self._wish.name}"]
        return str(self._module.run_command(words)[1]).strip()

    def _must(self, command: List[str]) -> str:
        code, out, err = self._module.run_command(command)
        if code != 0:
            raise ServerError(f"{' '.join(command)}: {err.strip() or out.strip()}\n{self.last_words()}")
        return str(out)


def newest(paths: Sequence[str]) -> int:
    """The last modification of the files that are there, in microseconds since the epoch."""
    return max((Path(path).stat().st_mtime_ns // 1000 for path in paths if Path(path).exists()), default=0)


def wait_until(trouble: Callable[[], str], seconds: float, what: str) -> None:
    """Ask until there is no trouble any more."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            said = trouble()
        except TROUBLE as error:
            said = str(error)
        if not said:
            return
        if time.monotonic() > deadline:
            raise ServerError(f"{what} after {seconds:.0f} s: {said}")
        time.sleep(0.2)


def replication(connection: Connection) -> Dict[str, str]:
    return parse_info(connection.call("INFO", "replication"))


def ask(peers: Sequence[Mapping[str, str]], port: int, tls: Tls, user: str, password: str) -> List[Peer]:
    """What the other servers say of themselves."""
    return [_ask(peer, port, tls, user, password) for peer in peers]


def _ask(peer: Mapping[str, str], port: int, tls: Tls, user: str, password: str) -> Peer:
    name, address = peer["name"], peer["address"]
    if not Path(tls.certificate).exists():
        return Peer(name, address, "refused")
    try:
        with Connection.over_tls(address, port, tls) as connection:
            said = replication(connection.login(user, password))
            empty = not parse_info(connection.call("INFO", "keyspace"))
    except ConnectionRefusedError:
        return Peer(name, address, "refused")
    except (RedisError, ssl.SSLError):
        return Peer(name, address, "closed")
    except OSError:
        return Peer(name, address, "silent")
    return Peer(name, address, "up", said.get("role", ""), said.get("master_host", ""), empty)


def sentinel_master(connection: Connection, name: str) -> Dict[str, str]:
    return pairs(connection.call("SENTINEL", "MASTER", name))


def sentinel_replicas(connection: Connection, name: str) -> List[Dict[str, str]]:
    return [pairs(replica) for replica in connection.call("SENTINEL", "REPLICAS", name)]


def serves_newest_certificate(address: str, port: int, tls: Tls) -> bool:
    """Whether the certificate that a server shows is the one in its file."""
    shown = ssl.get_server_certificate((address, port))
    return ssl.PEM_cert_to_DER_cert(shown) == ssl.PEM_cert_to_DER_cert(_first(Path(tls.certificate).read_text()))


def _first(chain: str) -> str:
    end = "-----END CERTIFICATE-----"
    return chain[chain.index("-----BEGIN CERTIFICATE-----") : chain.index(end) + len(end)]
