"""What an operator gets: nodes that are ready, safe from the first start."""

from __future__ import annotations

import json

import pytest

ROOT_POD = """
apiVersion: v1
kind: Pod
metadata: {name: root, namespace: default}
spec:
  hostPID: true
  containers:
    - {name: root, image: "registry.k8s.io/pause:3.10.2", securityContext: {privileged: true}}
"""
SECRET = "a-secret-of-the-test"


def test_every_host_of_the_inventory_is_a_node_that_is_ready(site):
    ready = {
        node["metadata"]["name"]: [c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready"]
        for node in site.objects("nodes")
    }
    assert ready == {"cp1": ["True"], "worker1": ["True"]}


def test_a_node_has_the_address_and_the_label_of_its_group(site):
    (worker,) = site.objects("nodes --selector=node-role.kubernetes.io/worker")
    addresses = {entry["type"]: entry["address"] for entry in worker["status"]["addresses"]}
    assert addresses == {"InternalIP": site.lab.host("worker1").address, "Hostname": "worker1"}


def test_pods_of_the_cluster_run(site):
    states = {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": pod["status"]["phase"]
        for pod in site.objects("pods --all-namespaces")
    }
    assert set(states.values()) == {"Running"}, states


@pytest.mark.parametrize(
    ("path", "status"), [("/readyz", "200"), ("/livez", "200"), ("/api", "401"), ("/version", "401")]
)
def test_nobody_without_a_name_gets_further_than_the_health_of_the_api(site, endpoint, path, status):
    command = "curl --silent --output /dev/null --write-out '%{http_code}' --cacert /etc/kubernetes/pki/ca.crt"
    assert site.root("cp1", f"{command} https://{endpoint}{path}") == status


def test_older_tls_is_refused(site, endpoint):
    curl = "curl --silent --tls-max 1.2 --cacert /etc/kubernetes/pki/ca.crt"
    for address in (endpoint, f"{site.lab.host('cp1').address}:10250"):
        assert site.try_root("cp1", f"{curl} https://{address}/readyz").returncode == 35


def test_a_secret_cannot_be_read_in_etcd(site):
    site.kubectl(f"create secret generic tried --from-literal=password={SECRET}")
    try:
        pki = "/etc/kubernetes/pki/etcd"
        flags = f"--cacert={pki}/ca.crt --cert={pki}/server.crt --key={pki}/server.key"
        get = f"etcdctl {flags} get /registry/secrets/default/tried --print-value-only"
        raw = site.kubectl(f"exec --namespace=kube-system etcd-cp1 -- {get} | tr -cd '[:print:]'")
        assert raw.startswith("k8s:enc:aesgcm:v1:key-")
        assert SECRET not in raw
        assert site.kubectl("get secret tried --output='jsonpath={.data.password}' | base64 --decode") == SECRET
    finally:
        site.kubectl("delete secret tried")


def test_the_audit_log_says_who_did_what_and_keeps_secrets_to_itself(site):
    site.kubectl(f"create secret generic audited --from-literal=password={SECRET}")
    site.kubectl("delete secret audited")
    lines = site.root("cp1", 'grep \'"name":"audited"\' /var/log/kubernetes/audit.log').splitlines()
    events = [json.loads(line) for line in lines]
    changes = [event for event in events if event["verb"] != "get"]
    assert {event["verb"] for event in changes} == {"create", "delete"}
    for event in changes:
        assert event["user"]["username"] == "kubernetes-admin"
        assert event["sourceIPs"]
        assert event["responseStatus"]["code"] in (200, 201)
        assert "requestObject" not in event
    assert site.try_root("cp1", f"grep --quiet {SECRET} /var/log/kubernetes/audit.log").returncode == 1


def test_a_pod_that_could_become_root_of_its_node_is_refused(site):
    site.try_kubectl("delete pod root --ignore-not-found")
    refused = site.try_kubectl("create --filename=-", ROOT_POD)
    assert refused.returncode == 1
    assert 'violates PodSecurity "restricted:latest"' in refused.stderr


def test_no_invitation_is_left(site):
    tokens = "secrets --namespace=kube-system --field-selector=type=bootstrap.kubernetes.io/token"
    assert site.objects(tokens) == []
    names = {secret["metadata"]["name"] for secret in site.objects("secrets --namespace=kube-system")}
    assert "kubeadm-certs" not in names
    for host in ("cp1", "worker1"):
        assert site.root(host, "find /run/onprem-dify/kubeadm -type f -not -name lock") == ""
        assert site.try_root(host, "test -e /etc/kubernetes/bootstrap-kubelet.conf").returncode == 1
