"""What the API server reads and what runs in the pods of the network."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from unit.roles import rendering

SITE = {"pod_network": "10.244.0.0/16", "service_network": "10.96.0.0/16", "pod_overlay": "vxlan"}


def rendered(role: str, template: str, **changes: Any) -> list[dict[str, Any]]:
    variables = {
        "site_facts": {**SITE, "service_proxy": "iptables"},
        **changes,
    }
    return [document for document in yaml.safe_load_all(rendering.template(role, template, **variables)) if document]


def test_anybody_may_ask_whether_the_api_is_alive_and_nothing_else() -> None:
    (configuration,) = rendered("kubeadm", "authentication.yaml.j2")
    paths = [condition["path"] for condition in configuration["anonymous"]["conditions"]]
    assert paths == ["/livez", "/readyz", "/healthz"]


def test_pods_are_restricted_unless_their_namespace_is_named() -> None:
    (configuration,) = rendered("kubeadm", "admission.yaml.j2", kubeadm_pod_security_exempt=["csi"])
    security = configuration["plugins"][0]["configuration"]
    assert security["defaults"]["enforce"] == "restricted"
    assert security["exemptions"]["namespaces"] == ["kube-system", "kube-flannel", "csi"]


def test_no_content_of_a_secret_reaches_the_audit_log() -> None:
    (policy,) = rendered("kubeadm", "audit-policy.yaml.j2")
    levels = [
        rule["level"]
        for rule in policy["rules"]
        if any("secrets" in group.get("resources", []) for group in rule.get("resources", []))
    ]
    assert levels == ["Metadata"]
    assert policy["rules"][-1] == {"level": "Request"}


def corefile(**services: list[str]) -> str:
    facts = {"domain": "bank.internal", "endpoints": {"postgres": "10.0.3.10"}, "services": services}
    return rendering.template("kubeadm", "Corefile.j2", site_facts=facts)


def test_names_are_looked_up_where_the_site_says() -> None:
    assert "forward . 10.0.0.5 10.0.0.6 {" in corefile(dns=["10.0.0.5", "10.0.0.6"])
    # CoreDNS does not start if it is to ask somebody whom nobody named.
    assert "forward" not in corefile()


def test_pods_find_the_endpoints_by_name() -> None:
    assert "10.0.3.10 postgres.bank.internal" in corefile()


IMAGES = {
    "__flannel_image": "ghcr.io/flannel-io/flannel:v0@sha256:1",
    "__flannel_plugin_image": "ghcr.io/flannel-io/flannel-cni-plugin:v0@sha256:2",
    "__flannel_kube_router_image": "docker.io/cloudnativelabs/kube-router:v0@sha256:3",
}


def network(**site: str) -> dict[str, Any]:
    facts = {**SITE, "service_proxy": "iptables", **site}
    documents = rendered("flannel", "flannel.yaml.j2", site_facts=facts, **IMAGES)
    settings = next(document for document in documents if document["kind"] == "ConfigMap")["data"]
    return dict(yaml.safe_load(settings["net-conf.json"]))


@pytest.mark.parametrize("overlay", ["vxlan", "host-gw", "wireguard"])
def test_flannel_uses_the_networks_of_the_site(overlay: str) -> None:
    assert network(pod_overlay=overlay) == {
        "Network": "10.244.0.0/16",
        "EnableNFTables": False,
        "Backend": {"Type": overlay},
    }


def test_flannel_and_kube_proxy_write_rules_of_one_kind() -> None:
    assert network(service_proxy="nftables")["EnableNFTables"] is True


@pytest.mark.parametrize("template", ["flannel.yaml.j2", "kube-router.yaml.j2"])
def test_what_runs_is_pinned_by_its_digest(template: str) -> None:
    documents = rendered("flannel", template, **IMAGES)
    pods = [document["spec"]["template"]["spec"] for document in documents if document["kind"] == "DaemonSet"]
    containers = [one for pod in pods for one in pod["containers"] + pod.get("initContainers", [])]
    assert containers
    assert all("@sha256:" in container["image"] for container in containers)


def test_kube_router_does_the_policies_only() -> None:
    documents = rendered("flannel", "kube-router.yaml.j2", **IMAGES)
    (daemon,) = (document for document in documents if document["kind"] == "DaemonSet")
    arguments = daemon["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {"--run-firewall=true", "--run-router=false", "--run-service-proxy=false"} <= set(arguments)


def test_each_object_of_the_network_is_known_by_one_name() -> None:
    documents = rendered("flannel", "flannel.yaml.j2", **IMAGES) + rendered("flannel", "kube-router.yaml.j2", **IMAGES)
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(names) == len(set(names))
    # A namespace comes before what stands in it.
    assert names[0] == ("Namespace", "kube-flannel")
