# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a service of the site: name, connection, TLS. Whoever finds it blocked says by what."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from typing import Callable, List, Optional

from ansible_collections.onprem.dify.plugins.module_utils.external_model import Report, Service
from ansible_collections.onprem.dify.plugins.module_utils.postgresql_client import ProtocolError

# What is said on a new connection before the handshake; false if the server offers no TLS.
Greeting = Callable[[socket.socket], bool]
CERTIFICATES = "certificates of authorities in PEM, in a file on the controller"


def at_once(_connected: socket.socket) -> bool:
    """The greeting of services that begin with the handshake."""
    return True


def context(service: Service, newest: Optional[ssl.TLSVersion] = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cadata=service.ca or None)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if newest:
        made.maximum_version = newest
    return made


def connect(service: Service, greeting: Greeting, newest: Optional[ssl.TLSVersion] = None) -> ssl.SSLSocket:
    trusting = context(service, newest)
    plain = socket.create_connection((service.host, service.port), timeout=service.timeout)
    try:
        if not greeting(plain):
            raise ProtocolError("offers no TLS")
        return trusting.wrap_socket(plain, server_hostname=service.host)
    except BaseException:
        plain.close()
        raise


def check(report: Report, greeting: Greeting, require_tls13: bool) -> bool:
    """Whether the service can be spoken to without fear that somebody else listens or answers."""
    service = report.service
    return (
        _authorities(report)
        and _address(report)
        and _reachable(report)
        and _trusted(report, service, greeting)
        and _modern(report, service, greeting, require_tls13)
    )


def _authorities(report: Report) -> bool:
    service = report.service
    try:
        if service.ca is None:
            raise ValueError("a file that cannot be read")
        context(service)
    except (ValueError, ssl.SSLError) as error:
        found = "a file without certificates" if isinstance(error, ssl.SSLError) else str(error)
        report.finding("tls-trust", service.variable("ca_file"), f"{service.ca_file}, {found}", CERTIFICATES)
        return False
    return True


def _address(report: Report) -> bool:
    service = report.service
    variable, wanted = service.variable("host"), "an address, or a name of one, of site_services." + service.name
    try:
        answers = socket.getaddrinfo(service.host, service.port, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        report.finding("address", variable, f"{service.host}, which this host cannot resolve", wanted)
        return False
    outside = not_among([str(answer[4][0]) for answer in answers], service.addresses)
    if outside:
        found = f"{service.host}, which is at {' and '.join(outside)}, where firewalls let nothing through"
        report.finding("address", variable, found, wanted)
    return not outside


def not_among(addresses: List[str], allowed: object) -> List[str]:
    """The addresses that are in none of the allowed addresses and networks."""
    networks = [ipaddress.ip_network(str(entry), strict=False) for entry in allowed]  # type: ignore[attr-defined]
    return sorted({found for found in addresses if not any(ipaddress.ip_address(found) in net for net in networks)})


def _reachable(report: Report) -> bool:
    service = report.service
    try:
        socket.create_connection((service.host, service.port), timeout=service.timeout).close()
    except OSError as error:
        found = f"{service.port}, {unreachable(error, service.timeout)}"
        report.finding("reach", service.variable("port"), found, "a port that takes connections and that a flow allows")
        return False
    return True


def unreachable(error: OSError, seconds: float) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "which is closed"
    if isinstance(error, socket.timeout):
        return f"where nothing answers within {seconds:g} s"
    return f"which cannot be reached ({error.strerror or error})"


def _trusted(report: Report, service: Service, greeting: Greeting) -> bool:
    try:
        with connect(service, greeting) as tls:
            report.facts["tls"] = tls.version()
    except ssl.SSLCertVerificationError as error:
        trust = service.ca_file or "the authorities of the operating system"
        variable = service.variable("host" if mismatch(error) else "ca_file")
        found = f"{service.host if mismatch(error) else trust}, and {error.verify_message.rstrip('.')}"
        wanted = "a name or address in its certificate" if mismatch(error) else "the authority of its certificate"
        report.finding("tls-trust", variable, found, wanted)
    except (OSError, ProtocolError) as error:
        report.finding("tls", service.variable("port"), f"{service.port}, {no_tls(error)}", "a port with TLS")
    return "tls" in report.facts


def mismatch(error: ssl.SSLCertVerificationError) -> bool:
    return "mismatch" in error.verify_message.lower()


def no_tls(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"where the handshake fails ({(error.reason or str(error)).lower().replace('_', ' ')})"
    if isinstance(error, ProtocolError):
        return f"where the service {error}"
    return "where the handshake gets no answer" if isinstance(error, socket.timeout) else f"where {error}"


def _modern(report: Report, service: Service, greeting: Greeting, require_tls13: bool) -> bool:
    if report.facts["tls"] == "TLSv1.3":
        try:
            connect(service, greeting, ssl.TLSVersion.TLSv1_2).close()
        except (OSError, ProtocolError):
            return True
        found = "with TLS 1.2 as well"
    else:
        found = "without TLS 1.3"
    say = report.finding if require_tls13 else report.note
    say("tls-old", service.variable("port"), f"{service.port}, {found}", "TLS 1.3 only")
    return True
