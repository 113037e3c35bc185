# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates as a service wishes them, and what is remembered of them. No Ansible, no I/O, no cryptography."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

BASE = "/etc/onprem-dify/pki"
METRIC = "/var/lib/node_exporter/textfile/onprem_dify_certificates.prom"

KEY, CERTIFICATE, COMBINED, AUTHORITY = "tls.key", "tls.crt", "tls.pem", "ca.crt"
# Of each file, who else than its owner reads it. Services may rely on these.
MODES: Dict[str, int] = {KEY: 0o600, COMBINED: 0o600, CERTIFICATE: 0o644, AUTHORITY: 0o644}

COMMON_NAME_LENGTH = 64
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_COMMON_NAME = re.compile(r"[A-Za-z0-9*._@ -]+")
_UNIT_ACTIONS = ("restart", "reload", "none")


class CertificateError(Exception):
    """A wish that makes no sense or cannot be fulfilled; the text is for the user."""


@dataclass(frozen=True)
class Wish:
    """A certificate of a service on one host. `units` read it; only the renewal on its own needs to know them."""

    name: str
    directory: str
    owner: str
    group: str
    common_name: str
    names: Tuple[str, ...]
    combined: bool
    units: Tuple[Tuple[str, str], ...] = ()

    def path(self, file: str = CERTIFICATE) -> str:
        return f"{self.directory}/{file}"

    def as_dict(self) -> Dict[str, Any]:
        return {**asdict(self), "names": list(self.names), "units": self.unit_entries()}

    def unit_entries(self) -> List[Dict[str, str]]:
        return [{"name": name, "on_change": action} for name, action in self.units]


def parse_wishes(entries: Sequence[Mapping[str, Any]]) -> List[Wish]:
    """The wishes of a task, or one error with everything that is wrong with them."""
    wishes: List[Wish] = []
    faults: List[str] = []
    for entry in entries:
        try:
            wishes.append(_parse(entry))
        except CertificateError as error:
            faults.append(str(error))
    directories = [wish.directory for wish in wishes]
    faults += [
        f"{directory} is wished twice" for directory in sorted(set(directories)) if directories.count(directory) > 1
    ]
    if faults:
        raise CertificateError("; ".join(faults))
    return wishes


def _parse(entry: Mapping[str, Any]) -> Wish:
    name = str(entry.get("name") or "")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise CertificateError(f"name is {name!r}, wanted lower case letters, digits and ._-")
    unknown = sorted(set(entry) - set(Wish.__dataclass_fields__) - {"not_after"})
    if unknown:
        raise CertificateError(f"certificate {name}: unknown option {', '.join(unknown)}")
    try:
        names = tuple(normal_name(str(item)) for item in entry.get("names") or [])
        common_name = str(entry.get("common_name") or (names[0] if names else ""))
        if not _COMMON_NAME.fullmatch(common_name):
            raise CertificateError(f"common_name is {common_name!r}, wanted a name such as db1.example.internal")
        if len(common_name) > COMMON_NAME_LENGTH:
            raise CertificateError(f"common_name has {len(common_name)} characters, at most {COMMON_NAME_LENGTH} fit")
        directory = str(entry.get("directory") or f"{BASE}/{name}").rstrip("/")
        if not directory.startswith("/"):
            raise CertificateError(f"directory is {directory}, wanted an absolute path")
        units = tuple(_unit(unit) for unit in entry.get("units") or [])
    except CertificateError as error:
        raise CertificateError(f"certificate {name}: {error}") from error
    return Wish(
        name=name,
        directory=directory,
        owner=str(entry.get("owner") or "root"),
        group=str(entry.get("group") or "root"),
        common_name=common_name,
        names=tuple(dict.fromkeys(names)),
        combined=bool(entry.get("combined", False)),
        units=units,
    )


def _unit(entry: Mapping[str, Any]) -> Tuple[str, str]:
    name, action = str(entry.get("name") or ""), str(entry.get("on_change") or "reload")
    if not name or action not in _UNIT_ACTIONS or set(entry) - {"name", "on_change"}:
        raise CertificateError(f"units holds {dict(entry)}, wanted name and on_change ({', '.join(_UNIT_ACTIONS)})")
    return name, action


def normal_name(name: str) -> str:
    """A DNS name or an IP address in the one form in which names are compared."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    text = name.lower().rstrip(".")
    labels = text.split(".")
    plain = labels[1:] if labels[0] == "*" else labels
    if len(text) > 253 or not plain or not all(_LABEL.fullmatch(label) for label in plain):
        raise CertificateError(f"names holds {name!r}, which is neither a DNS name nor an IP address")
    return text


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def request_configuration(common_name: str) -> str:
    """What `openssl req` needs. The names of the certificate are not in it: the controller knows them itself."""
    return f"[req]\nprompt = no\nstring_mask = utf8only\ndistinguished_name = subject\n[subject]\nCN = {common_name}\n"


def parse_record(text: str) -> Dict[str, Dict[str, Any]]:
    """What the controller remembers of the certificates of a host, by directory; nothing if that is damaged."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        str(directory): entry
        for directory, entry in found.items()
        if isinstance(entry, dict) and isinstance(entry.get("not_after"), int)
    }


def record_text(record: Mapping[str, Mapping[str, Any]]) -> str:
    return json.dumps(record, indent=2, sort_keys=True) + "\n"


def metric_text(record: Mapping[str, Mapping[str, Any]]) -> str:
    """The end of each certificate in the text format of Prometheus."""
    metric = "onprem_dify_certificate_not_after_seconds"
    lines = [f"# HELP {metric} End of the certificate, in seconds since the epoch.", f"# TYPE {metric} gauge"]
    for directory in sorted(record):
        path = f"{directory}/{CERTIFICATE}".replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'{metric}{{path="{path}"}} {record[directory]["not_after"]}')
    return "\n".join(lines) + "\n"
