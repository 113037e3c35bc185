# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to try between the hosts of a site, and what the answers mean. No Ansible, no I/O."""

from __future__ import annotations

import ipaddress
import random
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.firewall import covers, ends

# Doors that stay shut unless a flow says otherwise, tried on every host whatever the site has.
DOORS = {
    "22": "SSH",
    "111": "portmapper",
    "2049": "NFS",
    "2375": "Docker",
    "2379": "etcd",
    "2380": "etcd peers",
    "3306": "MySQL",
    "5432": "PostgreSQL",
    "6379": "Redis",
    "6443": "Kubernetes API",
    "8472": "VXLAN",
    "10250": "kubelet",
    "10255": "kubelet without login",
    "30000": "NodePort",
    "31337": "NodePort",
    "32767": "NodePort",
}
# Below the ports that the kernel hands out, so that the listeners find them free.
RANDOM_PORTS = range(20000, 30000)
PROTOCOLS = ("tcp", "udp")

OPEN, REFUSED, SHUT = "open", "refused", "shut"
# A service of the site that is not ours: it has to answer, if only by a refusal.
ANSWERS = "answers"
# A service holds the UDP port and does not echo: silence proves nothing.
UNPROVEN = "unproven"


class Cell(NamedTuple):
    """One attempt: from a host to a port of another, what it should find and why."""

    origin: str
    target: str
    address: str
    port: str
    protocol: str
    expected: str
    why: str


def attempts(site: Mapping[str, Any], origin: str, outside: Sequence[Mapping[str, Any]] = ()) -> List[Cell]:
    """Return everything that ``origin`` has to try: the other hosts, the services the site uses, the world outside."""
    cells = [cell for target in site["hosts"] if target != origin for cell in _between(site, origin, target)]
    for flow in site["flows"]:
        if flow["to"] in site["services"] and flow["from"] in ends(site, origin) and flow["protocol"] == "tcp":
            cells += [
                Cell(origin, flow["to"], address, port, "tcp", ANSWERS, flow["why"])
                for address in flow["destinations"]
                if "/" not in address
                for port in _samples(flow["port"])
            ]
    cells += [
        Cell(origin, "outside", str(door["address"]), str(door["port"]), door["protocol"], SHUT, "outside the site")
        for door in outside
    ]
    return list(dict.fromkeys(cells))


