# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the hosts: what each said about itself, held against the site and against each other."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import pins
from ansible_collections.onprem.dify.plugins.module_utils.host_checks import wrong_names
from ansible_collections.onprem.dify.plugins.module_utils.kubernetes_versions import refusal
from ansible_collections.onprem.dify.plugins.module_utils.preflight_flows import ports
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import Finding

CHECKS = {
    "login": "Ansible can log in and become root",
    "python": "The host has Python 3.9 or newer",
    "os": "The operating system is a supported one",
    "systemd": "systemd runs the host",
    "cpus": "The host has the processors that its groups need",
    "memory": "The host has the memory that its groups need",
    "disk": "The host has the disk that its groups need, and free space on it",
    "clock": "The clocks of the hosts agree",
    "name-self": "The host resolves its own name",
    "name-site": "The site's DNS does not give a wrong address for an endpoint",
    "cgroup": "Kubernetes hosts have cgroup v2",
    "swap": "Kubernetes hosts have no swap",
    "kubernetes-version": "From the Kubernetes that runs there is a way to the pinned one",
    "kernel": "File servers have a kernel of their own",
    "mirror-registry": "The registry of a mirror comes as a package only where there is one",
    "port": "The ports of the host's flows are free, or used by the programs that they are for",
    "route": "The host has a route to the far end of each of its flows",
    "machine-id": "No two hosts have the same machine-id",
    "ssh-host-key": "No two hosts have the same SSH host key",
    "mac": "SELinux or AppArmor is active",
}

SUPPORTED: Dict[str, Sequence[str]] = {
    "Debian": ("12", "13"),
    "Ubuntu": ("22.04", "24.04"),
    "RedHat": ("9",),
    "Rocky": ("9",),
    "AlmaLinux": ("9",),
    "openEuler": ("22.03", "24.03"),
}
SYSTEMS = "Debian 12 or 13, Ubuntu 22.04 or 24.04, RHEL, Rocky or AlmaLinux 9, openEuler 22.03 or 24.03"

# The firmware and the kernel keep a part of the memory that was bought.
MEMORY_TOLERANCE = 0.9
FREE_DISK_GIB = 2

# The programs that belong on a port; the ranges are those of the flow table.
PROGRAMS: Dict[str, Sequence[str]] = {
    "22": ("sshd",),
    "443": ("nginx", "haproxy"),
    "2049": (),  # the kernel
    "2379-2380": ("etcd",),
    "5000": ("registry", "nginx"),
    "5432": ("postgres", "haproxy"),
    "5433": ("postgres", "haproxy"),
    "6379": ("redis-server", "valkey-server", "haproxy"),
    "6443": ("kube-apiserver",),
    "6514": ("rsyslogd",),
    "8000": ("rest-server",),
    "8008": ("patroni", "python3"),
    "8405": ("haproxy",),
    "8432": ("pgbackrest",),
    "8443": ("haproxy",),
    "9090": ("prometheus",),
    "9093": ("alertmanager",),
    "9094": ("alertmanager",),
    "9100": ("node_exporter", "prometheus-node"),
    "9113": ("nginx-prometheus", "nginx_exporter"),
    "9121": ("redis_exporter", "prometheus-redi"),
    "9187": ("postgres_exporter", "prometheus-post"),
    "10250": ("kubelet",),
    "26379": ("redis-sentinel", "redis-server", "valkey-sentinel", "valkey-server"),
    "8080": ("weed",),
    "8333": ("weed", "haproxy"),
    "8888": ("weed",),
    "9324": ("weed", "haproxy"),
    "9333": ("weed",),
    "18080": ("weed",),
    "18080-18888": ("weed",),
    "19333": ("weed",),
}


@dataclass(frozen=True)
class Hosts:
    """The site and what its hosts said, by name of the host."""

    site: Mapping[str, Any]
    seen: Mapping[str, Mapping[str, Any]]
    # Wanted of a host by group: {cpus, memory (MiB), disk (GiB)}.
    minimums: Mapping[str, Mapping[str, float]]
    max_clock_skew: float
    # The version of Kubernetes that the site pins.
    kubernetes: str = ""
    # How the registry of a mirror is to be installed, by host that says it, and the systems that have a package of it.
    registry_installs: Mapping[str, str] = field(default_factory=dict)
    registry_packaged: Iterable[str] = ()


