"""Every listener of the data tier speaks TLS 1.3 and nothing older, as the host that it says it is."""

from __future__ import annotations

import pytest

# What a client does, in the words of Python, before and after the handshake.
PROGRAM = """
import socket, ssl, struct

def attempt(address, port, starttls, authorities, certificate, newest):
    context = ssl.create_default_context(cadata=authorities)
    if newest:
        context.maximum_version = ssl.TLSVersion[newest]
    if certificate:
        context.load_cert_chain(certificate + "/tls.crt", certificate + "/tls.key")
    try:
        with socket.create_connection((address, port), timeout=5) as connected:
            if starttls == "postgres":
                connected.sendall(struct.pack("!ii", 8, 80877103))
                if connected.recv(1) != b"S":
                    return "no TLS"
            with context.wrap_socket(connected, server_hostname=address) as session:
                # The server looks at the client's certificate only after its own handshake is over.
                session.settimeout(0.7)
                try:
                    session.recv(1)
                except TimeoutError:
                    pass
                return session.version()
    except (OSError, ValueError) as error:
        return str(error)

answer = attempt(**SETTINGS)
"""
PKI = "/etc/onprem-dify/pki"
# Listener: where it is asked for, from which host, at which address and port, with whose certificate.
OPEN = {
    "PostgreSQL": ("worker1", "postgres", 5432, "postgres"),
    "PostgreSQL, read-only": ("worker1", "postgres", 5433, "postgres"),
    "Redis": ("worker1", "redis", 6379, ""),
    "S3": ("worker1", "s3", 8333, ""),
    "Patroni": ("db2", "db1", 8008, ""),
    "metrics of the endpoints": ("ops1", "db1", 8405, ""),
    "metrics of the object store": ("ops1", "db1", 9324, ""),
}
MEMBERS_ONLY = {
    "etcd, clients": ("db2", "db1", 2379, "etcd"),
    "etcd, peers": ("db2", "db1", 2380, "etcd"),
    "Sentinel": ("db2", "witness1", 26379, "redis"),
}
LISTENERS = {**OPEN, **MEMBERS_ONLY}


def ask(site, name, **options):
    source, target, port, how = LISTENERS[name]
    certificate = f"{PKI}/{how}" if name in MEMBERS_ONLY else ""
    settings = {
        "address": site.address(target),
        "port": port,
        "starttls": how if how == "postgres" else "",
        "authorities": site.authorities,
        "certificate": certificate,
        "newest": "",
    }
    return site.run(source, PROGRAM, **{**settings, **options})


@pytest.mark.parametrize("name", LISTENERS)
def test_a_client_of_the_site_gets_tls_1_3(site, name):
    assert ask(site, name) == "TLSv1.3"


@pytest.mark.parametrize("name", LISTENERS)
def test_older_tls_is_refused(site, name):
    assert "alert protocol version" in ask(site, name, newest="TLSv1_2")


@pytest.mark.parametrize("name", LISTENERS)
def test_a_client_that_trusts_others_finds_no_trust(site, name, strangers_authority):
    assert "certificate verify failed" in ask(site, name, authorities=strangers_authority)


@pytest.mark.parametrize("name", MEMBERS_ONLY)
def test_a_client_without_a_certificate_is_refused(site, name):
    assert "certificate required" in ask(site, name, certificate="")


@pytest.fixture(scope="module")
def strangers_authority(site) -> str:
    files = "-keyout /dev/null -out /dev/stdout"
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=stranger {files}"
    return site.root("db1", f"{command} 2>/dev/null")
