"""The way to a service: real servers on this machine, good and bad ones."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from unit.plugins.plugin_utils.authorities import Signed, authority, leaf, pem_of

from ansible_collections.onprem.dify.plugins.module_utils import external_tls
from ansible_collections.onprem.dify.plugins.module_utils.external_model import Report, Service

HERE = "127.0.0.1"
NOW = datetime.datetime.now(datetime.UTC)
LIFE = {"begin": NOW - datetime.timedelta(days=1), "end": NOW + datetime.timedelta(days=1)}
ROOT = authority("root", **LIFE)
Answer = Callable[[socket.socket], Any]


@contextmanager
def listening(answer: Answer) -> Iterator[int]:
    """A server that gives every connection to `answer`; its port."""
    with socket.create_server((HERE, 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connected, _address = server.accept()
                    with connected, suppress(OSError):
                        answer(connected)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def tls(folder: Path, signed: Signed, **settings: ssl.TLSVersion) -> Answer:
    pair = folder / "pair.pem"
    pair.write_bytes(signed.pem + pem_of(signed.key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    for name, value in settings.items():
        setattr(context, name, value)

    def answer(connected: socket.socket) -> None:
        with context.wrap_socket(connected, server_side=True) as secured:
            secured.recv(1)

    return answer


def check(port: int, require_tls13: bool = False, **different: Any) -> Report:
    settings: dict[str, Any] = {"host": HERE, "addresses": [HERE], "ca_file": "corporate.pem", "ca": ROOT.pem.decode()}
    report = Report(Service(name="redis", port=port, timeout=1, **{**settings, **different}))
    report.facts["way"] = external_tls.check(report, external_tls.at_once, require_tls13)
    return report


def only(report: Report, check_id: str) -> str:
    assert not report.facts["way"]
    [finding] = report.findings
    assert finding.check == check_id
    return f"{finding.variable} is {finding.found}"


def test_a_server_that_proves_itself_is_reached(tmp_path: Path) -> None:
    with listening(tls(tmp_path, leaf(ROOT, [HERE], **LIFE), minimum_version=ssl.TLSVersion.TLSv1_3)) as port:
        report = check(port, require_tls13=True)
    assert (report.facts, report.findings, report.notes) == ({"tls": "TLSv1.3", "way": True}, [], [])


def test_old_tls_is_a_note_or_a_finding(tmp_path: Path) -> None:
    signed = leaf(ROOT, [HERE], **LIFE)
    with listening(tls(tmp_path, signed)) as port:
        [note] = check(port).notes
        [finding] = check(port, require_tls13=True).findings
    assert note == finding
    assert note.found == f"{port}, with TLS 1.2 as well"
    with listening(tls(tmp_path, signed, maximum_version=ssl.TLSVersion.TLSv1_2)) as port:
        assert check(port).notes[0].found == f"{port}, without TLS 1.3"


def test_strangers_and_other_names_are_not_trusted(tmp_path: Path) -> None:
    with listening(tls(tmp_path, leaf(authority("stranger", **LIFE), [HERE], **LIFE))) as port:
        found = only(check(port), "tls-trust")
        assert found.startswith("external_redis.ca_file is corporate.pem, and unable to get local issuer")
        assert "the authorities of the operating system, and" in only(check(port, ca_file="", ca=""), "tls-trust")
    with listening(tls(tmp_path, leaf(ROOT, ["other.internal"], **LIFE))) as port:
        assert only(check(port), "tls-trust").startswith(f"external_redis.host is {HERE}, and IP address mismatch")
    past = {"begin": NOW - datetime.timedelta(days=2), "end": NOW - datetime.timedelta(days=1)}
    with listening(tls(tmp_path, leaf(ROOT, [HERE], **past))) as port:
        assert "certificate has expired" in only(check(port), "tls-trust")


def test_authorities_that_are_none_are_named() -> None:
    assert "corporate.pem, a file that cannot be read" in only(check(1, ca=None), "tls-trust")
    assert "corporate.pem, a file without certificates" in only(check(1, ca="nothing"), "tls-trust")


def test_what_speaks_no_tls_is_named() -> None:
    with listening(lambda connected: connected.sendall(b"-ERR unknown command\r\n")) as port:
        assert f"external_redis.port is {port}, where the handshake fails" in only(check(port), "tls")
    with listening(lambda connected: connected.recv(1) and connected.settimeout(2) and None) as port:
        assert f"external_redis.port is {port}, where" in only(check(port), "tls")


def test_a_server_that_answers_and_offers_no_tls_is_named() -> None:
    with listening(lambda connected: connected.recv(1)) as port:
        report = Report(Service("postgres", HERE, port, [HERE], "corporate.pem", ROOT.pem.decode(), 1))
        assert not external_tls.check(report, lambda _connected: False, False)
    [finding] = report.findings
    assert (finding.check, finding.found) == ("tls", f"{port}, where the service offers no TLS")


def test_a_closed_port_and_a_wrong_address_are_named() -> None:
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
    assert only(check(port), "reach") == f"external_redis.port is {port}, which is closed"
    assert "which is at 127.0.0.1, where firewalls let nothing through" in only(
        check(port, addresses=["10.0.0.0/8", "192.0.2.1"]), "address"
    )
    assert "which this host cannot resolve" in only(check(port, host="nothing.invalid"), "address")


def test_silence_and_other_failures_have_their_words() -> None:
    assert external_tls.unreachable(TimeoutError("timed out"), 5) == "where nothing answers within 5 s"
    assert external_tls.unreachable(OSError(113, "No route to host"), 5) == "which cannot be reached (No route to host)"
    assert external_tls.no_tls(TimeoutError("timed out")) == "where the handshake gets no answer"
