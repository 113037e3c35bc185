"""One bridge per lab. Nodes reach each other and the bridge; the host forwards and translates nothing for them."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from .errors import LabError
from .system import run, run_json
from .topology import Lab

CACHE_PORT = 3142
# The bridge stands in for the site's package mirror and time server; nothing else of the host is open to nodes.
GUARD = """\
table inet {table} {{
  chain forward {{
    type filter hook forward priority -10
    iifname "{bridge}" oifname != "{bridge}" drop
    oifname "{bridge}" iifname != "{bridge}" drop
  }}
  chain input {{
    type filter hook input priority -10
    iifname != "{bridge}" accept
    ct state established,related accept
    ip daddr {address} tcp dport {port} accept
    ip daddr {address} udp dport 123 accept
    icmp type echo-request accept
    drop
  }}
}}
"""


def table(lab: Lab) -> str:
    return f"onprem-lab-{lab.name}"


def port_of(address: str) -> str:
    """Name of the host's end of a node's cable."""
    return f"ol{int(ipaddress.IPv4Address(address)):08x}"


def bridge_exists(lab: Lab) -> bool:
    return (Path("/sys/class/net") / lab.bridge).exists()


def up(lab: Lab) -> None:
    if not bridge_exists(lab):
        _refuse_overlap(lab)
        options = ["stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"]
        run("ip", "link", "add", lab.bridge, "type", "bridge", *options)
    run("ip", "address", "replace", f"{lab.bridge_address}/{lab.prefix_length}", "dev", lab.bridge)
    settings = Path("/proc/sys/net")
    (settings / "ipv4/conf" / lab.bridge / "forwarding").write_text("0")
    ipv6 = settings / "ipv6/conf" / lab.bridge / "disable_ipv6"
    if ipv6.exists():
        ipv6.write_text("1")
    run("ip", "link", "set", lab.bridge, "up")
    rules = GUARD.format(table=table(lab), bridge=lab.bridge, address=lab.bridge_address, port=CACHE_PORT)
    run("nft", "-f", "-", text=f"table inet {table(lab)}\ndelete table inet {table(lab)}\n{rules}")


def plug(lab: Lab, port: str) -> None:
    """Connect the host's end of a cable to the bridge."""
    run("ip", "link", "set", port, "master", lab.bridge, "up")


def down(lab: Lab) -> None:
    heal(lab)
    for link in [*ports(lab), lab.bridge]:
        _delete_link(link)
    _delete_table("inet", lab)


def ports(lab: Lab) -> list[str]:
    if not bridge_exists(lab):
        return []
    return [link["ifname"] for link in run_json("ip", "-j", "link", "show", "master", lab.bridge) if link]


def cut(lab: Lab, left: list[str], right: list[str]) -> None:
    """Drop everything between two sets of hosts, whatever addresses they hold; cuts add up until `heal`."""
    sides = [", ".join(f'"{port_of(lab.host(name).address)}"' for name in names) for names in (left, right)]
    rules = "".join(
        f"    iifname {{ {sides[one]} }} oifname {{ {sides[other]} }} drop\n" for one, other in ((0, 1), (1, 0))
    )
    chain = f"  chain cuts {{\n    type filter hook forward priority 0\n{rules}  }}\n"
    run("nft", "-f", "-", text=f"table bridge {table(lab)} {{\n{chain}}}\n")


def cuts(lab: Lab) -> list[tuple[list[str], list[str]]]:
    """Pairs of host sets that do not reach each other now (each in one direction)."""
    if not _has_table("bridge", lab):
        return []
    names = {port_of(host.address): host.name for host in lab.hosts}
    listing = json.loads(run("nft", "-j", "list", "table", "bridge", table(lab)))
    found = []
    for item in listing["nftables"]:
        matches = [part["match"]["right"] for part in item.get("rule", {}).get("expr", []) if "match" in part]
        if len(matches) == 2:
            found.append(tuple([names.get(port, port) for port in _as_list(side)] for side in matches))
    return found  # type: ignore[return-value]


def heal(lab: Lab) -> None:
    _delete_table("bridge", lab)


def _delete_link(link: str) -> None:
    """The kernel may take a cable away at any time: its other end goes with the namespace of a node that was killed."""
    try:
        run("ip", "link", "delete", link)
    except LabError:
        if (Path("/sys/class/net") / link).exists():
            raise


def _as_list(side: object) -> list[str]:
    if isinstance(side, dict):
        return [str(port) for port in side["set"]]
    return [str(side)]


def _has_table(family: str, lab: Lab) -> bool:
    return f"table {family} {table(lab)}\n" in run("nft", "list", "tables", family) + "\n"


def _delete_table(family: str, lab: Lab) -> None:
    if _has_table(family, lab):
        run("nft", "delete", "table", family, table(lab))


def _refuse_overlap(lab: Lab) -> None:
    wanted = ipaddress.IPv4Network(lab.network)
    for route in run_json("ip", "-j", "-4", "route", "show"):
        if route["dst"] != "default" and ipaddress.IPv4Network(route["dst"]).overlaps(wanted):
            raise LabError(f"lab_network {lab.network} is in use on this machine ({route['dst']} dev {route['dev']})")
