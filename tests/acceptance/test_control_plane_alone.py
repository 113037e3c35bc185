"""What keeps data and keys of a control plane, without nodes: real etcd, API server and kubeadm in namespaces."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab import site_bundle, topology
from lab.bare_control_plane import ROOT, ControlPlane
from lab.system import wait_until

OLD, NEW = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "YWJjMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
CONFIGURATION = "/etc/kubernetes/onprem-dify/encryption.yaml"
SNAPSHOTS = "/var/lib/onprem-dify/etcd-snapshots"
UTILS = ROOT / "plugins/module_utils"
# Of the first certificates: as long as a loaded computer needs to start everything and to renew them.
SHORT = 180


def documents(validity: int, **arguments: str) -> list[dict[str, Any]]:
    extra = {
        "encryption-provider-config": CONFIGURATION,
        "encryption-provider-config-automatic-reload": "true",
        "tls-min-version": "VersionTLS13",
        **arguments,
    }
    return [
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": "10.9.9.9", "bindPort": 6443},
            "nodeRegistration": {"name": "cp1"},
        },
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": "v1.36.4",
            "controlPlaneEndpoint": "127.0.0.1:6443",
            "encryptionAlgorithm": "ECDSA-P256",
            "certificateValidityPeriod": f"{validity}s",
            "apiServer": {"extraArgs": [{"name": name, "value": value} for name, value in extra.items()]},
        },
    ]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    folder = tmp_path_factory.mktemp("plane")
    lab = topology.read(str(ROOT / "inventories/lab"))
    programs = [path for path in site_bundle.files(lab, ["kubernetes"]) if path.name.startswith("kube")]
    (archive,) = site_bundle.files(lab, ["etcd"])
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    programs += [path for path in folder.glob("*/etcd*") if path.is_file()]
    plane = ControlPlane(folder, programs)
    try:
        configure(plane, SHORT)
        for phase in ("certs all", "kubeconfig all", "etcd local", "control-plane all"):
            plane.run(f"kubeadm init phase {phase} --config={folder}/kubeadm.yaml")
        assert plane.module("kubernetes_encryption", step="keep", path=CONFIGURATION, key=OLD)["changed"]
        plane.start("etcd")
        plane.start("kube-apiserver")
        wait_until(plane.ready, 120, "the API is ready", pause=1)
        plane.run("kubectl create clusterrolebinding all --clusterrole=cluster-admin --group=kubeadm:cluster-admins")
        yield plane
    finally:
        plane.end()


def configure(plane: ControlPlane, validity: int) -> None:
    text = "---\n".join(f"{json.dumps(document)}\n" for document in documents(validity))
    (plane.folder / "kubeadm.yaml").write_text(text, encoding="utf-8")


RENEW = f"""
import sys, time
sys.path.insert(0, {str(UTILS)!r})
import kubeadm_certificates as certificates
run = lambda words: certificates.execute([*words, "--config=" + sys.argv[1]])
assert "apiserver" in certificates.due(certificates.look(run), 60, time.time())
assert all(server.shows() for server in certificates.SERVERS.values())
run(["kubeadm", "certs", "renew", "all"])
assert certificates.due(certificates.look(run), 60, time.time()) == []
deadline = time.monotonic() + 120
while not all(server.shows() for server in certificates.SERVERS.values()):
    assert time.monotonic() < deadline
    time.sleep(1)
