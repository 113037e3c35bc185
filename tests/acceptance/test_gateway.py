"""The gateway, run for real: who gets in, where each path leads, what passes, what survives a change."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance import gateways
from acceptance.gateway_service import EVENTS, PAUSE
from acceptance.gateways import Gateway

TENANTS = [
    {"name": "dify", "hostname": "ai.bank.internal"},
    {
        "name": "finance",
        "number": 2,
        "hostname": "finance.bank.internal",
        "settings": {
            "api": {
                "UPLOAD_AUDIO_FILE_SIZE_LIMIT": 5,
                "UPLOAD_VIDEO_FILE_SIZE_LIMIT": 5,
                "PLUGIN_MAX_PACKAGE_SIZE": 1048576,
            }
        },
    },
]
MEGABYTE = 1 << 20
OF_DIFY, OF_FINANCE = 110, 25

pytestmark = pytest.mark.skipif(not Path(gateways.NGINX).exists(), reason="nginx is not installed")


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with gateways.running(TENANTS) as running:
        yield running


@pytest.fixture
def changed(gateway: Gateway) -> Iterator[Gateway]:
    """For a test that changes the configuration."""
    yield gateway
    for file in (gateway.folder / "sign-on.d").iterdir():
        file.unlink()
    gateway.reload()


# Who gets in


def test_it_speaks_tls_1_3_and_http_2(gateway: Gateway) -> None:
    context = gateway.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with gateway.connect("ai.bank.internal", context) as line:
        assert (line.version(), line.selected_alpn_protocol()) == ("TLSv1.3", "h2")


def test_nothing_older_than_tls_1_3(gateway: Gateway) -> None:
    context = gateway.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="protocol version"):
        gateway.connect("ai.bank.internal", context)


@pytest.mark.parametrize("name", ["other.bank.internal", "x.ai.bank.internal", None])
def test_who_asks_for_no_tenant_gets_no_certificate(gateway: Gateway, name: str | None) -> None:
    context = gateway.context()
    context.check_hostname = False
    with pytest.raises(ssl.SSLError, match="unrecognized name"):
        gateway.connect(name, context)


def test_each_tenant_has_a_certificate_of_its_own(gateway: Gateway) -> None:
    for host in gateway.hosts.values():
        with gateway.connect(host) as line:
            assert (line.getpeercert() or {})["subjectAltName"] == (("DNS", host),)


@pytest.mark.parametrize("host", ["finance.bank.internal", "other.bank.internal"])
def test_who_came_for_one_name_gets_nothing_under_another(gateway: Gateway, host: str) -> None:
    assert gateway.ask("/", host=host, came_for="ai.bank.internal").status == 421


# Where each path leads


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/apps",
        "/_next/static/x.js",
        "/explore/apps",
        "/console/api/setup",
        "/api/passport",
        "/v1/chat-messages",
        "/files/1/preview?sign=x",
        "/mcp/server/1",
        "/openapi/v1",
        "/triggers/webhook/1",
        "/e/hook/path?x=%2F",
        "/socket.io/?EIO=4",
    ],
)
def test_each_path_comes_to_its_tenant_as_it_was_asked(gateway: Gateway, path: str) -> None:
    for tenant, host in gateway.hosts.items():
        answer = gateway.ask(path, host=host)
        assert (answer.status, answer.told["path"]) == (200, path)
        assert answer.told["port"] in [worker.port for worker in gateway.workers[tenant]]
        assert answer.told["headers"]["host"] == host


@pytest.mark.parametrize(
    "path",
    [
        *("/inner", "/inner/api/invoke/llm", "/threads", "/db-pool-stat", "//inner/api", "/v1/../inner/api"),
        *("/%69nner/api", "/v1/..%2finner/api", "/files/%2e%2e/inner/api", "/v1/./../threads"),
    ],
)
def test_inner_paths_are_closed(gateway: Gateway, path: str) -> None:
    assert gateway.ask(path).status == 404


def test_nothing_that_a_client_says_of_itself_is_believed(gateway: Gateway) -> None:
    lies = {
        "X-Forwarded-For": "1.2.3.4",
        "X-Real-IP": "1.2.3.4",
        "Forwarded": "for=1.2.3.4",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-User": "admin",
        "X-Request-ID": "mine",
        "Dify-Hook-Url": "https://evil.example/",
    }
    answer = gateway.ask("/v1/x", headers=lies)
    heard = answer.told["headers"]
    assert {name: heard.get(name.lower()) for name in lies} == {
        "X-Forwarded-For": "127.0.0.1",
        "X-Real-IP": "127.0.0.1",
        "Forwarded": None,
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "ai.bank.internal",
        "X-Forwarded-User": None,
        "X-Request-ID": answer.headers["x-request-id"],
        "Dify-Hook-Url": None,
    }


def test_plugins_hear_the_address_that_their_users_see(gateway: Gateway) -> None:
    heard = gateway.ask("/e/hook/path?x=1").told["headers"]
    assert heard["dify-hook-url"] == "https://ai.bank.internal/e/hook/path?x=1"


def test_a_proxy_in_front_is_believed_if_the_site_says_so(changed: Gateway) -> None:
    changed.reload(gateway_trusted_proxies=["127.0.0.0/8"])
    heard = changed.ask("/v1/x", headers={"X-Forwarded-For": "9.9.9.9, 10.1.2.3, 127.0.0.9"}).told["headers"]
    assert heard["x-forwarded-for"] == "10.1.2.3"


# What passes


def test_answers_carry_strong_headers(gateway: Gateway) -> None:
    for path in ("/console/api/setup", "/", "/inner"):
        headers = gateway.ask(path).headers
        assert headers["strict-transport-security"] == "max-age=63072000"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert "camera=()" in headers["permissions-policy"]
        assert "x-powered-by" not in headers
        assert headers["server"] == "nginx"
    # Which pages may be framed is Dify's to say.
    assert gateway.ask("/console/api/setup").headers["x-frame-options"] == "SAMEORIGIN"
    assert "x-frame-options" not in gateway.ask("/").headers


def announced(gateway: Gateway, host: str, path: str, size: int) -> http.client.HTTPConnection:
    """A request whose body of this size is still to come."""
    line = http.client.HTTPConnection(host)
    line.sock = gateway.connect(host)
    line.putrequest("POST", path)
    line.putheader("Content-Length", str(size))
    line.endheaders()
    return line


def refusal(gateway: Gateway, host: str, path: str, size: int) -> int:
    """What is refused is refused before it is sent."""
    line = announced(gateway, host, path, size)
    try:
        return line.getresponse().status
    finally:
        line.close()


def test_bodies_may_be_as_large_as_dify_takes_them(gateway: Gateway) -> None:
    dify, finance = gateway.hosts["dify"], gateway.hosts["finance"]
    sent = gateway.ask("/console/api/files/upload", host=finance, method="POST", body=bytes(OF_FINANCE * MEGABYTE))
    assert (sent.status, sent.told["received"]) == (200, OF_FINANCE * MEGABYTE)
    assert refusal(gateway, finance, "/v1/files/upload", OF_FINANCE * MEGABYTE + 1) == 413
    assert refusal(gateway, dify, "/v1/files/upload", OF_DIFY * MEGABYTE + 1) == 413
    assert gateway.ask("/e/x", method="POST", body=bytes(OF_FINANCE * MEGABYTE + 1)).status == 200
    # Pages take no files.
    assert gateway.ask("/apps", method="POST", body=bytes(MEGABYTE)).status == 200
    assert refusal(gateway, dify, "/apps", MEGABYTE + 1) == 413


def test_files_of_users_do_not_stop_on_the_disk(gateway: Gateway) -> None:
    line = announced(gateway, gateway.hosts["dify"], "/v1/files/upload", 20 * MEGABYTE)
    for part in range(2):
        line.send(bytes(10 * MEGABYTE))
        time.sleep(0.2)
        assert [file for file in gateway.open_files() if "/body/" in file or "/proxy/" in file] == [], part
    assert line.getresponse().status == 200
    line.close()


def test_a_client_that_asks_too_much_waits(changed: Gateway) -> None:
    changed.reload(gateway_client_rate=1)
    answers = [changed.ask("/v1/x").status for _ in range(12)]
    assert 429 in answers
    assert changed.ask("/v1/x", client="127.0.0.2").status == 200


def test_a_tenant_that_is_asked_too_much_does_not_slow_down_another(changed: Gateway) -> None:
    changed.reload(gateway_tenant_rate=1)
    answers = [changed.ask("/v1/x").status for _ in range(6)]
    assert 429 in answers
    assert changed.ask("/v1/x", host="finance.bank.internal").status == 200


def test_streams_of_one_client_are_counted(changed: Gateway) -> None:
    changed.reload(gateway_client_connections=2)
    lines = [Stream(changed), Stream(changed)]
    assert [line.next() for line in lines] == ["0", "0"]
    assert changed.ask("/v1/x").status == 429
    for line in lines:
        line.close()


# What is written down


def test_the_log_has_who_asked_what_and_how_it_went(gateway: Gateway) -> None:
    answer = gateway.ask("/files/1/preview?sign=secret", headers={"User-Agent": 'a "browser"'})
    line = gateway.logged(answer.headers["x-request-id"])
    assert {name: line[name] for name in ("client", "user", "host", "method", "route", "path", "status", "agent")} == {
        "client": "127.0.0.1",
        "user": "",
        "host": "ai.bank.internal",
        "method": "GET",
        "route": "/files",
        "path": "/files/1/preview",
        "status": 200,
        "agent": 'a "browser"',
    }
    assert line["seconds"] >= 0
    assert line["upstream"].startswith("127.0.0.1:")
    assert "secret" not in gateway.log.read_text()


@pytest.mark.parametrize("path", ["/mcp/server/key-1/mcp", "/triggers/webhook/key-2", "/e/key-3/path"])
def test_the_log_has_no_key(gateway: Gateway, path: str) -> None:
    line = gateway.logged(gateway.ask(path).headers["x-request-id"])
    assert line["path"] == line["route"]
    assert "key-" not in gateway.log.read_text()


# What survives


class Stream:
    """A run that tells how it goes on."""

    def __init__(self, gateway: Gateway) -> None:
        self.line = http.client.HTTPConnection(gateway.hosts["dify"])
        self.line.sock = gateway.connect(gateway.hosts["dify"])
        self.line.request("GET", "/v1/stream")
        self.answer = self.line.getresponse()

    def next(self) -> str:
        text = self.answer.readline() + self.answer.readline()
        return text.decode().removeprefix("data: ").strip()

    def close(self) -> None:
        self.answer.close()
        self.line.close()


def upgraded(gateway: Gateway) -> ssl.SSLSocket:
    line = gateway.connect("ai.bank.internal")
    wish = ["GET /socket.io/?EIO=4 HTTP/1.1", "Host: ai.bank.internal", "Upgrade: websocket", "Connection: Upgrade"]
    line.sendall("\r\n".join([*wish, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += line.recv(1024)
    assert head.startswith(b"HTTP/1.1 101 ")
    return line


def said(line: ssl.SSLSocket, word: bytes) -> bytes:
    line.sendall(word + b"\n")
    return line.recv(1024)


def test_an_event_comes_when_it_happens(gateway: Gateway) -> None:
    began = time.monotonic()
    stream = Stream(gateway)
    assert stream.next() == "0"
    assert time.monotonic() - began < EVENTS * PAUSE / 2
    stream.close()


def test_streams_and_websockets_survive_a_change(changed: Gateway) -> None:
    stream, websocket = Stream(changed), upgraded(changed)
    assert [stream.next() for _ in range(3)] == ["0", "1", "2"]
    assert said(websocket, b"before") == b"before\n"
    changed.reload(gateway_client_rate=60)
    assert changed.ask("/v1/x").status == 200
    assert said(websocket, b"after") == b"after\n"
    # Some are still to come when the old workers should go.
    assert [stream.next() for _ in range(3, EVENTS)] == [str(number) for number in range(3, EVENTS)]
    stream.close()
    websocket.close()


def test_a_worker_that_is_gone_is_left_out(gateway: Gateway) -> None:
    gateway.workers["finance"][0].stop()
    answers = [gateway.ask("/v1/x", host="finance.bank.internal") for _ in range(20)]
    assert [answer.status for answer in answers] == [200] * 20
    assert {answer.told["port"] for answer in answers} == {gateway.workers["finance"][1].port}


def test_a_router_that_is_another_gets_nothing(changed: Gateway) -> None:
    context = changed.authority.issue(changed.folder / "router/stranger", "stranger.bank.internal")
    stranger = gateways.Worker(context)
    tenant = changed.plan["tenants"][0]
    before, tenant["workers"] = tenant["workers"], [f"127.0.0.1:{stranger.port}"]
    changed.reload()
    assert changed.ask("/v1/x").status == 502
    tenant["workers"] = before
    stranger.stop()


def test_keepalived_hears_that_it_is_well(gateway: Gateway) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(gateway.plan["alive"])
        line.sendall(b"GET /gateway HTTP/1.0\r\n\r\n")
        assert line.recv(1024).startswith(b"HTTP/1.1 200 ")


def test_a_sign_on_finds_its_place(changed: Gateway) -> None:
    """It is asked where Dify has no login of its own for programs, and its user is in the log and reaches Dify."""
    place = changed.folder / "sign-on.d/sign-on.conf"
    place.write_text(
        "auth_request /sign-on;\nauth_request_set $gateway_user $http_x_test_user;\n"
        "location = /sign-on { internal; if ($http_x_test_user = '') { return 401; } return 204; }\n"
    )
    changed.reload()
    for path in ("/", "/apps", "/console/api/setup", "/explore", "/socket.io/"):
        assert changed.ask(path).status == 401, path
    for path in ("/v1/x", "/api/x", "/files/1", "/mcp/1", "/openapi/1", "/triggers/1", "/e/1"):
        assert changed.ask(path).status == 200, path
    answer = changed.ask("/console/api/setup", headers={"X-Test-User": "ann"})
    assert answer.told["headers"]["x-forwarded-user"] == "ann"
    assert "x-frame-options" not in changed.ask("/", headers={"X-Test-User": "ann"}).headers
    line = changed.logged(answer.headers["x-request-id"])
    assert (line["user"], line["route"], line["path"]) == ("ann", "/console/api", "/console/api/setup")
