"""What the role for storage tells a cluster: a real API takes it, and guards what is in use. No node is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.roles import rendering

from ansible_collections.onprem.dify.plugins.module_utils.kubernetes_objects import differences
from ansible_collections.onprem.dify.plugins.module_utils.kubernetes_volumes import persistent_volumes
from lab import bare_api, topology
from lab.bare_api import Api
from lab.scratch import ROOT
from lab.system import wait_until

APPLY = "apply --server-side --force-conflicts --field-manager=onprem.dify --filename=-"
VOLUME = "local-worker1-data"
# No class is named: the default one is meant. The volume is, as no pod chooses one.
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "kept", "namespace": "default"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": VOLUME},
}


def told() -> list[dict[str, Any]]:
    """All that the role applies; the images of the driver are none, as nothing runs."""
    images = {f"__storage_{name}_image": f"none/{name}:0" for name in ("driver", "provisioner", "registrar")}
    facts = {"default_storage_class": "local", "addresses": {"files": ["10.20.3.41"]}}
    texts = [
        rendering.template("storage", name, site_facts=facts, **images) for name in ("local.yaml.j2", "nfs.yaml.j2")
    ]
    objects = [document for text in texts for document in yaml.safe_load_all(text) if document]
    return objects + persistent_volumes({"worker1": [{"name": "data", "size": "1Gi"}]}, "/var/lib/onprem-dify/volumes")


def as_list(*items: dict[str, Any]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    admission = rendering.template("kubeadm", "admission.yaml.j2")
    lab = topology.read(str(ROOT / "molecule/cluster/inventory"))
    with bare_api.running(lab, Path(tmp_path_factory.mktemp("api")), admission) as found:
        found.kubectl(APPLY, as_list(*told()))
        yield found


def phase(api: Api) -> str:
    return api.kubectl(f"get persistentvolume {VOLUME} --output=jsonpath={{.status.phase}}")


@pytest.fixture
def bound(api: Api) -> Iterator[None]:
    """The volume is claimed, and afterwards given back, as the page of the documentation tells an operator."""
    api.kubectl("create --filename=-", json.dumps(CLAIM))
    wait_until(lambda: phase(api) == "Bound", 30, "the claim has the volume")
    yield
    api.kubectl("delete persistentvolumeclaim kept --ignore-not-found --timeout=30s")
    wait_until(lambda: phase(api) in ("Released", "Available"), 30, "the volume is released")
    api.kubectl(f'patch persistentvolume {VOLUME} --type=merge --patch={{"spec":{{"claimRef":null}}}}')
    wait_until(lambda: phase(api) == "Available", 30, "the volume can be claimed")


def test_a_second_run_changes_nothing(api: Api) -> None:
    found = json.loads(api.kubectl("get --filename=- --output=json", as_list(*told())))["items"]
    would = json.loads(api.kubectl(f"{APPLY} --dry-run=server --output=json", as_list(*told())))["items"]
    assert len(would) == len(told())
    assert differences(found, would) == []


def test_a_claim_that_names_no_class_gets_a_volume_of_the_default_one(api: Api, bound: None) -> None:
    assert api.kubectl("get persistentvolumeclaim kept --output=jsonpath={.spec.storageClassName}") == "local"


def test_a_volume_in_use_is_not_deleted(api: Api, bound: None) -> None:
    refused = api.try_kubectl(f"delete persistentvolume {VOLUME} --wait=false")
    assert refused.returncode == 1
    assert f"volume {VOLUME} is in use by claim default/kept, wanted: the claim deleted first" in refused.stderr
    assert phase(api) == "Bound"


def test_a_volume_stays_when_its_claim_goes_and_may_be_deleted_then(api: Api, bound: None) -> None:
    api.kubectl("delete persistentvolumeclaim kept --timeout=30s")
    wait_until(lambda: phase(api) == "Released", 30, "the volume is released")
    api.kubectl(f"delete persistentvolume {VOLUME} --timeout=30s")
    api.kubectl(APPLY, as_list(*told()))


def test_a_volume_does_not_move(api: Api) -> None:
    (moved,) = persistent_volumes({"worker1": [{"name": "data", "size": "1Gi", "path": "/mnt/other"}]}, "")
    refused = api.try_kubectl(APPLY, json.dumps(moved))
    assert refused.returncode == 1
    assert "immutable" in refused.stderr


def test_the_pods_of_the_driver_are_let_in_and_others_are_not_privileged(api: Api) -> None:
    wait_until(lambda: len(api.objects("pods --namespace=csi-nfs")) == 1, 30, "the controller has its pod")
    pod = api.objects("pods --namespace=csi-nfs")[0]
    copy = {**pod, "metadata": {"name": "copy", "namespace": "default"}}
    copy["spec"] = {
        key: value for key, value in pod["spec"].items() if key not in ("serviceAccount", "serviceAccountName")
    }
    refused = api.try_kubectl("create --filename=-", json.dumps(copy))
    assert 'violates PodSecurity "restricted:latest"' in refused.stderr