def findings(hosts: Hosts) -> Iterator[Finding]:
    for name, seen in hosts.seen.items():
        if seen.get("failure"):
            yield Finding(
                seen["failure"]["check"],
                name,
                seen["failure"]["variable"],
                seen["failure"]["found"],
                seen["failure"]["wanted"],
            )
            continue
        for check in EACH:
            yield from check(hosts, name, seen)
    answering = {name: seen for name, seen in hosts.seen.items() if not seen.get("failure")}
    yield from _clocks(answering, hosts.max_clock_skew)
    yield from _clones(answering)


def destinations(site: Mapping[str, Any], name: str) -> List[str]:
    """The far ends of the flows that start at a host; of a network, its first address."""
    address = site["hosts"][name]["address"]
    ends = {
        end for flow in site["flows"] if address in flow["sources"] for end in flow["destinations"] if end != address
    }
    return sorted(map(_first_address, ends))


def endpoint_names(site: Mapping[str, Any]) -> Dict[str, str]:
    """The names of the endpoints in the site's domain, where the site has a DNS to ask."""
    if not site["services"].get("dns"):
        return {}
    return {f"{name}.{site['domain']}": address for name, address in site["endpoints"].items()}


def _python(hosts: Hosts, name: str, seen: Mapping[str, Any]) -> Iterator[Finding]:
    version = seen["python"]
    if tuple(map(int, version.split(".")[:2])) < (3, 9):
        yield Finding("python", name, "Python", version, "3.9 or newer, named by ansible_python_interpreter")


def _system(hosts: Hosts, name: str, seen: Mapping[str, Any]) -> Iterator[Finding]:
    distribution, version = seen["facts"]["distribution"], str(seen["facts"]["distribution_version"])
    if not any(version == release or version.startswith(f"{release}.") for release in SUPPORTED.get(distribution, ())):
        yield Finding("os", name, "the operating system", f"{distribution} {version}", SYSTEMS)
    if seen["init"] != "systemd":
        yield Finding("systemd", name, "process 1", seen["init"], "systemd")
    if not seen["security_modules"]:
        yield Finding("mac", name, "mandatory access control", "not visible or off", "SELinux or AppArmor")


def _size(hosts: Hosts, name: str, seen: Mapping[str, Any]) -> Iterator[Finding]:
    groups = [*hosts.site["hosts"][name]["groups"], "all"]
    wanted = [hosts.minimums[group] for group in groups if group in hosts.minimums]
    cpus = max((minimum.get("cpus", 0) for minimum in wanted), default=0)
    # Services on one host share its processors, and add up in memory and on disk.
    memory, disk = (sum(minimum.get(kind, 0) for minimum in wanted) for kind in ("memory", "disk"))
    means = "for " + ", ".join(groups[:-1]) if groups[:-1] else "for any host"
    if seen["cpus"] < cpus:
        yield Finding("cpus", name, "its number of processors", str(seen["cpus"]), f"{cpus:g} {means}")
    if seen["memory"] < memory * MEMORY_TOLERANCE:
        yield Finding("memory", name, "its memory", f"{seen['memory']} MiB", f"{memory:g} MiB {means}")
    if seen["disk_size"] < disk:
        yield Finding("disk", name, "the disk of /var", f"{seen['disk_size']:g} GiB", f"{disk:g} GiB {means}")
    elif seen["disk_free"] < FREE_DISK_GIB:
        yield Finding(
            "disk", name, "the disk of /var", f"full, {seen['disk_free']:g} GiB free", f"{FREE_DISK_GIB} GiB free"
        )


def _resolution(hosts: Hosts, name: str, seen: Mapping[str, Any]) -> Iterator[Finding]:
    if not seen["names"].get(seen["hostname"]):
        yield Finding(
            "name-self", name, f"its name {seen['hostname']}", "not resolved by itself", "an entry in /etc/hosts or DNS"
        )
    wanted = endpoint_names(hosts.site)
    for wrong, addresses in wrong_names(seen["names"], wanted).items():
        yield Finding("name-site", name, wrong, f"{addresses} in its DNS", wanted[wrong])


def _cluster(hosts: Hosts, name: str, seen: Mapping[str, Any]) -> Iterator[Finding]:
    if hosts.site["hosts"][name]["cluster"] and seen["cgroup"] != "cgroup2fs":
        yield Finding("cgroup", name, "/sys/fs/cgroup", seen["cgroup"], "cgroup2fs, as Kubernetes needs cgroup v2")


def _swap(hosts: Hosts, name: str, seen: Mapping[str, Any]) -> Iterator[Finding]:
    if hosts.site["hosts"][name]["cluster"] and seen["swap"]:
        found = f"on ({', '.join(seen['swap'])})"
        yield Finding("swap", name, "its swap", found, "off: swapoff -a, and no line of it in /etc/fstab")


