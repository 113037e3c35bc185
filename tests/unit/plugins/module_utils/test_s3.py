"""The S3 client: signatures against the examples that AWS publishes, and a server of its own for the rest."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import s3

# Keys, bucket and results of "Signature Calculations for the Authorization Header: Examples" in the API reference.
KEYS = s3.Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.amazonaws.com"
MOMENT = "20130524T000000Z"


def test_get_with_a_range_is_signed_as_in_the_published_example() -> None:
    headers = s3.signed_headers(
        KEYS, "us-east-1", MOMENT, "GET", "/test.txt", [], {"host": HOST, "range": "bytes=0-9"}, s3.EMPTY
    )
    assert headers["authorization"].endswith(
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_put_is_signed_as_in_the_published_example() -> None:
    payload = hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()
    headers = {
        "host": HOST,
        "date": "Fri, 24 May 2013 00:00:00 GMT",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
    }
    signed = s3.signed_headers(KEYS, "us-east-1", MOMENT, "PUT", "/test%24file.text", [], headers, payload)
    assert signed["authorization"].endswith(
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


def test_queries_are_signed_as_in_the_published_examples() -> None:
    def proof(query: list[tuple[str, str]]) -> str:
        headers = s3.signed_headers(KEYS, "us-east-1", MOMENT, "GET", "/", query, {"host": HOST}, s3.EMPTY)
        return headers["authorization"].rpartition("=")[2]

    assert proof([("lifecycle", "")]) == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    assert (
        proof([("prefix", "J"), ("max-keys", "2")])
        == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )


def test_a_url_is_presigned_as_in_the_published_example() -> None:
    query = dict(s3.presigned_query(KEYS, "us-east-1", MOMENT, "GET", HOST, "/test.txt", 86400))
    assert query["X-Amz-Signature"] == "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"


@pytest.mark.parametrize("url", ["s3.example.internal", "ftp://s3.example.internal", "https://host/path", "https://"])
def test_an_endpoint_that_is_none_is_named(url: str) -> None:
    with pytest.raises(s3.S3Error, match=r"found .*, wanted https://ADDRESS:PORT"):
        s3.parse_endpoint(url)


def test_settings_of_a_bucket_survive_their_xml() -> None:
    for wish in (s3.Lifecycle(), s3.Lifecycle(30), s3.Lifecycle(0, 7), s3.Lifecycle(30, 7)):
        assert s3.parse_lifecycle(s3.lifecycle_xml(wish)) == wish
    assert s3.text(s3.versioning_xml(True), "Status") == "Enabled"
    body = s3.delete_xml(["a&b", ("c<d", "v1")])
    assert s3.texts(body, "Key") == ["a&b", "c<d"]
    assert s3.texts(body, "VersionId") == ["v1"]
    assert s3.text(b"no xml", "Code") == ""


class Server(http.server.ThreadingHTTPServer):
    """Keeps what it was asked. With `drop` it closes each connection after its answer, without saying so."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.drop = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append(
            (self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        )
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        answer = b"<Error><Code>SlowDown</Code></Error>" if status >= 300 else b"<Ok/>"
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        if self.server.drop:
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


def test_a_request_carries_its_path_query_body_and_signature(server: Server) -> None:
    client = s3.Client(server.url, KEYS)
    answer = client.request(
        "PUT", "dify", "a folder/ünïcode+", query=[("partNumber", "1"), ("acl", "")], body=b"content", checksum=True
    )
    assert answer.good and answer.code == ""
    method, path, headers, body = server.asked[0]
    assert (method, path, body) == (
        "PUT",
        "/dify/a%20folder/%C3%BCn%C3%AFcode%2B?acl=&partNumber=1",
        b"content",
    )
    assert headers["x-amz-content-sha256"] == hashlib.sha256(b"content").hexdigest()
    assert "content-md5;host;x-amz-content-sha256;x-amz-date" in headers["authorization"]


def test_without_keys_nothing_is_signed(server: Server) -> None:
    s3.Client(server.url, None).request("GET", "dify")
    assert "authorization" not in server.asked[0][2]


def test_a_connection_that_went_stale_is_opened_again(server: Server) -> None:
    client = s3.Client(server.url, KEYS)
    server.drop = True
    for _number in range(3):
        assert client.request("GET", "dify").good
    assert len(server.asked) == 3


def test_an_error_carries_the_code_of_the_store(server: Server) -> None:
    server.statuses = [503]
    answer = s3.Client(server.url, KEYS).request("GET", "dify")
    assert str(answer) == "503 SlowDown"


def test_patience_ends_with_the_first_answer_that_is_no_failure_of_the_server(server: Server) -> None:
    server.statuses = [503, 500, 404]
    client = s3.Client(server.url, KEYS)
    assert s3.patiently(lambda: client.request("GET", "dify"), 10, 0).status == 404
    server.statuses = [503, 503]
    assert s3.patiently(lambda: client.request("GET", "dify"), 0, 0).status == 503


def test_a_store_that_is_away_is_named() -> None:
    client = s3.Client("http://127.0.0.1:1", KEYS, timeout=1)
    with pytest.raises(s3.S3Error, match=r"http://127.0.0.1:1: Connection refused"):
        client.request("GET", "dify")
