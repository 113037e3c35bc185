"""What the role for storage classes tells the cluster."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.community.general.plugins.filter import dict_kv
from unit.roles import rendering

IMAGES = {
    f"__storage_{name}_image": f"registry.k8s.io/sig-storage/{name}:v0@sha256:{number}"
    for number, name in enumerate(("driver", "provisioner", "registrar"))
}


def objects(template: str, default: str = "", **variables: Any) -> dict[tuple[str, str], dict[str, Any]]:
    facts = {"default_storage_class": default, "addresses": {"files": ["10.20.3.41"]}, "storage_classes": []}
    text = rendering.template("storage", template, site_facts=facts, **IMAGES, **variables)
    documents = [document for document in yaml.safe_load_all(text) if document]
    found = {(document["kind"], document["metadata"]["name"]): document for document in documents}
    assert len(found) == len(documents)
    return found


def pods() -> list[dict[str, Any]]:
    return [
        item["spec"]["template"]["spec"]
        for item in objects("nfs.yaml.j2").values()
        if "template" in item.get("spec", {})
    ]


@pytest.mark.parametrize("default", ["", "local", "nfs"])
def test_one_variable_says_which_class_is_the_default(default: str) -> None:
    note = "storageclass.kubernetes.io/is-default-class"
    for name in ("local", "nfs"):
        known = objects(f"{name}.yaml.j2", default)[("StorageClass", name)]
        assert known["metadata"]["annotations"] == {note: "true" if name == default else "false"}


def test_local_volumes_are_chosen_with_their_node_and_made_by_nobody() -> None:
    known = objects("local.yaml.j2")[("StorageClass", "local")]
    assert known["provisioner"] == "kubernetes.io/no-provisioner"
    assert known["volumeBindingMode"] == "WaitForFirstConsumer"
    assert known["reclaimPolicy"] == "Retain"


def test_claims_go_to_the_file_server_of_the_site_with_its_version_of_nfs() -> None:
    known = objects("nfs.yaml.j2")[("StorageClass", "nfs")]
    assert (known["parameters"]["server"], known["parameters"]["share"]) == ("10.20.3.41", "/srv/files/claims")
    assert {"nfsvers=4.2", "hard", "nosuid", "nodev"} <= set(known["mountOptions"])
    assert known["reclaimPolicy"] == "Retain"


def test_nobody_gives_files_away_on_a_server_where_root_is_nobody() -> None:
    found = objects("nfs.yaml.j2")
    assert found[("CSIDriver", "nfs.csi.k8s.io")]["spec"]["fsGroupPolicy"] == "None"
    assert found[("StorageClass", "nfs")]["provisioner"] == "nfs.csi.k8s.io"


def test_the_driver_runs_where_the_server_lets_it_in() -> None:
    assert len(pods()) == 2
    for pod in pods():
        assert pod["nodeSelector"] == {"node-role.kubernetes.io/worker": ""}
        assert pod["hostNetwork"] is True


def test_what_runs_is_pinned_by_its_digest_and_only_what_mounts_is_privileged() -> None:
    containers = [container for pod in pods() for container in pod["containers"]]
    assert all("@sha256:" in container["image"] for container in containers)
    privileged = [one["name"] for one in containers if one["securityContext"].get("privileged")]
    assert privileged == ["nfs", "nfs"]
    assert all("ALL" in one["securityContext"]["capabilities"]["drop"] for one in containers if one["name"] != "nfs")


def test_the_pods_of_the_nodes_have_no_access_to_the_api() -> None:
    found = objects("nfs.yaml.j2")
    assert found[("ServiceAccount", "csi-nfs-node")]["automountServiceAccountToken"] is False
    subjects = [item["subjects"] for (kind, _name), item in found.items() if kind.endswith("Binding")]
    assert {subject["name"] for entry in subjects for subject in entry} == {"csi-nfs-controller"}


def test_a_host_gets_directories_for_the_volumes_that_have_no_place_of_their_own() -> None:
    volumes = [{"name": "data", "size": "1Gi"}, {"name": "disk", "size": "1Gi", "path": "/mnt/disk"}]
    filters = {"community.general.dict_kv": dict_kv.FilterModule().filters()["dict_kv"]}
    found = rendering.templated("storage", "{{ __storage_directories }}", filters, storage_local_volumes=volumes)
    assert [entry["path"] for entry in found] == [
        "/var/lib/onprem-dify",
        "/var/lib/onprem-dify/volumes",
        "/var/lib/onprem-dify/volumes/data",
    ]
    # The pods that use it make it their own.
    assert found[-1]["once"] is True


@pytest.mark.parametrize(
    ("host", "uploads", "plugins", "mounts"),
    [("w1", "nfs", "s3", True), ("w1", "s3", "nfs", True), ("w1", "s3", "s3", False), ("cp1", "nfs", "nfs", False)],
)
def test_workers_get_a_client_of_nfs_where_dify_needs_one(host: str, uploads: str, plugins: str, mounts: bool) -> None:
    site = {"storage": {"uploads": uploads, "plugins": plugins, "claims": ""}}
    known = {"site_facts": site, "groups": {"workers": ["w1"]}, "inventory_hostname": host}
    assert rendering.templated("storage", "{{ __storage_mounts_nfs }}", **known) is mounts
