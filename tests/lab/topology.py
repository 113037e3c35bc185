"""What the lab is made of, read from the inventory: there is no second list of nodes."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import LabError

ROOT = Path(__file__).resolve().parents[2]
NODE = "node"
VM = "vm"
DEFAULT_SUITE = "bookworm"
# Path below the package cache at which the lab serves what it has built.
SERVED = "lab"
# A bridge name may have 15 characters; three of them are the prefix of all lab links.
SITE_NAME = re.compile(r"[a-z][a-z0-9-]{0,11}")
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


@dataclass(frozen=True)
class Host:
    """One machine of the lab."""

    name: str
    address: str
    groups: tuple[str, ...]
    vars: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def kind(self) -> str:
        return str(self.vars.get("lab_kind", NODE))

    @property
    def memory(self) -> str:
        """Memory of a VM; nodes share that of the host."""
        return str(self.vars.get("lab_memory", "2G"))

    @property
    def disk(self) -> str:
        return str(self.vars.get("lab_disk", "2G"))

    @property
    def runs_pods(self) -> bool:
        """Whether the node may do what a container runtime does: only where a site asks for it."""
        asked = self.kind == NODE and bool(self.vars.get("lab_kubernetes"))
        return asked and not {"control_plane", "workers"}.isdisjoint(self.groups)


@dataclass(frozen=True)
class Lab:
    """One site of throw-away machines; every name on the system derives from `name`."""

    name: str
    network: str
    bridge: str
    bridge_address: str
    prefix_length: int
    state: Path
    cache: Path
    suite: str
    hosts: tuple[Host, ...] = ()

    def host(self, name: str) -> Host:
        for host in self.hosts:
            if host.name == name:
                return host
        known = ", ".join(host.name for host in self.hosts)
        raise LabError(f"{name}: no such host in lab {self.name} (known: {known})")

    def select(self, names: list[str]) -> tuple[Host, ...]:
        """The named hosts, or all of them if none is named."""
        return tuple(self.host(name) for name in names) if names else self.hosts

    @property
    def key(self) -> Path:
        return self.state / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.state / "known_hosts"

    @property
    def mirror(self) -> str:
        """Address of the package cache that stands in for the mirror of the site."""
        return f"http://{self.bridge_address}:3142"

    @property
    def served(self) -> Path:
        """What the package cache gives out besides packages, one folder a component."""
        return self.state / "served"

    def file_of_site(self, name: str) -> Path:
        """A file from which the inventory takes what a real site would have in its own folder."""
        return self.state / f"{name}.json"


def cache_root() -> Path:
    return Path(os.environ.get("LAB_CACHE") or Path.home() / ".cache" / "onprem-dify")


def bridge_name(site: str) -> str:
    return f"ol-{site}"


def remains(site: str, cache: Path) -> Lab:
    """A lab of which only the name is known: enough to take it away."""
    return Lab(site, "", bridge_name(site), "", 0, cache / "run" / site, cache, "")


def read(inventory: str, suite: str | None = None) -> Lab:
    """Read the lab that an inventory describes."""
    if not Path(inventory).exists():
        raise LabError(f"{inventory}: no such inventory")
    program = shutil.which("ansible-inventory") or shutil.which("ansible-inventory", path=str(ROOT / ".venv/bin"))
    if program is None:
        raise LabError("ansible-inventory is neither on PATH nor in .venv: run `make setup`")
    command = [program, "-i", inventory, "--list"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise LabError(f"{inventory}: {' '.join(answer.stderr.split())[:300]}")
    return parse(json.loads(answer.stdout), suite or os.environ.get("LAB_SUITE") or DEFAULT_SUITE, cache_root())


def parse(listing: Mapping[str, Any], suite: str, cache: Path) -> Lab:
    """Turn the output of `ansible-inventory --list` into a lab."""
    hostvars = listing.get("_meta", {}).get("hostvars", {})
    if not hostvars:
        raise LabError("the inventory has no hosts")
    site = _one(hostvars, "site_name")
    if not SITE_NAME.fullmatch(site):
        raise LabError(f"site_name {site!r}: at most 12 characters a-z, 0-9 and -, starting with a letter")
    try:
        network = ipaddress.IPv4Network(_one(hostvars, "lab_network"))
    except ValueError as error:
        raise LabError(f"lab_network: {error}") from error
    bridge_address = str(network.network_address + 1)
    return Lab(
        name=site,
        network=str(network),
        bridge=bridge_name(site),
        bridge_address=bridge_address,
        prefix_length=network.prefixlen,
        state=cache / "run" / site,
        cache=cache,
        suite=suite,
        hosts=_hosts(listing, hostvars, network, bridge_address),
    )


def _hosts(
    listing: Mapping[str, Any], hostvars: Mapping[str, Any], network: ipaddress.IPv4Network, bridge_address: str
) -> tuple[Host, ...]:
    hosts: list[Host] = []
    taken = {bridge_address: "the bridge"}
    for name, variables in hostvars.items():
        if not HOST_NAME.fullmatch(name):
            raise LabError(f"{name}: not a host name (a-z, 0-9 and -, at most 40 characters)")
        address = str(variables.get("ansible_host", ""))
        try:
            inside = ipaddress.IPv4Address(address) in network
        except ValueError as error:
            raise LabError(f"{name}: ansible_host {address!r} is not an IPv4 address") from error
        if not inside:
            raise LabError(f"{name}: ansible_host {address} is outside lab_network {network}")
        if address in taken:
            raise LabError(f"{name}: ansible_host {address} is already used by {taken[address]}")
        host = Host(name, address, groups_of(listing, name), variables)
        if host.kind not in (NODE, VM):
            raise LabError(f"{name}: lab_kind {host.kind!r} is neither {NODE} nor {VM}")
        taken[address] = name
        hosts.append(host)
    return tuple(hosts)


def groups_of(listing: Mapping[str, Any], host: str) -> tuple[str, ...]:
    """The groups that name the host themselves, in the order of the inventory (parents are zones, not groups)."""
    return tuple(
        name for name, group in listing.items() if name not in ("_meta", "all") and host in group.get("hosts", ())
    )


def _one(hostvars: Mapping[str, Any], variable: str) -> str:
    values = {str(variables[variable]) for variables in hostvars.values() if variable in variables}
    if not values:
        raise LabError(f"{variable} is not set in the inventory")
    if len(values) > 1:
        raise LabError(f"{variable} must be the same for all hosts, found {', '.join(sorted(values))}")
    return values.pop()
