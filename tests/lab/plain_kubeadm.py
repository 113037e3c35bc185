"""Kubernetes by hand, as the documentation of kubeadm has it: what the collection is compared with.

The programs and images are those of the lab; nothing of the collection is used.
"""

from __future__ import annotations

import json
import shutil
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from . import node, pods
from .artifacts import catalogue, golang, images, laid_out, store
from .cgroups import members_of
from .cluster import Cluster
from .progress import Progress
from .system import wait_until
from .topology import Host, cache_root

FILES = Path(__file__).with_name("plain")


@dataclass
class Times:
    """Seconds from prepared hosts to a cluster that works."""

    init: float = 0.0
    join: dict[str, float] = field(default_factory=dict)
    nodes_ready: float = 0.0
    pods_running: float = 0.0

    def report(self) -> dict[str, Any]:
        join = max(self.join.values(), default=0.0)
        return {
            "init": round(self.init, 1),
            "join": {name: round(seconds, 1) for name, seconds in sorted(self.join.items())},
            "seconds_to_ready": round(self.init + join + self.nodes_ready, 1),
            "seconds_to_all_pods": round(self.init + join + self.pods_running, 1),
        }


class Plain:
    """One control plane and workers, from programs of the lab."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.lab = cluster.lab
        self._facts = pods.variables(pods.this_machine())
        self._artifacts = {artifact.component: artifact for artifact in (*catalogue.IN_GO.values(), images.artifact())}

    def prepare(self) -> None:
        """Programs, settings and images: what an administrator has done before the first command of kubeadm."""
        for host in self.cluster.hosts:
            self._install(host)
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._start_runtime, self.cluster.hosts))

    def _install(self, host: Host) -> None:
        top = node.root(self.lab, host)
        programs = top / "usr/local/bin"
        self._unpack("containerd", top / "usr/local")
        self._unpack("crictl", programs)
        self._unpack("cni-plugins", top / "opt/cni/bin")
        shutil.copy2(self._files("runc") / f"runc.{golang.ARCHITECTURE}", programs / "runc")
        for name in ("kubeadm", "kubectl", "kubelet"):
            shutil.copy2(self._files("kubernetes") / name, programs / name)
        sandbox = self.image("/pause:")
        endpoint = "unix:///run/containerd/containerd.sock"
        files = {
            "etc/containerd/config.toml": _template("containerd.toml").format(sandbox=sandbox),
            "etc/crictl.yaml": f"runtime-endpoint: {endpoint}\nimage-endpoint: {endpoint}\n",
            "etc/systemd/system/containerd.service": _template("containerd.service"),
            "etc/systemd/system/kubelet.service": _template("kubelet.service"),
            # CoreDNS asks somebody for the names that it does not know.
            "etc/resolv.conf": f"nameserver {self.lab.bridge_address}\n",
            "root/kube-flannel.yml": (self._files("flannel") / "kube-flannel.yml").read_text(),
            "root/kubeadm.yml": self._configuration(),
        }
        for name, content in files.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(content)
        laid_out.export(self._files("images"), self._images_of(host), top / "root/images.tar")

    def _images_of(self, host: Host) -> list[str]:
        elsewhere = () if host is self.cluster.first else ("apiserver", "controller-manager", "scheduler", "/etcd:")
        return [name for name in laid_out.images(self._files("images")) if not any(part in name for part in elsewhere)]

    def _configuration(self) -> str:
        kubeadm, proxy = "kubeadm.k8s.io/v1beta4", "kubeproxy.config.k8s.io/v1alpha1"
        version = f"v{self._artifacts['kubernetes'].version}"
        parts = [
            {
                **_kind(kubeadm, "InitConfiguration"),
                "localAPIEndpoint": {"advertiseAddress": self.cluster.first.address},
                "nodeRegistration": {"ignorePreflightErrors": self._facts["ignore_preflight_errors"]},
            },
            {
                **_kind(kubeadm, "ClusterConfiguration"),
                "kubernetesVersion": version,
                "networking": {"podSubnet": "10.244.0.0/16"},
                "etcd": {"local": {"imageTag": self.image("/etcd:").rpartition(":")[2]}},
            },
            {**_kind(proxy, "KubeProxyConfiguration"), "mode": "iptables", **self._facts["kube_proxy"]},
        ]
        return yaml.safe_dump_all(parts)

    def image(self, part: str) -> str:
        """The name of an image of the lab."""
        return next(name for name in laid_out.images(self._files("images")) if part in name)

    def _files(self, component: str) -> Path:
        return store.ensure(self.lab, members_of(self.lab.name), self._artifacts[component], Progress())

    def _unpack(self, component: str, target: Path) -> None:
        place = self._files(component)
        archive = place if place.is_file() else place / self._artifacts[component].archive
        target.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="tar")

    def _start_runtime(self, host: Host) -> None:
        commands = (
            "systemctl daemon-reload",
            "systemctl enable --quiet kubelet",
            "systemctl enable --quiet --now containerd",
            "sysctl -qw net.ipv4.ip_forward=1",
            "ctr -n k8s.io images import /root/images.tar",
            "rm /root/images.tar",
        )
        self.cluster.root(host, " && ".join(commands))

    def start(self) -> Times:
        """From prepared hosts to Ready, each step as soon as the one before is done."""
        times = Times()
        times.init = self._seconds(self.cluster.first, "kubeadm init --config /root/kubeadm.yml")
        join = self.cluster.root(self.cluster.first, "kubeadm token create --print-join-command")
        ignored = ",".join(self._facts["ignore_preflight_errors"])
        workers = [host for host in self.cluster.hosts if host is not self.cluster.first]
        with ThreadPoolExecutor() as pool:
            command = f"{join} --ignore-preflight-errors={ignored}"
            seconds = pool.map(lambda host: self._seconds(host, command), workers)
            times.join = dict(zip((host.name for host in workers), seconds, strict=True))
        began = time.monotonic()
        self.cluster.kubectl("apply -f /root/kube-flannel.yml")
        wait_until(lambda: self.cluster.ready() == len(self.cluster.hosts), 120, "all nodes Ready", pause=0.5)
        times.nodes_ready = time.monotonic() - began
        wait_until(lambda: not self.cluster.unfinished(), 180, "all pods running", pause=0.5)
        times.pods_running = time.monotonic() - began
        return times

    def _seconds(self, host: Host, command: str) -> float:
        began = time.monotonic()
        self.cluster.root(host, command)
        return time.monotonic() - began


def _kind(group: str, kind: str) -> dict[str, Any]:
    return {"apiVersion": group, "kind": kind}


def _template(name: str) -> str:
    return (FILES / name).read_text()


def _file() -> Path:
    return cache_root() / "logs/plain-kubeadm.json"


def record(times: Times) -> None:
    """Keep the figures for the comparison."""
    _file().parent.mkdir(parents=True, exist_ok=True)
    _file().write_text(json.dumps(times.report(), indent=1) + "\n")


def recorded() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_file().read_text())
    return content