def _kubernetes(hosts: Hosts, name: str, seen: Mapping[str, Any]) -> Iterator[Finding]:
    found, wanted = seen["kubernetes"], hosts.kubernetes
    why = refusal(found, wanted) if found and wanted and hosts.site["hosts"][name]["cluster"] else ""
    if why:
        yield Finding("kubernetes-version", name, "its Kubernetes", found, f"{found} in site_pins, not {wanted}: {why}")


def _files(hosts: Hosts, name: str, seen: Mapping[str, Any]) -> Iterator[Finding]:
    if "files" in hosts.site["hosts"][name]["groups"] and "container" in seen["facts"]["virtualization_tech_guest"]:
        yield Finding("kernel", name, "its kernel", "that of the host of a container", "its own, which serves NFS")


def _registry(hosts: Hosts, name: str, seen: Mapping[str, Any]) -> Iterator[Finding]:
    facts = seen["facts"]
    packaged = set(pins.Host(facts).systems) & set(hosts.registry_packaged)
    wanted_so = "mirror" in hosts.site["hosts"][name]["groups"] and hosts.registry_installs.get(name) == "package"
    if wanted_so and not packaged:
        system = f"{facts['distribution']} {facts['distribution_version']}"
        wanted = f"archive, or nothing at all, as {system} has no package of the registry"
        yield Finding("mirror-registry", name, "mirror_registry_install", "package", wanted)


def _ports(hosts: Hosts, name: str, seen: Mapping[str, Any]) -> Iterator[Finding]:
    address = hosts.site["hosts"][name]["address"]
    flows = [flow for flow in hosts.site["flows"] if address in flow["destinations"]]
    reported = set()
    for listener in seen["listeners"]:
        mine = [
            flow
            for flow in flows
            if flow["protocol"] == listener["protocol"] and listener["port"] in ports(flow["port"])
        ]
        # systemd holds the sockets of units that start on demand.
        expected = {"systemd", *(program for flow in mine for program in PROGRAMS.get(flow["port"], ()))}
        foreign = [program for program in listener["programs"] if program not in expected]
        # A kernel service such as nfsd has no program.
        if mine and foreign and (listener["port"], listener["protocol"]) not in reported:
            reported.add((listener["port"], listener["protocol"]))
            port = f"port {listener['port']}/{listener['protocol']}"
            yield Finding("port", name, port, f"in use by {', '.join(foreign)}", f"free, for: {mine[0]['why']}")


def _routes(hosts: Hosts, name: str, seen: Mapping[str, Any]) -> Iterator[Finding]:
    address = hosts.site["hosts"][name]["address"]
    flows = [flow for flow in hosts.site["flows"] if address in flow["sources"]]
    for destination, problem in seen["routes"].items():
        reasons = [flow["why"] for flow in flows if destination in map(_first_address, flow["destinations"])]
        if problem:
            found = f"missing ({problem})"
            yield Finding("route", name, f"the route to {destination}", found, f"a route, for: {reasons[0]}")


def _first_address(end: str) -> str:
    return end.split("/")[0]


def _clocks(seen: Mapping[str, Mapping[str, Any]], allowed: float) -> Iterator[Finding]:
    offsets = {name: host["clock_offset"] for name, host in seen.items()}
    if not offsets or max(offsets.values()) - min(offsets.values()) <= allowed:
        return
    middle = statistics.median_low(offsets.values())
    for name, offset in offsets.items():
        # How far the answer itself was on its way is not the clock's fault.
        apart = abs(offset - middle) - seen[name]["clock_error"]
        if apart > allowed:
            direction = "ahead of" if offset > middle else "behind"
            yield Finding(
                "clock", name, "its clock", f"{apart:.1f} s {direction} the other hosts", f"within {allowed:g} s"
            )


def _clones(seen: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    for check, key, what, cure in (
        ("machine-id", "machine_id", "/etc/machine-id", "one of its own: systemd-machine-id-setup on a clone"),
        (
            "ssh-host-key",
            "ssh_host_key",
            "its SSH host key",
            "one of its own: ssh-keygen -A on a clone, after removing the old",
        ),
    ):
        owners: Dict[str, str] = {}
        for name, host in sorted(seen.items()):
            value = host[key]
            if value and value in owners:
                yield Finding(check, name, what, f"that of {owners[value]}", cure)
            owners.setdefault(value, name)


Check = Callable[[Hosts, str, Mapping[str, Any]], Iterator[Finding]]
EACH: Sequence[Check] = (
    *(_python, _system, _size, _resolution, _cluster, _swap, _kubernetes, _files, _registry, _ports, _routes),
)
