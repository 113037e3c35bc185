"""The nginx of the gateway on loopback, configured as the role does it, in front of small HTTP services."""

from __future__ import annotations

import datetime
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from acceptance import gateway_service
from unit.plugins.module_utils import difys
from unit.plugins.plugin_utils import authorities
from unit.roles import rendering

from ansible_collections.onprem.dify.plugins.module_utils import gateway
from lab.system import free_port, wait_until

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
NOBODY = "nobody"
LIMITS = {"gateway_client_rate": 100, "gateway_client_connections": 50, "gateway_tenant_rate": 500}


class Authority:
    """The site's, and one that nobody knows if there is a second."""

    def __init__(self) -> None:
        self.now = datetime.datetime.now(datetime.UTC)
        self.signed = authorities.authority(
            "root", begin=self.now - authorities.days(1), end=self.now + authorities.days(2)
        )

    def issue(self, folder: Path, name: str) -> ssl.SSLContext:
        """A certificate, laid out as onprem.dify.certificates does; and a server's context with it."""
        folder.mkdir(parents=True)
        end = self.now + authorities.days(1)
        leaf = authorities.leaf(self.signed, [name], begin=self.now - authorities.days(1), end=end)
        (folder / "ca.crt").write_bytes(self.signed.pem)
        (folder / "tls.crt").write_bytes(leaf.pem)
        (folder / "tls.key").write_bytes(authorities.pem_of(leaf.key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        return context


class Worker:
    """The router of a tenant on one of the workers."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.server = gateway_service.server(context, 0, "127.0.0.1")
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        text = response.read()
        self.told: dict[str, Any] = json.loads(text) if response.status == 200 and text.startswith(b"{") else {}


class Gateway:
    """`hosts`: the host name of each tenant, by its name. Every tenant has two workers."""

    def __init__(self, folder: Path, tenants: list[dict[str, Any]]) -> None:
        self.folder = folder
        self.tenants = tenants
        self.port = free_port()
        self.authority = Authority()
        site = difys.site(extra_flows=[{"from": "gateway", "to": "workers", "port": 30443 + n} for n in range(1, 9)])
        self.plan = gateway.plan(tenants, site, difys.release_file(), {}, LIMITS)
        self.plan["alive"] = str(folder / "alive.sock")
        self.hosts = {tenant["name"]: tenant["hostname"] for tenant in self.plan["tenants"]}
        self.workers: dict[str, list[Worker]] = {}
        for tenant in self.plan["tenants"]:
            name, hostname = tenant["name"], tenant["hostname"]
            self.authority.issue(folder / "pki" / tenant["certificate"]["name"], hostname)
            context = self.authority.issue(folder / "router" / name, hostname)
            self.workers[name] = [Worker(context), Worker(context)]
            tenant["workers"] = [f"127.0.0.1:{worker.port}" for worker in self.workers[name]]
        (folder / "sign-on.d").mkdir()
        self.process: subprocess.Popen[str]

    def render(self, **changes: Any) -> None:
        newer = _version() >= (1, 25, 1)
        text = rendering.template(
            "gateway",
            "nginx.conf.j2",
            **{
                **LIMITS,
                "__gateway_served": self.plan,
                "__gateway_user": NOBODY,
                "__gateway_http2_directive": newer,
                "__gateway_listen": f"127.0.0.1:{self.port}",
                "__gateway_scratch": str(self.folder),
                "__gateway_pid": str(self.folder / "pid"),
                "__gateway_pki": str(self.folder / "pki"),
                "__gateway_sign_on": str(self.folder / "sign-on.d"),
                "__gateway_log": str(self.log),
                **changes,
            },
        )
        (self.folder / "nginx.conf").write_text(text, encoding="utf-8")

    @property
    def log(self) -> Path:
        return self.folder / "access.json"

    def start(self) -> None:
        self.render()
        command = [NGINX, "-e", "stderr", "-c", str(self.folder / "nginx.conf")]
        user = NOBODY if os.geteuid() == 0 else None
        if user:
            shutil.chown(self.folder, user)
            for path in self.folder.rglob("*"):
                shutil.chown(path, user)
        with (self.folder / "errors").open("w") as errors:
            self.process = subprocess.Popen(command, stderr=errors, user=user, text=True)
        wait_until(self.answers, 10, "the start")

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "errors").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)
        for worker in [worker for workers in self.workers.values() for worker in workers]:
            worker.stop()

    def reload(self, **changes: Any) -> None:
        """Until every worker of before takes nothing new."""
        before = self.children()
        self.render(**changes)
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: bool(self.children() - before) and all(map(self.leaving, before)), 10, "the reload")

    def children(self) -> set[int]:
        file = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(word) for word in file.read_text().split()}

    def open_files(self) -> list[str]:
        """Also those that have no name any more."""
        found: list[str] = []
        for link in [link for pid in self.children() for link in Path(f"/proc/{pid}/fd").iterdir()]:
            with suppress(OSError):
                found.append(str(link.readlink()))
        return found

    def leaving(self, pid: int) -> bool:
        try:
            return b"shutting down" in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return True

    def connect(
        self, host: str | None, context: ssl.SSLContext | None = None, client: str = "127.0.0.1"
    ) -> ssl.SSLSocket:
        line = socket.create_connection(("127.0.0.1", self.port), timeout=10, source_address=(client, 0))
        return (context or self.context()).wrap_socket(line, server_hostname=host)

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authority.signed.pem.decode())
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def ask(self, path: str, host: str = "", came_for: str = "", method: str = "GET", **wish: Any) -> Answer:
        """`host`: whom the request names, `came_for`: whom the handshake named."""
        host = host or self.hosts["dify"]
        line = http.client.HTTPConnection(host)
        line.sock = self.connect(came_for or host, client=wish.get("client", "127.0.0.1"))
        try:
            line.request(method, path, body=wish.get("body"), headers={"Host": host, **wish.get("headers", {})})
            return Answer(line.getresponse())
        finally:
            line.close()

    def logged(self, request_id: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = []

        def look() -> bool:
            lines = [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]
            found[:] = [line for line in lines if line["request_id"] == request_id]
            return bool(found)

        wait_until(look, 5, f"a line of {request_id}")
        return found[0]


def _version() -> tuple[int, ...]:
    told = subprocess.run([NGINX, "-v"], capture_output=True, text=True, check=True).stderr
    return tuple(int(number) for number in re.findall(r"\d+", told)[:3])


@contextmanager
def running(tenants: list[dict[str, Any]]) -> Iterator[Gateway]:
    with tempfile.TemporaryDirectory(prefix="gateway") as folder:
        site = Gateway(Path(folder), tenants)
        site.start()
        try:
            yield site
        finally:
            site.stop()
