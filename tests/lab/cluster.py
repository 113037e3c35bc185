"""A cluster on nodes of a lab, asked as its administrator asks, however it came to be."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

from . import ssh
from .errors import LabError
from .topology import Host, Lab

KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf"


class Cluster:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.hosts = [host for host in lab.hosts if host.runs_pods]
        self.first = next(host for host in self.hosts if "control_plane" in host.groups)

    def run(self, host: Host, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as root."""
        words = ssh.command(self.lab, host, f"sudo bash -c {shlex.quote(script)}", batch=True)
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def root(self, host: Host, script: str) -> str:
        """What a script prints that root runs on a host."""
        done = self.run(host, script)
        if done.returncode != 0:
            raise LabError(f"{host.name}: {script[:200]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout.strip()

    def kubectl(self, arguments: str) -> str:
        return self.root(self.first, f"{KUBECTL} {arguments}")

    def items(self, arguments: str) -> list[dict[str, Any]]:
        """What `kubectl get` finds."""
        found: list[dict[str, Any]] = json.loads(self.kubectl(f"get {arguments} -o json"))["items"]
        return found

    def apply(self, manifest: str) -> None:
        self.root(self.first, f"{KUBECTL} apply -f - <<'END'\n{manifest}\nEND")

    def exec(self, pod: str, command: str) -> str:
        return self.kubectl(f"exec {pod} -- {command}")

    def ready(self) -> int:
        """How many nodes are Ready."""
        return sum(is_ready(node["status"].get("conditions", [])) for node in self.items("nodes"))

    def unfinished(self) -> list[str]:
        """Pods that are not ready."""
        pods = self.items("pods -A")
        return [pod["metadata"]["name"] for pod in pods if not is_ready(pod["status"].get("conditions", []))]

    def boot(self, name: str) -> str:
        """Which boot of a host this is; empty while it does not answer."""
        return self.run(self.lab.host(name), "cat /proc/sys/kernel/random/boot_id").stdout.strip()

    def ready_since_boot(self, name: str) -> bool:
        """Whether the kubelet of a host's present boot says that the node is Ready."""
        status = json.loads(self.kubectl(f"get node {name} -o json"))["status"]
        return status["nodeInfo"]["bootID"] == self.boot(name) and is_ready(status["conditions"])


def is_ready(conditions: Iterable[Mapping[str, str]]) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
