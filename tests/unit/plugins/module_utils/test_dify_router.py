"""The nginx behind the one port of a tenant, run for real: each path comes to its service, and no other does."""

from __future__ import annotations

import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils import dify_router
from ansible_collections.onprem.dify.plugins.module_utils.dify_build import Build
from ansible_collections.onprem.dify.plugins.module_utils.dify_pods import TLS_FOLDER
from lab.system import free_port

HOST = "dify.example.internal"
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"

pytestmark = pytest.mark.skipif(not Path(NGINX).exists(), reason="nginx is not installed")


class Answer(NamedTuple):
    status: int
    service: str = ""
    headers: dict[str, str] | None = None


class Listener(http.server.BaseHTTPRequestHandler):
    """What is behind the router here: it tells at which port it was asked, and how."""

    def do_GET(self) -> None:
        told = {
            "port": self.server.server_port,
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The test says what went wrong."""


class Router:
    def __init__(self, port: int, services: dict[int, str]) -> None:
        self.port = port
        self.services = services

    def get(self, path: str, host: str = HOST) -> Answer:
        context = ssl._create_unverified_context()
        wish = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", headers={"Host": host})
        try:
            with urllib.request.urlopen(wish, context=context, timeout=5) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            return Answer(error.code)
        return Answer(200, self.services[told["port"]], told["headers"])


def configuration(build: Build, folder: Path, ports: dict[str, int], port: int) -> str:
    """That of the pod, with addresses and folders of this machine."""
    text = dify_router.configuration(build)
    for service, own in ports.items():
        text = text.replace(f"{build.facts[f'service.{service}']};", f"http://127.0.0.1:{own};")
    text = text.replace("/tmp/", f"{folder}/").replace(TLS_FOLDER, str(folder))
    return text.replace("8443", f"127.0.0.1:{port}").replace("/dev/stdout", f"{folder}/log")


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    folder = tmp_path_factory.mktemp("router")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=router"]
    subprocess.run(
        [*command, "-keyout", folder / "tls.key", "-out", folder / "tls.crt"], check=True, capture_output=True
    )
    build = difys.build()
    names = build.release["flows"]["router"]
    servers = {name: http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) for name in names}
    for server in servers.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    ports = {name: server.server_port for name, server in servers.items()}
    file = folder / "nginx.conf"
    file.write_text(configuration(build, folder, ports, port), encoding="utf-8")
    nginx = subprocess.Popen([NGINX, "-c", file, "-g", "daemon off;"], stderr=subprocess.PIPE, text=True)
    try:
        wait(nginx, port)
        yield Router(port, {own: name for name, own in ports.items()})
    finally:
        nginx.terminate()
        nginx.wait(timeout=10)
        for server in servers.values():
            server.shutdown()


def wait(nginx: subprocess.Popen[str], port: int) -> None:
    for _attempt in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if nginx.poll() is not None:
            pytest.fail(f"nginx does not start: {nginx.stderr.read() if nginx.stderr else ''}")
        time.sleep(0.05)
    pytest.fail("nginx does not listen")


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/", "web"),
        ("/apps", "web"),
        ("/explore/apps", "web"),
        ("/_next/static/x.js", "web"),
        ("/console/api/setup", "api"),
        ("/api/passport", "api"),
        ("/v1/chat-messages", "api"),
        ("/files/1/preview?sign=x", "api"),
        ("/mcp/server/1", "api"),
        ("/openapi/v1", "api"),
        ("/triggers/webhook/1", "api"),
        ("/e/hook/path", "plugin-daemon"),
        ("/socket.io/?EIO=4", "websocket"),
    ],
)
def test_each_path_comes_to_its_service(router: Router, path: str, service: str) -> None:
    answer = router.get(path)
    assert (answer.status, answer.service) == (200, service)
    assert answer.headers is not None
    assert answer.headers["host"] == HOST
    assert answer.headers["x-forwarded-proto"] == "https"


@pytest.mark.parametrize(
    "path", ["/inner/api/invoke/llm", "/threads", "/db-pool-stat", "/inner", "//inner/api", "/v1/../inner/api"]
)
def test_inner_paths_are_closed(router: Router, path: str) -> None:
    assert router.get(path) == Answer(404)


def test_plugins_hear_the_address_that_their_users_see(router: Router) -> None:
    hook = router.get("/e/hook/path?x=1").headers or {}
    assert hook["dify-hook-url"] == f"https://{HOST}/e/hook/path?x=1"
    assert "dify-hook-url" not in (router.get("/v1/x").headers or {})


def test_another_host_name_is_at_the_wrong_tenant(router: Router) -> None:
    assert router.get("/", host="ai.bank.internal").status == 421


def test_nothing_older_than_tls_1_3(router: Router) -> None:
    context = ssl._create_unverified_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", router.port)) as line, pytest.raises(ssl.SSLError):
        context.wrap_socket(line)
