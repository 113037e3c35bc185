"""Keys of a lab, and the way into its nodes."""

from __future__ import annotations

import socket
import subprocess

from .recipe import OPERATOR
from .system import run
from .topology import Host, Lab


def make_key(lab: Lab) -> None:
    if not lab.key.with_suffix(".pub").exists():
        lab.key.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"onprem-lab-{lab.name}", "-f", lab.key)


def write_known_hosts(lab: Lab) -> None:
    lines = []
    for host in lab.hosts:
        public = lab.state / "nodes" / host.name / "host_key.pub"
        if public.exists():
            kind, key = public.read_text().split()[:2]
            lines.append(f"{host.name},{host.address} {kind} {key}\n")
    lab.known_hosts.write_text("".join(sorted(lines)))


def command(lab: Lab, host: Host, *words: str, batch: bool = False) -> list[str]:
    options = {
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": lab.known_hosts,
        "GlobalKnownHostsFile": "none",
        "StrictHostKeyChecking": "yes",
        "LogLevel": "ERROR",
        "ConnectTimeout": "5",
        "BatchMode": "yes" if batch else "no",
    }
    settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "none", "-i", str(lab.key), *settings, f"{OPERATOR}@{host.address}", *words]


def greets(host: Host) -> bool:
    """Whether an ssh server says hello: cheap enough to ask often while a node boots."""
    try:
        with socket.create_connection((host.address, 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def logs_in(lab: Lab, host: Host) -> bool:
    login = command(lab, host, "true", batch=True)
    return subprocess.run(login, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def available(lab: Lab, host: Host) -> bool:
    return greets(host) and logs_in(lab, host)
