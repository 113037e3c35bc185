"""The protocol of Redis, from the bytes of its description."""

from __future__ import annotations

import io
import socket
import threading

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.redis_protocol import (
    Connection,
    RedisError,
    encode,
    pairs,
    read,
)


def test_a_command_is_a_list_of_texts():
    assert encode(("SET", "ä", 1)) == b"*3\r\n$3\r\nSET\r\n$2\r\n\xc3\xa4\r\n$1\r\n1\r\n"


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (b"+OK\r\n", "OK"),
        (b":7\r\n", 7),
        (b"$4\r\na\r\nb\r\n", "a\r\nb"),
        (b"$-1\r\n", None),
        (b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", ["a", [1]]),
        (b"*0\r\n", []),
    ],
)
def test_answers_are_read(answer, value):
    assert read(io.BytesIO(answer)) == value


def test_an_error_inside_of_a_list_is_a_value():
    assert isinstance(read(io.BytesIO(b"*1\r\n-ERR no\r\n"))[0], RedisError)


@pytest.mark.parametrize("answer", [b"", b"$4\r\nab", b"+OK"])
def test_a_connection_that_ends_is_an_error(answer):
    with pytest.raises(ConnectionResetError):
        read(io.BytesIO(answer))


def test_pairs_are_a_mapping():
    assert pairs(["a", "1", "b", "2"]) == {"a": "1", "b": "2"}


def test_an_answer_that_refuses_is_raised():
    here, there = socket.socketpair()

    def refuse():
        there.recv(100)
        there.sendall(b"-WRONGPASS invalid\r\n")

    answering = threading.Thread(target=refuse)
    answering.start()
    with Connection(here) as connection, pytest.raises(RedisError, match="WRONGPASS"):
        connection.login("dify", "wrong")
    answering.join()
    there.close()
