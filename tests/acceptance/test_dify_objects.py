"""The API server of the pinned Kubernetes takes every object of Dify as it is, and a second time nothing changes.

No node and no pod: an API server and its etcd, on this computer.
"""

from __future__ import annotations

import json
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils import (
    dify_manifests,
    dify_secrets,
    kubeadm_host,
    kubernetes_objects,
)
from ansible_collections.onprem.dify.plugins.modules import kubernetes_objects as module
from lab import scratch, topology
from lab.artifacts import golang, store
from lab.artifacts.images import OWN
from lab.cgroups import members_of
from lab.progress import Progress
from lab.system import wait_until

TOKEN = "token-of-the-test"


class Computer:
    """Runs kubectl as an AnsibleModule does."""

    def __init__(self, program: Path) -> None:
        self.program = program

    def get_bin_path(self, *_names: Any, **_options: Any) -> str:
        return str(self.program)

    def run_command(self, command: list[str], data: str | None = None) -> tuple[int, str, str]:
        done = subprocess.run(command, input=data, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr


class Host(kubeadm_host.Host):
    """`kubectl` with the access to the API server of the test."""

    def __init__(self, computer: Computer, access: Path) -> None:
        super().__init__(computer)
        self.access = access

    def try_kubectl(self, *words: str, access: Any = None, data: str = "") -> tuple[int, str, str]:
        return super().try_kubectl(*words, access=self.access, data=data)


def programs(folder: Path) -> tuple[Path, Path]:
    """etcd in a folder, and the folder with the programs of Kubernetes."""
    lab = topology.read(str(scratch.EXAMPLE))
    members, progress = members_of(lab.name), Progress()
    etcd, kubernetes = (
        store.ensure(lab, members, golang.artifact(OWN[name]), progress) for name in ("etcd", "kubernetes")
    )
    with tarfile.open(next(etcd.glob("*.tar.gz"))) as tar:
        tar.extractall(folder, filter="data")
    return next(folder.glob("*/etcd")), kubernetes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("api")
    etcd, kubernetes = programs(folder)
    ports = {name: free_port() for name in ("client", "peer", "api")}
    client, peer = (f"http://127.0.0.1:{ports[name]}" for name in ("client", "peer"))
    (folder / "tokens.csv").write_text(f"{TOKEN},admin,1,system:masters\n")
    for words in (["genrsa", "-out", "sa.key", "2048"], ["rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub"]):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    store_of_objects = f"""--data-dir=data --listen-client-urls={client} --advertise-client-urls={client}
        --listen-peer-urls={peer} --unsafe-no-fsync"""
    api = f"""--etcd-servers={client} --bind-address=127.0.0.1 --secure-port={ports["api"]} --cert-dir=certs
        --token-auth-file=tokens.csv --authorization-mode=RBAC --service-account-issuer=https://test
        --service-account-key-file=sa.pub --service-account-signing-key-file=sa.key
        --service-cluster-ip-range=10.96.0.0/12"""
    commands = [[etcd, *store_of_objects.split()], [kubernetes / "kube-apiserver", *api.split()]]
    server = {"server": f"https://127.0.0.1:{ports['api']}", "certificate-authority": f"{folder}/certs/apiserver.crt"}
    access = folder / "access.json"
    access.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": server}],
                "users": [{"name": "admin", "user": {"token": TOKEN}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
                "current-context": "test",
            }
        )
    )
    with ExitStack() as running:
        for command in commands:
            log = running.enter_context((folder / f"{Path(command[0]).name}.log").open("wb"))
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
            running.callback(process.wait)
            running.callback(process.terminate)
        found = Host(Computer(kubernetes / "kubectl"), access)
        wait_until(lambda: found.try_kubectl("get", "--raw", "/readyz")[0] == 0, 180, "the API server is ready", 1)
        yield found


def steps(host: Host, version: str, **tenant: Any) -> dict[str, list[dict[str, Any]]]:
    """The objects of the example site as the role applies them, one step after the other."""
    known = difys.secrets("dify")
    build = difys.build(tenant, version, known=known)
    phases = dify_manifests.manifests(build)
    values = dify_secrets.values(build.release, build.tenant, build.facts, known)
    # Any pair will do: that of the API server itself.
    files = {f"tls.{kind}": (host.access.parent / f"certs/apiserver.{kind}").read_text() for kind in ("crt", "key")}
    router = ("dify/router-tls", "dify/deployment/router", files)
    return {
        "foundation": phases["foundation"],
        "secrets": dify_secrets.objects(build.release, build.tenant, values, build.labels()),
        "migration": phases["migration"],
        "workloads": phases["workloads"],
        "way_in": kubernetes_objects.with_certificate(phases["way_in"], *router),
    }


@pytest.mark.parametrize("version", difys.RELEASES)
def test_every_object_is_taken_without_a_warning_and_a_second_time_nothing_changes(
    host: Host, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(module, "ADMIN", host.access)
    # With agents there is everything that a release has.
    made = steps(host, version, agents=True)
    for items in made.values():
        text = kubernetes_objects.as_list(items)
        code, _out, said = host.try_kubectl(*module.APPLY, "--validate=strict", data=text)
        assert (code, said) == (0, "")
    for name, items in made.items():
        assert [str(key) for key, _before, _after in module.differences(host, items, False)] == [], name


def test_what_the_sandboxes_may_is_refused_beside_the_others(host: Host) -> None:
    """The namespace of Dify takes no pod that is root: so the restriction is on."""
    (sandbox,) = difys.of(steps(host, difys.NEWEST)["workloads"], "Deployment", "sandbox")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "moved", "namespace": "dify"}}
    pod["spec"] = {**sandbox["spec"]["template"]["spec"], "serviceAccountName": "api"}
    code, _out, said = host.try_kubectl("create", "--dry-run=server", "--filename=-", data=json.dumps(pod))
    assert code != 0
    assert 'violates PodSecurity "restricted:' in said