def doors(site: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """Return what to try on every host, and so where to listen: the ports of all flows, and some that no flow has."""
    hosts = {host["address"] for host in site["hosts"].values()}
    chosen = {
        (flow["protocol"], port)
        for flow in site["flows"]
        if flow["protocol"] in PROTOCOLS and hosts & set(flow["destinations"])
        for port in _samples(flow["port"])
    }
    at_random = random.Random(site["name"]).sample(RANDOM_PORTS, 2)
    chosen |= {(protocol, str(port)) for protocol in PROTOCOLS for port in (*DOORS, *at_random)}
    return sorted(chosen, key=lambda door: (int(door[1]), door[0]))


def verdict(cell: Cell, found: str, occupied: bool = False) -> str:
    """Return "" if the answer is the expected one, ``unproven``, or what is wrong."""
    if found == cell.expected or (cell.expected == ANSWERS and found in (OPEN, REFUSED)):
        return ""
    if cell.expected == OPEN and cell.protocol == "udp" and occupied and found == SHUT:
        return UNPROVEN
    return (
        f"{cell.origin} -> {cell.target} ({cell.address}) {cell.port}/{cell.protocol}: "
        f"expected {cell.expected}, found {found} ({cell.why})"
    )


def report(
    site: Mapping[str, Any],
    found: Mapping[str, Sequence[str]],
    occupied: Mapping[str, Sequence[str]],
    outside: Sequence[Mapping[str, Any]] = (),
) -> Dict[str, Any]:
    """Return the matrix of the site. ``found`` holds what each host found, in the order of its attempts;
    ``occupied`` the ports, like ``udp/53``, that a service of the host held already."""
    wrong: List[str] = []
    unproven: List[str] = []
    cells: List[Dict[str, str]] = []
    counts: Dict[Tuple[str, str], List[int]] = {}
    for origin in site["hosts"]:
        tried = attempts(site, origin, outside)
        if len(found.get(origin, [])) != len(tried):
            wrong.append(f"{origin}: no result")
            continue
        for index, cell in enumerate(tried):
            answer = found[origin][index]
            problem = verdict(cell, answer, f"{cell.protocol}/{cell.port}" in occupied.get(cell.target, []))
            if problem == UNPROVEN:
                unproven.append(f"{cell.origin} -> {cell.target} {cell.port}/{cell.protocol}")
            elif problem:
                wrong.append(problem)
            count = counts.setdefault((origin, _column(site, cell)), [0, 0, 0])
            count[2 if problem and problem != UNPROVEN else 1 if cell.expected == SHUT else 0] += 1
            cells.append(dict(cell._asdict(), found=answer, verdict=problem or "right"))
    return {"wrong": wrong, "unproven": unproven, "cells": cells, "text": _text(site, counts, wrong, unproven)}


def _between(site: Mapping[str, Any], origin: str, target: str) -> List[Cell]:
    """A flow has to let the packet out of its origin, and one has to let it into its target."""
    here, there = site["hosts"][origin], site["hosts"][target]
    out = [flow for flow in site["flows"] if flow["from"] in ends(site, origin) and _holds(flow["destinations"], there)]
    into = [flow for flow in site["flows"] if flow["to"] in ends(site, target) and _holds(flow["sources"], here)]
    cells = []
    for protocol, port in doors(site):
        allowed = _first(out, port, protocol) and _first(into, port, protocol)
        expected = OPEN if allowed else SHUT
        why = allowed["why"] if allowed else DOORS.get(port, "no flow")
        cells.append(Cell(origin, target, there["address"], port, protocol, expected, why))
    return cells


def _first(flows: Sequence[Mapping[str, Any]], port: str, protocol: str) -> Optional[Mapping[str, Any]]:
    return next((flow for flow in flows if flow["protocol"] == protocol and covers(flow["port"], port)), None)


def _holds(networks: Sequence[str], host: Mapping[str, Any]) -> bool:
    address = ipaddress.ip_address(host["address"])
    return any(address in ipaddress.ip_network(network) for network in networks)


def _samples(port: str) -> List[str]:
    """Return a port, or both ends of a range of ports."""
    return sorted({end for end in port.split("-") if end})


def _column(site: Mapping[str, Any], cell: Cell) -> str:
    return cell.target if cell.target in site["hosts"] else "outside" if cell.target == "outside" else "services"


def _text(
    site: Mapping[str, Any],
    counts: Mapping[Tuple[str, str], Sequence[int]],
    wrong: Sequence[str],
    unproven: Sequence[str],
) -> str:
    columns = [*site["hosts"], "services", "outside"]
    width = max(len(column) for column in columns)
    rows = [" ".join(text.rjust(width) for text in ["from \\ to", *columns])]
    for origin in site["hosts"]:
        texts = [origin]
        for column in columns:
            passed, shut, bad = counts.get((origin, column), (0, 0, 0))
            texts.append("-" if not passed + shut + bad else f"{passed}+{shut}" + (f" !{bad}" if bad else ""))
        rows.append(" ".join(text.rjust(width) for text in texts))
    total = [sum(count[index] for count in counts.values()) for index in range(3)]
    rows += ["", "Each cell: flows that passed + doors that were shut; ! counts what is wrong."]
    rows.append(f"{total[0]} flows passed, {total[1]} doors were shut, {len(wrong)} wrong, {len(unproven)} unproven.")
    rows += [f"WRONG     {line}" for line in wrong]
    rows += [f"unproven  {line}: a service holds the port and does not answer the probe" for line in unproven]
    return "\n".join(rows) + "\n"
