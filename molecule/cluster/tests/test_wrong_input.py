"""What does not fit is refused before anything changes, in one message: what was found and what is wanted."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from lab import scratch

VERSION = str(scratch.load(scratch.ROOT / "bundle/kubelet.yml")["version"])
MAJOR, MINOR = (int(part) for part in VERSION.split(".")[:2])
TOO_NEW, TOO_OLD = f"{MAJOR}.{MINOR + 2}.0", f"{MAJOR}.{MINOR - 1}.0"


def refusal(site, host: str, module: str, **arguments: Any) -> str:
    """Why a module of the collection refuses, on a host of the site."""
    words = ["ansible", host, f"--inventory={site.inventory}", "--become", f"--module-name=onprem.dify.{module}"]
    done = subprocess.run(
        [*words, f"--args={json.dumps(arguments)}"],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(scratch.ROOT / "ansible.cfg"),
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        },
        cwd=scratch.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"cluster": "other"}, "it is a control plane of the cluster cluster, wanted is other"),
        (
            {"endpoint": "10.81.2.99:8443"},
            "made with the API at https://10.81.2.10:8443, the inventory says https://10.81.2.99",
        ),
        (
            {"version": TOO_NEW},
            f"it runs Kubernetes {VERSION}, the pin of kubelet is {TOO_NEW}. Kubernetes goes one minor version at a",
        ),
        (
            {"version": TOO_OLD},
            f"it runs Kubernetes {VERSION}, the pin of kubelet is {TOO_OLD}. Kubernetes does not go back",
        ),
        ({"control_plane": False}, "it is a control plane of a cluster, and a worker in the inventory"),
    ],
)
def test_a_host_that_is_something_else_is_refused(site, endpoint: str, wish: dict[str, Any], said: str) -> None:
    usual = {"name": "cp1", "cluster": "cluster", "endpoint": endpoint, "control_plane": True, "version": VERSION}
    assert said in refusal(site, "cp1", "kubeadm_node", **{**usual, **wish})


def test_a_host_with_remains_of_a_cluster_is_refused(site, endpoint: str) -> None:
    site.root("ops1", "mkdir --parents /etc/kubernetes/pki && touch /etc/kubernetes/pki/ca.key")
    try:
        wish = {"name": "ops1", "cluster": "cluster", "endpoint": endpoint, "control_plane": False, "version": VERSION}
        said = refusal(site, "ops1", "kubeadm_node", **wish)
        assert "host ops1: no cluster of this site, and yet there are /etc/kubernetes/pki" in said
    finally:
        site.root("ops1", "rm --recursive /etc/kubernetes")
