"""A control plane that kubeadm makes, without a node: its etcd and its API server in namespaces of their own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from .system import wait_until

ROOT = Path(__file__).resolve().parents[2]
# What is written there is written into memory, and gone with the namespaces.
PRIVATE = ("/etc", "/var/lib", "/usr/local", "/run")
PKI = "/etc/kubernetes/pki/etcd"
ETCDCTL = (
    f"etcdctl --endpoints=https://127.0.0.1:2379 --cacert={PKI}/ca.crt --cert={PKI}/server.crt --key={PKI}/server.key"
)


class ControlPlane:
    def __init__(self, folder: Path, programs: list[Path]) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        flags = ["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
        self.holder = subprocess.Popen(["unshare", *flags, "sleep", "infinity"])
        wait_until(lambda: bool(self.inside()), 10, "the namespaces", pause=0.1)
        for number, path in enumerate(PRIVATE):
            layer = f"/mnt/{number}"
            self.run(
                f"mountpoint -q /mnt || mount -t tmpfs tmpfs /mnt; mkdir -p {layer}/upper {layer}/work;"
                f" mount -t overlay -o lowerdir={path},upperdir={layer}/upper,workdir={layer}/work overlay {path}"
            )
        self.run("ip link set lo up; ip address add 10.9.9.9/32 dev lo")
        self.run("mkdir -p /etc/kubernetes/onprem-dify /var/lib/node_exporter/textfile /run/onprem-dify/kubeadm")
        for program in programs:
            self.run(f"ln -sf {program} /usr/local/bin/{program.name}")

    def inside(self) -> str:
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children")
        return children.read_text().strip()

    def command(self, *words: str) -> list[str]:
        return ["nsenter", f"--target={self.inside()}", "--mount", "--net", "--pid", *words]

    def ask(self, script: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KUBECONFIG": "/etc/kubernetes/super-admin.conf", "GOMAXPROCS": "1"}
        words = self.command("bash", "-ec", script)
        return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def run(self, script: str) -> str:
        done = self.ask(script)
        assert done.returncode == 0, f"{script[:200]}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def module(self, called: str, /, **arguments: Any) -> dict[str, Any]:
        """What a module of the collection says when it is run here."""
        check = ["--check", "--diff"] if arguments.pop("check", False) else []
        words = [
            "ansible",
            *check,
            "localhost",
            "--connection=local",
            "--one-line",
            f"--module-name=onprem.dify.{called}",
        ]
        words += [f"--extra-vars=ansible_python_interpreter={sys.executable}", f"--args={json.dumps(arguments)}"]
        out = self.ask(shlex.join(words)).stdout
        found: dict[str, Any] = json.loads(out[out.index("=> ") + 3 :].strip().splitlines()[0])
        return found

    def start(self, pod: str) -> None:
        """Run the program of a static pod as its manifest says."""
        manifest = self.run(f"cat /etc/kubernetes/manifests/{pod}.yaml")
        words = re.findall(
            r"^    - (.*)$", manifest[manifest.index("command:") : manifest.index("image:")], re.MULTILINE
        )
        log = (self.folder / f"{pod}.log").open("ab")
        environment = {**os.environ, "GOMAXPROCS": "1"}
        self.running[pod] = subprocess.Popen(self.command(*words), stdout=log, stderr=log, env=environment)

    def stop(self, pod: str) -> None:
        self.run(f"pkill --exact --ignore-ancestors {pod} || true")
        self.running.pop(pod).wait(30)

    def ready(self) -> bool:
        return self.ask("kubectl get --raw=/readyz").returncode == 0

    def raw(self, secret: str) -> str:
        return self.run(f"{ETCDCTL} get /registry/secrets/{secret} --print-value-only | tr -cd '[:print:]'")

    def end(self) -> None:
        self.holder.kill()
        self.holder.wait()
