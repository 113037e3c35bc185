# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may log in to PostgreSQL from where, and how many connections that makes. No Ansible, no I/O."""

from __future__ import annotations

import ipaddress
import math
from typing import Any, Dict, List, Mapping, Sequence

REPLICATION = "replicator"
REWIND = "rewind"
MONITOR = "monitor"
# Names the map by which the operating system's user of PostgreSQL is its users for replication and superuser.
SOCKET_MAP = "members"


class AccessError(Exception):
    """The variables contradict each other; the text is for the user."""


def databases_of_site(site: Mapping[str, Any], databases: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """The databases that this site needs: an optional one goes with the hosts that use it."""
    complete = [{"clients": ["workers"], "extensions": [], "optional": False, **database} for database in databases]
    return [
        database
        for database in complete
        if not database["optional"] or any(site["addresses"].get(client) for client in database["clients"])
    ]


def networks(site: Mapping[str, Any], ends: Sequence[str]) -> List[str]:
    """The addresses of groups, zones and services, as networks and once each."""
    found = {ipaddress.ip_network(address) for end in ends for address in site["addresses"].get(end, [])}
    return [str(network) for network in sorted(found, key=_order)]


def rules(site: Mapping[str, Any], databases: Sequence[Mapping[str, Any]]) -> List[str]:
    """The lines of pg_hba.conf: the first that fits decides, and the last refuses what none fitted.

    Clients come by way of the endpoint, whose HAProxy connects from the hosts of the database.
    """
    lines = [
        f"local all postgres peer map={SOCKET_MAP}",
        f"local replication {REPLICATION} peer map={SOCKET_MAP}",
        f"local postgres {MONITOR} scram-sha-256",
        f"hostssl postgres {MONITOR} 127.0.0.1/32 scram-sha-256",
    ]
    lines += [
        f"hostssl {database} {user} {network} scram-sha-256 clientcert=verify-full"
        for database, user in (("replication", REPLICATION), ("postgres", REWIND))
        for network in networks(site, ["database"])
    ]
    lines += [
        f"hostssl {database['name']} {database['owner']} {network} scram-sha-256"
        for database in databases
        for network in networks(site, ["database", *database["clients"]])
    ]
    return [*lines, "local all all reject", "host all all all reject", "host replication all all reject"]


def connections(expected: Mapping[str, Mapping[str, Any]], reserve: int, wanted: int) -> int:
    """How many connections PostgreSQL takes; `wanted` 0 lets the planned clients decide."""
    planned = sum(_number(name, client) for name, client in expected.items()) + reserve
    if not wanted:
        return max(100, math.ceil(planned / 50) * 50)
    if wanted < planned:
        parts = ", ".join(f"{name} {_number(name, client)}" for name, client in expected.items())
        raise AccessError(
            f"postgresql_max_connections is {wanted}, and the planned clients may open {planned}: {parts}, reserve"
            f" {reserve}. Set it to {planned} or more, leave it out, or plan fewer in postgresql_expected_clients."
        )
    return wanted


def _number(name: str, client: Mapping[str, Any]) -> int:
    counts = [client.get("pods", 1), client.get("processes", 1), client.get("connections")]
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        raise AccessError(f"postgresql_expected_clients: {name} needs whole numbers pods, processes and connections")
    return math.prod(counts)


def _order(network: Any) -> Any:
    return (network.version, int(network.network_address), network.prefixlen)
