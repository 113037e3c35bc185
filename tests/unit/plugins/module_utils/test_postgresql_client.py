"""The protocol of PostgreSQL, from the bytes of a session with PostgreSQL 15."""

from __future__ import annotations

import io
import socket
import threading

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.postgresql_client import (
    Connection,
    LoginMethodError,
    PostgresError,
    ProtocolError,
    offers_tls,
    startup,
)

NONCE = "fixedfixedfixedfixed"
STARTUP = (
    b"\0\0\0L\0\x03\0\0user\0recorded\0database\0postgres\0application_name\0onprem-dify-check\0\0"
    b"p\0\0\x002SCRAM-SHA-256\0\0\0\0\x1cn,,n=,r=fixedfixedfixedfixed"
)
PROOF = b"p\0\0\0hc=biws,r=fixedfixedfixedfixedn5dKtfxxWZxkeTDzykOYEoaV,p=Oqt8HkZnU+N4+Ncbebr1RqjXC4RH9BNSTO2QKlAraDY="
OFFER = b"R\0\0\0*\0\0\0\nSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
CHALLENGE = b"R\0\0\0X\0\0\0\x0br=fixedfixedfixedfixedn5dKtfxxWZxkeTDzykOYEoaV,s=0sSqW7RJSKy7q9PV4rDkAw==,i=4096"
SIGNATURE = b"R\0\0\x006\0\0\0\x0cv=Rl138vgmbokVuiMKYoLlY4fLXJgA8FrzMqv3xqXbELQ="
LET_IN = b"R\0\0\0\x08\0\0\0\0"
READY = b"S\0\0\x002server_version\x0015.18 (Debian 15.18-0+deb12u1)\0K\0\0\0\x0c\0\0\x07_\xf5h\xc4\xabZ\0\0\0\x05I"
LOGIN = OFFER + CHALLENGE + SIGNATURE + LET_IN + READY
ROW = (
    b"T\0\0\0W\0\x03?column?\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0?column?\0\0\0\0\0\0\0\0\0\0\x19"
    b"\xff\xff\xff\xff\xff\xff\0\0?column?\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"
    b"D\0\0\0\x15\0\x03\0\0\0\x011\xff\xff\xff\xff\0\0\0\x02\xc3\xa4C\0\0\0\rSELECT 1\0Z\0\0\0\x05I"
)
NO_COLUMN = (
    b'E\0\0\0jSERROR\0VERROR\0C42703\0Mcolumn "nothing" does not exist\0P8\0Fparse_relation.c\0L3665\0'
    b"RerrorMissingColumn\0\0Z\0\0\0\x05I"
)
REFUSED = (
    b'E\0\0\0hSFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user "recorded"\0'
    b"Fauth.c\0L334\0Rauth_failed\0\0"
)


class Recorded:
    """A socket whose other end has said everything already."""

    def __init__(self, said: bytes) -> None:
        self.said = io.BytesIO(said)
        self.sent = b""

    def sendall(self, content: bytes) -> None:
        self.sent += content

    def recv(self, count: int) -> bytes:
        return self.said.read(count)

    def makefile(self, _mode: str) -> io.BytesIO:
        return self.said

    def close(self) -> None:
        pass


def login(said: bytes, password: str = "pencil") -> tuple[Connection, Recorded]:
    recorded = Recorded(said)
    connection = Connection(recorded)  # type: ignore[arg-type]
    return connection.login("recorded", password, "postgres", NONCE), recorded


def test_a_login_says_what_the_server_let_in() -> None:
    connection, recorded = login(LOGIN)
    assert recorded.sent == STARTUP + PROOF
    assert connection.parameters == {"server_version": "15.18 (Debian 15.18-0+deb12u1)"}
    assert b"pencil" not in recorded.sent


def test_rows_are_read_and_an_error_leaves_the_session_usable() -> None:
    connection, recorded = login(LOGIN + ROW + NO_COLUMN + ROW)
    assert connection.query("SELECT 1, NULL, 'ä'") == [["1", None, "ä"]]
    with pytest.raises(PostgresError, match='column "nothing" does not exist') as refusal:
        connection.query("SELECT nothing")
    assert refusal.value.code == "42703"
    assert connection.query("SELECT 1, NULL, 'ä'") == [["1", None, "ä"]]
    connection.close()
    assert recorded.sent.endswith(b"Q\0\0\0\x19SELECT 1, NULL, '\xc3\xa4'\0X\0\0\0\x04")


def test_a_refusal_has_its_code() -> None:
    with pytest.raises(PostgresError, match="password authentication failed") as refusal:
        login(OFFER + CHALLENGE + REFUSED, "wrong")
    assert refusal.value.code == "28P01"


@pytest.mark.parametrize(
    "said",
    [
        # It knows another password, knows none, or invents its own nonce.
        OFFER + CHALLENGE + SIGNATURE.replace(b"v=R", b"v=S") + LET_IN + READY,
        OFFER + SIGNATURE + LET_IN + READY,
        OFFER + CHALLENGE.replace(b"r=fixed", b"r=other"),
        OFFER + CHALLENGE.replace(b"i=4096", b"i=many"),
        OFFER + CHALLENGE.replace(b"==,i", b"$$,i"),
    ],
)
def test_a_server_that_does_not_know_the_password_is_not_believed(said: bytes) -> None:
    with pytest.raises(ProtocolError):
        login(said)


@pytest.mark.parametrize(
    ("said", "method"),
    [
        (LET_IN + READY, "no password"),
        (b"R\0\0\0\x08\0\0\0\x03", "the password in plain text"),
        (b"R\0\0\0\x0c\0\0\0\x05salt", "MD5"),
        (b"R\0\0\0\x08\0\0\0\x07", "GSSAPI"),
        (b"R\0\0\0\x14\0\0\0\nOAUTHBEARER\0\0", "another kind of SASL"),
    ],
)
def test_the_password_is_proven_by_scram_or_not_at_all(said: bytes, method: str) -> None:
    recorded = Recorded(said)
    with pytest.raises(LoginMethodError, match=method):
        Connection(recorded).login("recorded", "pencil", "postgres")  # type: ignore[arg-type]
    assert b"pencil" not in recorded.sent


def test_what_is_not_postgresql_is_said_to_be_something_else() -> None:
    with pytest.raises(ProtocolError, match="does not speak"):
        login(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        login(OFFER[:20])


@pytest.mark.parametrize(("answer", "offered"), [(b"S", True), (b"N", False)])
def test_a_server_offers_tls_or_not(answer: bytes, offered: bool) -> None:
    recorded = Recorded(answer)
    assert offers_tls(recorded) is offered  # type: ignore[arg-type]
    assert recorded.sent == b"\0\0\0\x08\x04\xd2\x16\x2f"


@pytest.mark.parametrize("answer", [b"", b"E", b"-"])
def test_another_answer_to_the_question_for_tls_is_no_postgresql(answer: bytes) -> None:
    with pytest.raises(ProtocolError):
        offers_tls(Recorded(answer))  # type: ignore[arg-type]


def test_a_real_socket_is_read_to_the_end_of_each_message() -> None:
    ours, theirs = socket.socketpair()

    def serve() -> None:
        theirs.recv(len(startup({"user": "recorded"})))
        for byte in LOGIN:
            theirs.sendall(bytes([byte]))

    thread = threading.Thread(target=serve)
    thread.start()
    connection = Connection(ours)
    assert connection.login("recorded", "pencil", "postgres", NONCE).parameters["server_version"].startswith("15")
    thread.join()
    connection.close()
    theirs.close()
