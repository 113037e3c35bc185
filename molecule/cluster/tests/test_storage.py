"""Volumes that the inventory declares: claimed, kept, and not deleted while somebody uses them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from traffic import IMAGE

from lab.system import wait_until

VOLUME = "local-worker1-data"
PLACE = "/var/lib/onprem-dify/volumes/data"
# It names no class: the default one is meant.
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "kept", "namespace": "default"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "keeper", "namespace": "default"},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1001,
            "fsGroup": 1001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "agnhost",
                "image": IMAGE,
                "args": ["pause"],
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "kept"}}],
    },
}


def phase(site) -> str:
    return str(site.kubectl(f"get persistentvolume {VOLUME} --output=jsonpath={{.status.phase}}"))


@pytest.fixture(scope="module")
def keeper(site) -> Iterator[str]:
    """A pod that has the volume, and its node."""
    objects = {"apiVersion": "v1", "kind": "List", "items": [CLAIM, POD]}
    site.kubectl("apply --filename=-", json.dumps(objects))
    try:
        site.kubectl("wait pod keeper --for=condition=Ready --timeout=120s")
        yield str(site.kubectl("get pod keeper --output=jsonpath={.spec.nodeName}"))
    finally:
        site.kubectl("delete pod/keeper persistentvolumeclaim/kept --ignore-not-found --timeout=60s")
        # What the operator does who wants it claimed anew.
        wait_until(lambda: phase(site) == "Released", 60, "the volume is released")
        site.root("worker1", f"rm --recursive --force {PLACE}/*")
        site.kubectl(f'patch persistentvolume {VOLUME} --type=merge --patch=\'{{"spec":{{"claimRef":null}}}}\'')


def test_a_claim_without_a_class_gets_a_volume_on_the_disk_of_its_node(site, keeper: str) -> None:
    assert keeper == "worker1"
    site.kubectl("exec keeper -- sh -c 'echo kept > /data/file'")
    assert site.root("worker1", f"cat {PLACE}/file") == "kept"


def test_a_volume_in_use_is_not_deleted(site, keeper: str) -> None:
    refused = site.try_kubectl(f"delete persistentvolume {VOLUME} --wait=false")
    assert refused.returncode == 1
    assert f"volume {VOLUME} is in use by claim default/kept, wanted: the claim deleted first" in refused.stderr
    assert phase(site) == "Bound"


def test_no_other_claim_gets_it(site, keeper: str) -> None:
    site.kubectl("apply --filename=-", json.dumps({**CLAIM, "metadata": {"name": "other", "namespace": "default"}}))
    try:
        assert site.kubectl("get persistentvolumeclaim other --output=jsonpath={.status.phase}") == "Pending"
    finally:
        site.kubectl("delete persistentvolumeclaim other --timeout=60s")


def test_what_is_in_it_stays_when_its_claim_goes(site, keeper: str) -> None:
    site.kubectl("exec keeper -- sh -c 'echo stays > /data/stays'")
    site.kubectl("delete pod/keeper persistentvolumeclaim/kept --timeout=60s")
    wait_until(lambda: phase(site) == "Released", 60, "the volume is released")
    assert site.root("worker1", f"cat {PLACE}/stays") == "stays"
    # Nobody uses it: now an operator may.
    assert site.try_kubectl(f"delete persistentvolume {VOLUME} --dry-run=server").returncode == 0


def test_a_worker_can_ask_a_file_server_and_listens_for_none(site) -> None:
    assert site.root("worker1", "mount.nfs4 -V").startswith("mount.nfs4:")
    assert site.try_root("cp1", "command -v mount.nfs4").returncode == 1
    assert site.root("worker1", "ss --no-header --listening --numeric 'sport = :111'") == ""
