"""The API of Kubernetes without a node, in a network of its own: for what a cluster is told, and what it refuses."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .artifacts import catalogue, store
from .cgroups import members_of
from .progress import Progress
from .system import wait_until
from .topology import Lab

ADDRESS = "10.9.0.1"
# No node tells that it lives, and none is to be given up for that.
CONTROLLERS = "*,-node-lifecycle-controller"
SCRIPT = """\
set -e
ip link set lo up
ip address add {address}/32 dev lo
openssl genrsa -out accounts.key 2048
etcd --data-dir=etcd &
kube-apiserver --etcd-servers=http://127.0.0.1:2379 --cert-dir=. --bind-address={address} \\
  --advertise-address={address} --service-cluster-ip-range=10.96.0.0/16 --token-auth-file=tokens \\
  --service-account-issuer=https://bare --service-account-key-file=accounts.key \\
  --service-account-signing-key-file=accounts.key --authorization-mode=RBAC --allow-privileged \\
  --admission-control-config-file=admission.yaml &
# It ends while the API does not answer.
while true; do kube-controller-manager --kubeconfig=kubeconfig --cert-dir=. --leader-elect=false \\
  --controllers={controllers} --service-account-private-key-file=accounts.key || sleep 1; done
"""


class Api:
    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self._process = process

    def run(self, *words: str, data: str = "") -> subprocess.CompletedProcess[str]:
        network = ["nsenter", f"--target={self._process.pid}", "--net"]
        kubectl = [*network, "kubectl", "--kubeconfig=kubeconfig", *words]
        return subprocess.run(
            kubectl, input=data, cwd=self.folder, env=_path(self.folder), capture_output=True, text=True, check=False
        )

    def try_kubectl(self, words: str, data: str = "") -> subprocess.CompletedProcess[str]:
        return self.run(*words.split(), data=data)

    def kubectl(self, words: str, data: str = "") -> str:
        done = self.try_kubectl(words, data)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def objects(self, words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.kubectl(f"get {words} --output=json"))["items"]
        return found


@contextmanager
def running(lab: Lab, folder: Path, admission: str, controllers: str = CONTROLLERS) -> Iterator[Api]:
    """An API made of the lab's programs, with this configuration of its admission; gone afterwards."""
    _programs(lab, folder / "bin")
    token = secrets.token_hex(16)
    (folder / "tokens").write_text(f"{token},admin,admin,system:masters\n")
    (folder / "admission.yaml").write_text(admission)
    # Nobody else is in its network.
    cluster = {"server": f"https://{ADDRESS}:6443", "insecure-skip-tls-verify": True}
    (folder / "kubeconfig").write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "bare", "cluster": cluster}],
                "users": [{"name": "admin", "user": {"token": token}}],
                "contexts": [{"name": "bare", "context": {"cluster": "bare", "user": "admin"}}],
                "current-context": "bare",
            }
        )
    )
    with (folder / "log").open("wb") as log:
        script = SCRIPT.format(address=ADDRESS, controllers=controllers)
        command = ["nice", "unshare", "--net", "bash", "-c", script]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_path(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        api = Api(folder, process)
        wait_until(lambda: api.try_kubectl("get --raw=/readyz").stdout == "ok", 120, "the API answers", pause=1)
        yield api
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _programs(lab: Lab, target: Path) -> None:
    target.mkdir(parents=True)
    members = members_of(lab.name)
    for program in store.ensure(lab, members, catalogue.IN_GO["kubernetes"], Progress()).iterdir():
        (target / program.name).symlink_to(program)
    (archive,) = store.ensure(lab, members, catalogue.IN_GO["etcd"], Progress()).glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        (member,) = (one for one in tar if one.name.endswith("/etcd"))
        member.name = "etcd"
        tar.extract(member, target, filter="data")


def _path(folder: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
