# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of kubeadm (kubeadm.k8s.io/v1beta4) of a site and of one of its hosts. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import endpoints

API = "kubeadm.k8s.io/v1beta4"
API_PORT = endpoints.SERVICES["kube-api"].port
SOCKET = "unix:///var/run/containerd/containerd.sock"
KUBELET_PKI = "/etc/onprem-dify/pki/kubelet"
CONTROL_PLANE_TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
TLS = "VersionTLS13"

Document = Dict[str, Any]


class ConfigurationError(Exception):
    """The site has no such cluster; the text is for the user."""


def api_endpoint(site: Mapping[str, Any]) -> str:
    """Where everybody finds the Kubernetes API: the endpoint, an address that the site gives, or the only host."""
    if "kube-api" in site["endpoints"]:
        return f"{site['endpoints']['kube-api']}:{endpoints.SERVICES['kube-api'].ports['kube-api']}"
    if site["services"].get("kube-api"):
        return f"{site['services']['kube-api'][0]}:{API_PORT}"
    hosts = endpoints.members(site, "control_plane")
    if len(hosts) == 1:
        return f"{hosts[0]['address']}:{API_PORT}"
    raise ConfigurationError(
        f"site_endpoints.kube-api is not set, and control_plane has {len(hosts)} hosts. Wanted: a free address in the"
        " network of zone app, or the address of a load balancer of yours in site_services.kube-api"
    )


def init_documents(site: Mapping[str, Any], host: str, settings: Mapping[str, Any]) -> List[Document]:
    """What the first control plane is made from."""
    return [
        {
            "apiVersion": API,
            "kind": "InitConfiguration",
            "nodeRegistration": _registration(site, host, settings),
            "localAPIEndpoint": _local_api(site, host),
        },
        _cluster(site, settings),
        _kubelet(settings),
        _kube_proxy(site, settings),
    ]


def join_documents(site: Mapping[str, Any], host: str, settings: Mapping[str, Any]) -> List[Document]:
    """How a further host comes into the cluster. How it finds it and what it shows there is added when it goes."""
    document: Document = {
        "apiVersion": API,
        "kind": "JoinConfiguration",
        "nodeRegistration": _registration(site, host, settings),
    }
    if "control_plane" in site["hosts"][host]["groups"]:
        document["controlPlane"] = {"localAPIEndpoint": _local_api(site, host)}
    return [document]


def taints(site: Mapping[str, Any], host: str) -> List[Dict[str, str]]:
    """A control plane that is no worker takes no pods but its own."""
    groups = site["hosts"][host]["groups"]
    return [dict(CONTROL_PLANE_TAINT)] if "control_plane" in groups and "workers" not in groups else []


def labels(site: Mapping[str, Any], host: str) -> Dict[str, str]:
    return {"node-role.kubernetes.io/worker": ""} if "workers" in site["hosts"][host]["groups"] else {}


def _registration(site: Mapping[str, Any], host: str, settings: Mapping[str, Any]) -> Document:
    return {
        "name": host,
        "criSocket": SOCKET,
        "imagePullPolicy": "IfNotPresent",
        "taints": taints(site, host),
        "kubeletExtraArgs": _args({"node-ip": site["hosts"][host]["address"]}),
        "ignorePreflightErrors": list(settings.get("ignore_preflight_errors") or []),
    }


def _local_api(site: Mapping[str, Any], host: str) -> Document:
    return {"advertiseAddress": site["hosts"][host]["address"], "bindPort": API_PORT}


def _cluster(site: Mapping[str, Any], settings: Mapping[str, Any]) -> Document:
    endpoint = api_endpoint(site)
    etcd: Document = {"dataDir": "/var/lib/etcd", "extraArgs": _args({"tls-min-version": "TLS1.3"})}
    tags = settings.get("image_tags") or {}
    if tags.get("etcd"):
        etcd["imageTag"] = tags["etcd"]
    document: Document = {
        "apiVersion": API,
        "kind": "ClusterConfiguration",
        "clusterName": site["name"],
        "kubernetesVersion": f"v{settings['version']}",
        "controlPlaneEndpoint": endpoint,
        "encryptionAlgorithm": "ECDSA-P256",
        "networking": {
            "podSubnet": site["pod_network"],
            "serviceSubnet": site["service_network"],
            "dnsDomain": "cluster.local",
        },
        "etcd": {"local": etcd},
        "apiServer": {
            "certSANs": _names(site, endpoint),
            "extraArgs": _args(_api_server(settings)),
            "extraEnvs": _args({"ONPREM_DIFY_FILES": settings["files"]}) if settings.get("files") else [],
            "extraVolumes": _volumes(settings),
        },
        "controllerManager": {
            "extraArgs": _args(
                {"profiling": "false", "terminated-pod-gc-threshold": "1000", "tls-min-version": TLS},
            )
        },
        "scheduler": {"extraArgs": _args({"profiling": "false", "tls-min-version": TLS})},
    }
    if tags.get("coredns"):
        document["dns"] = {"imageRepository": "registry.k8s.io/coredns", "imageTag": tags["coredns"]}
    return document


