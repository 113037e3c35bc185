"""The releases that a lab builds from Go modules, named and packed as their projects do."""

from __future__ import annotations

from .golang import Release

KUBERNETES = "k8s.io/kubernetes/cmd"
PLUGINS = "github.com/containernetworking/plugins/plugins"

SERVERS = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler")


def kubernetes(component: str) -> Release:
    # agnhost is what its own tests run in pods, as server and client.
    programs = {name: f"{KUBERNETES}/{name}" for name in (*SERVERS, "kubeadm", "kubectl", "kubelet")}
    return Release(
        component=component,
        programs={**programs, "agnhost": "k8s.io/kubernetes/test/images/agnhost"},
        stamps={
            f"{module}.{variable}": text
            for module in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
            for variable, text in (("gitVersion", "v{v}"), ("gitTreeState", "clean"))
        },
    )


RELEASES = (
    Release(
        component="etcd",
        programs={
            "etcd": "go.etcd.io/etcd/server/v3",
            "etcdctl": "go.etcd.io/etcd/etcdctl/v3",
            "etcdutl": "go.etcd.io/etcd/etcdutl/v3",
        },
        archive="etcd-v{v}-linux-{a}.tar.gz",
        folder="etcd-v{v}-linux-{a}",
        groups=("database",),
    ),
    Release(
        component="seaweedfs",
        programs={"weed": "github.com/seaweedfs/seaweedfs/weed"},
        archive="linux_{a}.tar.gz",
        groups=("objects",),
        # The number that the program says of itself.
        known_version="4.53",
    ),
    kubernetes("kubernetes"),
    # The minor version before, from which a cluster is upgraded.
    kubernetes("kubernetes-previous"),
    Release(
        component="containerd",
        programs={
            name: f"github.com/containerd/containerd/v2/cmd/{name}"
            for name in ("containerd", "containerd-shim-runc-v2", "ctr")
        },
        archive="containerd-{v}-linux-{a}.tar.gz",
        folder="bin",
        stamps={"github.com/containerd/containerd/v2/version.Version": "{v}"},
    ),
    Release(
        component="runc",
        programs={"runc.{a}": "github.com/opencontainers/runc"},
        stamps={"main.version": "{v}"},
        c=True,
        tags="seccomp",
    ),
    Release(
        component="cni-plugins",
        programs={
            **{name: f"{PLUGINS}/main/{name}" for name in ("bridge", "dummy", "host-device", "ipvlan", "loopback")},
            **{name: f"{PLUGINS}/main/{name}" for name in ("macvlan", "ptp", "tap", "vlan")},
            **{name: f"{PLUGINS}/ipam/{name}" for name in ("dhcp", "host-local", "static")},
            **{name: f"{PLUGINS}/meta/{name}" for name in ("bandwidth", "firewall", "portmap", "sbr", "tuning", "vrf")},
        },
        archive="cni-plugins-linux-{a}-v{v}.tgz",
    ),
    # The last version of the plugin that is a Go module.
    Release(
        component="flannel-cni-plugin",
        programs={"flannel": f"{PLUGINS}/meta/flannel"},
    ),
    Release(
        component="crictl",
        programs={"crictl": "sigs.k8s.io/cri-tools/cmd/crictl"},
        archive="crictl-v{v}-linux-{a}.tar.gz",
        stamps={"sigs.k8s.io/cri-tools/pkg/version.Version": "{v}"},
    ),
    Release(
        component="helm",
        programs={"helm": "helm.sh/helm/v3/cmd/helm"},
        archive="helm-v{v}-linux-{a}.tar.gz",
        folder="linux-{a}",
        stamps={"helm.sh/helm/v3/internal/version.version": "v{v}"},
        groups=("mirror",),
    ),
    Release(
        component="distribution",
        programs={"registry": "github.com/distribution/distribution/v3/cmd/registry"},
        archive="registry_{v}_linux_{a}.tar.gz",
        stamps={"github.com/distribution/distribution/v3/version.version": "{v}"},
        groups=("mirror",),
    ),
    Release(
        component="coredns",
        programs={"coredns": "github.com/coredns/coredns"},
    ),
    Release(
        component="flannel",
        programs={
            "flanneld": "github.com/flannel-io/flannel",
            "install-conf": "github.com/flannel-io/flannel/cmd/install_conf",
        },
        stamps={"github.com/flannel-io/flannel/pkg/version.Version": "v{v}"},
        # The backend over UDP is partly in C.
        c=True,
        documents={"kube-flannel.yml": "Documentation/kube-flannel.yml"},
    ),
    Release(
        component="kube-network-policies",
        programs={"netpol": "sigs.k8s.io/kube-network-policies/cmd"},
    ),
    Release(
        component="kube-router",
        programs={"kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"},
        stamps={"github.com/cloudnativelabs/kube-router/v2/pkg/version.Version": "v{v}"},
    ),
    # In the place of Dify: the lab's own, so it has no version that anybody published.
    Release(
        component="dify-contract",
        programs={"contract": "onprem.dify/contract"},
        known_version="1",
    ),
)
