# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tenants of a site: each is a Dify of its own, with one workspace as its licence demands. No Ansible, no I/O."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence

# Namespaces that belong to Kubernetes and to what carries it.
SYSTEM_NAMESPACES = re.compile(r"default|kube-.*|flannel|.*-system")
# Databases and buckets of the site that are no tenant's.
OTHERS_DATABASES = ("postgres", "seaweedfs", "template0", "template1")
OTHERS_BUCKETS = ("backup",)
LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
DATABASE = re.compile(r"[a-z][a-z0-9_]{0,62}")
BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|[kMGT]|[KMGT]i)?")
# A namespace has 63 characters, and that of the sandboxes has this behind it.
SANDBOX = "-sandbox"
LONGEST = 63 - len(SANDBOX)
# Redis keeps its data in numbered databases; Dify takes three of them.
REDIS_DATABASES = 3
FIRST_NODE_PORT = 30443
# Kubernetes leaves the first addresses of the service network to those who choose one.
FIRST_PROXY_ADDRESS = 32


class Fault(NamedTuple):
    """What is wrong with a tenant: the check, the place below its entry, what was found and what is wanted."""

    check: str
    place: str
    found: str
    wanted: str

    def line(self, variable: str = "") -> str:
        return f"{variable}{self.place} is {self.found}, wanted: {self.wanted}"


class TenantError(Exception):
    """The tenants cannot be built; the text is for the user, a line for each fault."""


def complete(tenant: Mapping[str, Any], domain: str, service_network: str) -> Dict[str, Any]:
    """A tenant with everything that follows from its name and its number."""
    name = str(tenant["name"])
    key, number = key_of(name), int(tenant.get("number") or 1)
    namespace = str(tenant.get("namespace") or name)
    first = (number - 1) * REDIS_DATABASES
    base = ipaddress.IPv4Network(service_network).network_address
    return {
        "name": name,
        "key": key,
        "number": number,
        "hostname": str(tenant.get("hostname") or domain),
        "namespace": namespace,
        "sandbox_namespace": f"{namespace}{SANDBOX}",
        "databases": {
            "main": key,
            "plugin": f"{key}_plugin",
            "vector": f"{key}_vector",
            **_called(tenant, "databases"),
        },
        "buckets": {"uploads": name, "packages": f"{name}-plugin", **_called(tenant, "buckets")},
        "redis": {"user": name, "database": first, "celery": first + 1, "agents": first + 2},
        "node_port": node_port(number),
        "proxy_address": str(base + FIRST_PROXY_ADDRESS + number - 1),
        "agents": bool(tenant.get("agents")),
        **{part: given(tenant, part) for part in ("groups", "quota", "settings", "workers", "workloads")},
    }


def given(tenant: Mapping[str, Any], part: str) -> Dict[str, Any]:
    value = tenant.get(part)
    return dict(value) if isinstance(value, Mapping) else {}


def _called(tenant: Mapping[str, Any], part: str) -> Dict[str, str]:
    """What the site calls otherwise than after the tenant."""
    return {use: str(name) for use, name in given(tenant, part).items() if name}


def namespace_of(tenant: Mapping[str, Any], service: Mapping[str, Any]) -> str:
    """Where a service of a complete tenant runs."""
    return str(tenant["sandbox_namespace" if service.get("isolated") else "namespace"])


def node_port(number: int) -> int:
    """The port of the workers behind which a tenant is."""
    return FIRST_NODE_PORT + number - 1


def key_of(name: str) -> str:
    """The name of a tenant where no hyphen may stand: in databases and secrets."""
    return name.replace("-", "_")


def all_complete(
    tenants: Sequence[Mapping[str, Any]], site: Mapping[str, Any], redis: int = 16
) -> List[Dict[str, Any]]:
    """The tenants of a site, or an error with every fault of them."""
    found = list(faults(tenants, str(site["domain"]), redis))
    if found:
        raise TenantError("\n".join(fault.line("dify_tenants") for fault in found))
    return [complete(tenant, str(site["domain"]), str(site["service_network"])) for tenant in tenants]


