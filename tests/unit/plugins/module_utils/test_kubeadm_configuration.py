"""What kubeadm is told: addresses, safe settings, and what a site changes."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_configuration import (
    ConfigurationError,
    api_endpoint,
    init_documents,
    join_documents,
    labels,
    taints,
)

GROUPS = {
    "cp1": ["control_plane"],
    "cp2": ["control_plane"],
    "worker1": ["workers"],
    "all1": ["control_plane", "workers"],
}


def site(*names: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": "bank",
        "domain": "bank.internal",
        "hosts": {name: {"address": f"10.0.2.{n}", "groups": GROUPS[name]} for n, name in enumerate(names, 11)},
        "endpoints": {"kube-api": "10.0.2.10"},
        "services": {},
        "pod_network": "10.244.0.0/16",
        "service_network": "10.96.0.0/16",
        "service_proxy": "iptables",
        **changes,
    }


SETTINGS = {
    "version": "1.36.4",
    "directory": "/etc/kubernetes/onprem-dify",
    "audit": {"directory": "/var/log/kubernetes", "days": 30, "files": 10, "megabytes": 100},
}


def documents(host: str = "cp1", **settings: Any) -> dict[str, Any]:
    found = init_documents(site("cp1", "cp2", "worker1"), host, {**SETTINGS, **settings})
    return {document["kind"]: document for document in found}


def arguments(component: dict[str, Any]) -> dict[str, str]:
    return {argument["name"]: argument["value"] for argument in component["extraArgs"]}


def test_everybody_comes_through_the_endpoint() -> None:
    assert api_endpoint(site("cp1", "cp2")) == "10.0.2.10:8443"
    assert documents()["ClusterConfiguration"]["controlPlaneEndpoint"] == "10.0.2.10:8443"


def test_a_site_may_bring_its_own_balancer() -> None:
    assert api_endpoint(site("cp1", "cp2", endpoints={}, services={"kube-api": ["10.9.9.9"]})) == "10.9.9.9:6443"


def test_a_single_control_plane_needs_no_endpoint() -> None:
    assert api_endpoint(site("cp1", "worker1", endpoints={})) == "10.0.2.11:6443"


def test_several_control_planes_without_one_address_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"site_endpoints\.kube-api is not set, and control_plane has 2 hosts"):
        api_endpoint(site("cp1", "cp2", endpoints={}))


def test_the_api_can_be_verified_under_every_address() -> None:
    names = documents()["ClusterConfiguration"]["apiServer"]["certSANs"]
    assert names == ["10.0.2.10", "10.0.2.11", "10.0.2.12", "127.0.0.1", "kube-api.bank.internal"]


def test_the_cluster_has_the_name_and_the_networks_of_the_site() -> None:
    cluster = documents()["ClusterConfiguration"]
    assert cluster["clusterName"] == "bank"
    assert cluster["kubernetesVersion"] == "v1.36.4"
    assert cluster["networking"]["podSubnet"] == "10.244.0.0/16"
    assert cluster["networking"]["serviceSubnet"] == "10.96.0.0/16"


def test_the_api_server_is_safe_from_its_first_start() -> None:
    api = arguments(documents()["ClusterConfiguration"]["apiServer"])
    assert api["profiling"] == "false"
    assert api["tls-min-version"] == "VersionTLS13"
    assert api["audit-log-maxage"] == "30"
    folder = "/etc/kubernetes/onprem-dify"
    assert api["encryption-provider-config"] == f"{folder}/encryption.yaml"
    assert api["audit-policy-file"] == f"{folder}/audit-policy.yaml"
    assert api["admission-control-config-file"] == f"{folder}/admission.yaml"
    # One of the two: the API server refuses both.
    assert api["authentication-config"] == f"{folder}/authentication.yaml"
    assert "anonymous-auth" not in api


def test_the_pod_of_the_api_server_sees_all_files_that_it_is_told_to_read() -> None:
    api = documents()["ClusterConfiguration"]["apiServer"]
    mounts = [volume["mountPath"] for volume in api["extraVolumes"]]
    for name, path in arguments(api).items():
        if path.startswith("/"):
            assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), name


def test_only_the_audit_log_can_be_written() -> None:
    volumes = documents()["ClusterConfiguration"]["apiServer"]["extraVolumes"]
    assert [volume["name"] for volume in volumes if not volume["readOnly"]] == ["audit"]


def test_the_kubelet_lets_nobody_in_without_a_name() -> None:
    kubelet = documents()["KubeletConfiguration"]
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}
    assert kubelet["authorization"] == {"mode": "Webhook"}
    assert kubelet["readOnlyPort"] == 0
    assert kubelet["tlsCertFile"] == "/etc/onprem-dify/pki/kubelet/tls.crt"


def test_a_site_changes_single_fields() -> None:
    found = documents(kubelet={"authentication": {"webhook": {"cacheTTL": "1m"}}}, kube_proxy={"conntrack": {"min": 0}})
    assert found["KubeletConfiguration"]["authentication"] == {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True, "cacheTTL": "1m"},
    }
    assert found["KubeProxyConfiguration"]["conntrack"] == {"min": 0}
    assert found["KubeProxyConfiguration"]["mode"] == "iptables"


def test_pinned_images_are_named() -> None:
    cluster = documents(image_tags={"etcd": "3.6.14-0", "coredns": "v1.14.2"})["ClusterConfiguration"]
    assert cluster["etcd"]["local"]["imageTag"] == "3.6.14-0"
    assert cluster["dns"]["imageTag"] == "v1.14.2"
    assert "imageTag" not in documents(image_tags={"etcd": ""})["ClusterConfiguration"]["etcd"]["local"]


def test_a_node_has_the_name_and_the_address_of_the_inventory() -> None:
    node = documents("cp2")["InitConfiguration"]
    assert node["nodeRegistration"]["name"] == "cp2"
    assert node["localAPIEndpoint"] == {"advertiseAddress": "10.0.2.12", "bindPort": 6443}
    assert arguments({"extraArgs": node["nodeRegistration"]["kubeletExtraArgs"]}) == {"node-ip": "10.0.2.12"}


def test_only_control_planes_join_as_such() -> None:
    everybody = site("cp1", "cp2", "worker1")
    assert join_documents(everybody, "cp2", SETTINGS)[0]["controlPlane"]["localAPIEndpoint"]["bindPort"] == 6443
    assert "controlPlane" not in join_documents(everybody, "worker1", SETTINGS)[0]


def test_a_control_plane_that_is_a_worker_too_takes_pods() -> None:
    everybody = site("cp1", "worker1", "all1")
    assert [taint["effect"] for taint in taints(everybody, "cp1")] == ["NoSchedule"]
    assert taints(everybody, "all1") == taints(everybody, "worker1") == []
    assert labels(everybody, "all1") == labels(everybody, "worker1") == {"node-role.kubernetes.io/worker": ""}
    assert labels(everybody, "cp1") == {}
    # Without any, kubeadm would put its own there.
    assert init_documents(everybody, "all1", SETTINGS)[0]["nodeRegistration"]["taints"] == []


def test_an_api_server_with_other_files_is_another_one() -> None:
    assert documents()["ClusterConfiguration"]["apiServer"]["extraEnvs"] == []
    (variable,) = documents(files="abc")["ClusterConfiguration"]["apiServer"]["extraEnvs"]
    assert variable == {"name": "ONPREM_DIFY_FILES", "value": "abc"}


def test_the_plugin_for_keys_is_reached_from_the_pod_of_the_api_server() -> None:
    volumes = documents(kms_socket="/run/kms/plugin.sock")["ClusterConfiguration"]["apiServer"]["extraVolumes"]
    (kms,) = [volume for volume in volumes if volume["name"] == "kms"]
    assert kms["hostPath"] == kms["mountPath"] == "/run/kms"
    assert "kms" not in [volume["name"] for volume in documents()["ClusterConfiguration"]["apiServer"]["extraVolumes"]]
