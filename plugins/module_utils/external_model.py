# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that a site gives and does not run: which they are, and what is wrong with one. No Ansible, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Sequence

from ansible_collections.onprem.dify.plugins.module_utils.postgresql_access import connections
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import NOT_SET, Finding
from ansible_collections.onprem.dify.plugins.module_utils.site import ENDPOINT_GROUPS
from ansible_collections.onprem.dify.plugins.module_utils.storage import stored_on

# The services that can be given, as site_services names them, and the variable that describes each.
VARIABLES = {"postgres": "external_postgresql", "redis": "external_redis", "s3": "external_s3"}

CHECKS = {
    "address": "The host of the service has an address, and site_services names it",
    "reach": "The service takes connections within the time-out",
    "secret": "The passwords and keys for it are in site_secrets",
    "tls": "It offers TLS 1.2 or newer",
    "tls-trust": "Its certificate is valid for the host and vouched for by the authorities",
    "tls-old": "It refuses TLS older than 1.3",
    "slow": "It answers within 10 milliseconds",
    "protocol": "It speaks the protocol of the service and answers every question",
    "login": "Every user may log in with its password or keys",
    "version": "It is new enough",
    "version-other": "Its version is one that the collection is tested with",
    "read-write": "It takes writes, and is not a standby or a replica",
    "database": "Every database is there",
    "schema": "Its owner may create tables",
    "extension": "Its extensions are there, or its owner may create them",
    "connections": "It takes the connections of all planned clients",
    "connections-limit": "No limit of a user or a database is in their way",
    "eviction": "Redis throws nothing away when its memory is full",
    "keys": "The user may write, read and delete keys that expire",
    "messages": "The user may publish and subscribe",
    "bucket": "Every bucket does what Dify needs, and refuses wrong keys",
}

SLOW_MILLISECONDS = 10.0


@dataclass(frozen=True)
class Service:
    """Where a service is and how it proves itself."""

    name: str
    host: str
    port: int
    addresses: Sequence[str]
    # Where the text of the authorities comes from; empty for those of the operating system.
    ca_file: str
    # None if the file cannot be read.
    ca: Any
    timeout: float

    @property
    def where(self) -> str:
        return f"{self.name} {self.host}:{self.port}"

    def variable(self, key: str) -> str:
        return f"{VARIABLES[self.name]}.{key}"

    @classmethod
    def of(cls, name: str, wish: Mapping[str, Any], timeout: float) -> Service:
        keys = ("host", "port", "addresses", "ca_file", "ca")
        return cls(name, timeout=timeout, **{key: wish[key] for key in keys})


@dataclass
class Report:
    """What is wrong with a service, and what is worth knowing."""

    service: Service
    findings: List[Finding] = field(default_factory=list)
    notes: List[Finding] = field(default_factory=list)
    facts: Dict[str, Any] = field(default_factory=dict)

    def finding(self, check: str, variable: str, found: str, wanted: str) -> None:
        self.findings.append(self._line(check, variable, found, wanted))

    def note(self, check: str, variable: str, found: str, wanted: str) -> None:
        self.notes.append(self._line(check, variable, found, wanted))

    def round_trip(self, seconds: Sequence[float]) -> None:
        milliseconds = round(sorted(seconds)[len(seconds) // 2] * 1000, 2)
        self.facts["milliseconds"] = milliseconds
        if milliseconds > SLOW_MILLISECONDS:
            found = f"{milliseconds:g} ms away"
            self.note("slow", self.service.variable("host"), found, f"{SLOW_MILLISECONDS:g} ms or less for each answer")

    def password(self, passwords: Mapping[str, str], secret: str) -> str:
        """The password of that name; empty, and a finding, if there is none."""
        value = passwords.get(secret) or ""
        if not value:
            self.finding("secret", f"site_secrets.{secret}", NOT_SET, "what the service lets the user in with")
        return value

    def _line(self, check: str, variable: str, found: str, wanted: str) -> Finding:
        return Finding(check, self.service.where, variable, " ".join(found.split()), wanted)


def given(site: Mapping[str, Any]) -> List[str]:
    """The services that the site gives and does not run itself: a group that has hosts wins."""
    groups = {group for host in site["hosts"].values() for group in host["groups"]}
    return [name for name in VARIABLES if site["services"].get(name) and ENDPOINT_GROUPS[name] not in groups]


def describe(
    name: str, site: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any]
) -> Dict[str, Any]:
    """What a service of the site is, with all defaults of its variable."""
    addresses = [str(address) for address in site["services"][name]]
    complete: Dict[str, Any] = {key: option.get("default") for key, option in options.items()}
    complete.update({key: value for key, value in settings.items() if value is not None})
    complete["host"] = str(complete.get("host") or addresses[0])
    complete["addresses"] = addresses
    if name == "postgres":
        clients, reserve = complete.pop("expected_clients"), int(complete.pop("connection_reserve"))
        complete["connections"] = connections(clients, reserve, 0)
        complete["databases"] = [{"extensions": [], **database} for database in complete["databases"]]
    if name == "s3":
        complete["buckets"] = stored_on("s3", complete["buckets"], site["storage"])
    return complete


def secret_names(services: Mapping[str, Mapping[str, Any]]) -> List[str]:
    """What of site_secrets the checks need, and nothing else may reach the host that runs them."""
    return list(_secret_names(services))


def _secret_names(services: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if "postgres" in services:
        yield from (database["secret"] for database in services["postgres"]["databases"])
    if "redis" in services:
        yield services["redis"]["secret"]
    if "s3" in services:
        for bucket in services["s3"]["buckets"]:
            yield from (f"{bucket['secret']}_access_key", f"{bucket['secret']}_secret_key")