def faults(tenants: Sequence[Mapping[str, Any]], domain: str, redis: int = 16) -> Iterator[Fault]:
    """`redis`: how many databases Redis has."""
    named = [(number, tenant) for number, tenant in enumerate(tenants) if _has_name(tenant)]
    for number, tenant in named:
        yield from _faults_of(f"[{number}]", complete(tenant, domain, "0.0.0.0/0"), domain, redis)
    yield from _shared([(number, complete(tenant, domain, "0.0.0.0/0")) for number, tenant in named])


def _has_name(tenant: Any) -> bool:
    """Preflight asks for the name, and for the types, by the specification of the variable."""
    return isinstance(tenant, Mapping) and bool(tenant.get("name")) and str(tenant.get("number") or 1).isdigit()


def _faults_of(place: str, tenant: Mapping[str, Any], domain: str, redis: int) -> Iterator[Fault]:
    name, namespace, hostname = tenant["name"], tenant["namespace"], tenant["hostname"]
    if not LABEL.fullmatch(name):
        yield Fault("tenant-name", f"{place}.name", name, "a short name of a-z, 0-9 and -, with a letter first")
        return
    if len(namespace) > LONGEST:
        wanted = f"{LONGEST} or fewer, as {SANDBOX} comes behind it"
        yield Fault("tenant-namespace", f"{place}.namespace", f"{len(namespace)} characters long", wanted)
    elif not LABEL.fullmatch(namespace):
        yield Fault(
            "tenant-namespace", f"{place}.namespace", namespace, "a name of a-z, 0-9 and -, with a letter first"
        )
    elif SYSTEM_NAMESPACES.fullmatch(namespace):
        yield Fault("tenant-namespace", f"{place}.namespace", f"{namespace}, which is the cluster's", "one of its own")
    # The domain of the site has a check of its own.
    if hostname != domain and not HOST_NAME.fullmatch(hostname):
        yield Fault("tenant-hostname", f"{place}.hostname", hostname, "a full host name in lower case")
    elif hostname in [f"{service}.{domain}" for service in ("kube-api", "postgres", "redis", "s3")]:
        yield Fault("tenant-hostname", f"{place}.hostname", f"{hostname}, an endpoint of the site", "one of its own")
    most = redis // REDIS_DATABASES
    if not 1 <= tenant["number"] <= most:
        wanted = f"1 to {most}, as each tenant has {REDIS_DATABASES} of the {redis} databases of Redis"
        yield Fault("tenant-number", f"{place}.number", str(tenant["number"]), wanted)
    yield from _names(
        f"{place}.databases", tenant["databases"], DATABASE, OTHERS_DATABASES, "1 to 63 of a-z, 0-9 and _"
    )
    yield from _names(f"{place}.buckets", tenant["buckets"], BUCKET, OTHERS_BUCKETS, "3 to 63 of a-z, 0-9 and -")
    for resource, value in tenant["quota"].items():
        if not QUANTITY.fullmatch(str(value)):
            yield Fault(
                "tenant-quota", f"{place}.quota.{resource}", str(value), "a quantity of Kubernetes, as 500m or 8Gi"
            )


def _names(
    place: str, names: Mapping[str, str], form: re.Pattern[str], others: Sequence[str], letters: str
) -> Iterator[Fault]:
    for purpose, name in names.items():
        if not form.fullmatch(name):
            yield Fault("tenant-store", f"{place}.{purpose}", name, f"a name of {letters}")
        elif name in others:
            yield Fault("tenant-store", f"{place}.{purpose}", f"{name}, which is not a tenant's", "one of its own")


def _shared(tenants: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[Fault]:
    """Whatever two tenants have in common: the later one is named. Who shares a name shares everything, said once."""
    owners: Dict[tuple[str, str], tuple[int, str]] = {}
    for number, tenant in tenants:
        said: List[str] = []
        for field, value in _own(tenant):
            owner = owners.setdefault((field.split(".")[0], value), (number, field))
            if owner != (number, field) and field not in said:
                said.append(field)
                other = dict(tenants)[owner[0]]["name"]
                yield Fault("tenant-duplicate", f"[{number}].{field}", f"{value}, which {other} has", "one of its own")
                if field == "name":
                    break


def _own(tenant: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field in ("name", "number", "hostname"):
        yield field, str(tenant[field])
    yield "namespace", tenant["namespace"]
    yield "namespace", tenant["sandbox_namespace"]
    for part in ("databases", "buckets"):
        yield from ((f"{part}.{purpose}", name) for purpose, name in tenant[part].items())