"""


def test_the_api_and_etcd_take_in_renewed_certificates_while_they_run(plane: ControlPlane) -> None:
    end = time.monotonic() + SHORT
    configure(plane, 365 * 86400)
    plane.run(f"/usr/bin/python3 -c {shlex.quote(RENEW)} {plane.folder}/kubeadm.yaml")
    # Until those are over with which both started.
    time.sleep(max(0, end + 5 - time.monotonic()))
    plane.run("kubectl create configmap renewed")
    plane.stop("etcd")
    plane.start("etcd")
    wait_until(plane.ready, 90, "the API has found etcd again", pause=1)
    plane.run("kubectl create configmap again")


def test_a_key_is_changed_step_by_step_and_each_secret_is_written_anew(plane: ControlPlane) -> None:
    plane.run("kubectl create secret generic tried --from-literal=password=a-secret-of-the-test")
    before = plane.raw("default/tried")
    refused = plane.module("kubernetes_encryption", step="keep", path=CONFIGURATION, key=NEW)
    assert "run playbooks/kubernetes_rotate.yml" in refused["msg"]
    changes = [plane.module("kubernetes_encryption", step=step, path=CONFIGURATION, key=NEW) for step in STEPS]
    assert [change["changed"] for change in changes] == [True] * 4, changes
    after = plane.raw("default/tried")
    assert before.split(":")[:4] == after.split(":")[:4] == ["k8s", "enc", "aesgcm", "v1"]
    assert before.split(":")[4] != after.split(":")[4]
    assert "a-secret-of-the-test" not in before + after
    assert plane.run("kubectl get secret tried -o 'jsonpath={.data.password}' | base64 -d") == "a-secret-of-the-test"
    again = [plane.module("kubernetes_encryption", step=step, path=CONFIGURATION, key=NEW) for step in ("keep", *STEPS)]
    assert [change["changed"] for change in again] == [False] * 5, again


def snapshot(plane: ControlPlane) -> subprocess.CompletedProcess[str]:
    words = f"--directory={SNAPSHOTS} --keep=3 --programs=/usr/local/bin"
    return plane.ask(f"/usr/bin/python3 -I {UTILS}/etcd_snapshots.py {words}")


STEPS = ("add", "first", "rewrite", "remove")
RESTORE = """
import sys
from ansible_collections.onprem.dify.plugins.module_utils import etcd_restore as restore, etcd_snapshots as snapshots
wish = restore.Wish("cp1", Path(sys.argv[1]), {"cp1": "https://10.9.9.9:2380"}, "restored")
restore.replace(restore.Places(), wish, restore.begin(restore.Places()), snapshots.execute(Path("/usr/local/bin")))
"""


def test_lost_data_are_seen_and_come_back_from_the_snapshot(plane: ControlPlane) -> None:
    plane.run("kubectl create configmap before")
    assert snapshot(plane).returncode == 0
    name = plane.run(f"ls {SNAPSHOTS}")
    assert plane.run(f"stat --format='%U %a' {SNAPSHOTS}/{name}") == "root 600"
    metric = plane.run("cat /var/lib/node_exporter/textfile/onprem_dify_etcd_snapshot.prom")
    assert f"onprem_dify_etcd_snapshot_revision {name.rpartition('-r')[2].removesuffix('.db')}\n" in metric
    plane.run("kubectl create configmap after")

    plane.stop("etcd")
    plane.run("rm -r /var/lib/etcd/member")
    plane.start("etcd")
    wait_until(lambda: "not found" in plane.ask("kubectl get configmap before").stderr, 90, "the loss", pause=1)
    refused = snapshot(plane)
    assert refused.returncode == 1
    assert "it has lost data since" in refused.stderr
    seen = plane.module("etcd_snapshots", directory=SNAPSHOTS, programs="/usr/local/bin")
    assert 0 < seen["revision"] < seen["snapshots"][0]["revision"]

    plane.stop("kube-apiserver")
    plane.stop("etcd")
    collections = ROOT / ".ansible/collections"
    script = f"PYTHONPATH={collections} {sys.executable} -c {shlex.quote(RESTORE)} {SNAPSHOTS}/{name}"
    plane.run(script)
    plane.start("etcd")
    plane.start("kube-apiserver")
    wait_until(plane.ready, 120, "the API is ready", pause=1)
    plane.run("kubectl get configmap before")
    assert "not found" in plane.ask("kubectl get configmap after").stderr
    assert snapshot(plane).returncode == 0


def test_a_control_plane_as_its_settings_say_is_left_alone(plane: ControlPlane) -> None:
    validity = 365 * 86400
    same = plane.module("kubeadm_manifests", name="cp1", documents=documents(validity))
    assert same["changed"] is False, same
    other = plane.module("kubeadm_manifests", name="cp1", documents=documents(validity, profiling="false"), check=True)
    assert other["pods"] == ["kube-apiserver"]