def _api_server(settings: Mapping[str, Any]) -> Dict[str, str]:
    directory, audit = settings["directory"], settings["audit"]
    return {
        "admission-control-config-file": f"{directory}/admission.yaml",
        "audit-log-maxage": str(audit["days"]),
        "audit-log-maxbackup": str(audit["files"]),
        "audit-log-maxsize": str(audit["megabytes"]),
        "audit-log-path": f"{audit['directory']}/audit.log",
        "audit-policy-file": f"{directory}/audit-policy.yaml",
        # Says who is let in without a name, and to what. The flag anonymous-auth cannot stand beside it.
        "authentication-config": f"{directory}/authentication.yaml",
        "enable-admission-plugins": "NodeRestriction,DenyServiceExternalIPs",
        "encryption-provider-config": f"{directory}/encryption.yaml",
        # So that keys change while it runs.
        "encryption-provider-config-automatic-reload": "true",
        "kubelet-certificate-authority": f"{KUBELET_PKI}/ca.crt",
        "profiling": "false",
        "service-account-extend-token-expiration": "false",
        "tls-min-version": TLS,
    }


def _volumes(settings: Mapping[str, Any]) -> List[Document]:
    """What the API server reads besides what kubeadm itself gives it, under the same path in its pod."""
    socket = settings.get("kms_socket") or ""
    kms = [_volume("kms", socket.rpartition("/")[0], "DirectoryOrCreate", read_only=False)] if socket else []
    return [
        _volume("onprem-dify", settings["directory"], "DirectoryOrCreate", read_only=True),
        _volume("audit", settings["audit"]["directory"], "DirectoryOrCreate", read_only=False),
        _volume("kubelet-authority", f"{KUBELET_PKI}/ca.crt", "File", read_only=True),
        *kms,
    ]


def _volume(name: str, path: str, kind: str, read_only: bool) -> Document:
    return {"name": name, "hostPath": path, "mountPath": path, "readOnly": read_only, "pathType": kind}


def _names(site: Mapping[str, Any], endpoint: str) -> List[str]:
    """Under which names and addresses the API can be verified, whichever host answers."""
    addresses = [host["address"] for host in endpoints.members(site, "control_plane")]
    return sorted({endpoint.rpartition(":")[0], f"kube-api.{site['domain']}", "127.0.0.1", *addresses})


def _kubelet(settings: Mapping[str, Any]) -> Document:
    document = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "systemd",
        "containerLogMaxFiles": 5,
        "containerLogMaxSize": "10Mi",
        "eventRecordQPS": 50,
        "makeIPTablesUtilChains": True,
        "podPidsLimit": 4096,
        "protectKernelDefaults": True,
        "readOnlyPort": 0,
        "rotateCertificates": True,
        "seccompDefault": True,
        "shutdownGracePeriod": "60s",
        "shutdownGracePeriodCriticalPods": "20s",
        "streamingConnectionIdleTimeout": "1h0m0s",
        # Of the site's authority, so that the API server can verify it.
        "tlsCertFile": f"{KUBELET_PKI}/tls.crt",
        "tlsPrivateKeyFile": f"{KUBELET_PKI}/tls.key",
        "tlsMinVersion": TLS,
    }
    return merged(document, settings.get("kubelet") or {})


def _kube_proxy(site: Mapping[str, Any], settings: Mapping[str, Any]) -> Document:
    document = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": site["service_proxy"],
        "metricsBindAddress": "127.0.0.1:10249",
    }
    return merged(document, settings.get("kube_proxy") or {})


def merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> Document:
    """The base with what the site says instead, however deep."""
    result = dict(base)
    for key, value in own.items():
        inner = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if inner else value
    return result


def _args(values: Mapping[str, str]) -> Sequence[Dict[str, str]]:
    return [{"name": name, "value": value} for name, value in sorted(values.items())]
