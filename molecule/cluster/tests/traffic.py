"""Pods on every node that serve and ask, and all the ways between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

IMAGE = "registry.k8s.io/e2e-test-images/agnhost:2.63.0"
NAMESPACE = "tried"
NODES = ("cp1", "worker1")
PORT = 8080
NODE_PORT = 30080


def pod(name: str, node: str, arguments: list[str]) -> dict[str, Any]:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name.partition("-")[0]}},
        "spec": {
            "nodeName": node,
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65534,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{"name": "agnhost", "image": IMAGE, "args": arguments, "securityContext": security}],
        },
    }


def service(name: str, **more: Any) -> dict[str, Any]:
    port = {"port": 80, "targetPort": PORT, **({"nodePort": NODE_PORT} if more else {})}
    spec = {"selector": {"app": "server"}, "ports": [port], **more}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


OBJECTS = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    *(pod(f"server-{node}", node, ["netexec", f"--http-port={PORT}"]) for node in NODES),
    *(pod(f"client-{node}", node, ["pause"]) for node in NODES),
    service("server"),
    # Each node answers for its own pod, which sees who asks.
    service("outside", type="NodePort", externalTrafficPolicy="Local"),
]


class Traffic:
    def __init__(self, site: Any) -> None:
        self.site = site

    @property
    def addresses(self) -> dict[str, str]:
        """Addresses of the pods by name. A pod whose node was off has another one."""
        found = self.site.objects(f"pods --namespace={NAMESPACE}")
        return {entry["metadata"]["name"]: entry["status"].get("podIP", "") for entry in found}

    def server(self, node: str) -> str:
        return f"{self.addresses[f'server-{node}']}:{PORT}"

    def connects(self, client: str, address: str) -> bool:
        agnhost = f"exec --namespace={NAMESPACE} client-{client} -- /agnhost connect --timeout=3s {address}"
        done = self.site.try_kubectl(agnhost)
        assert done.returncode == 0 or any(word in done.stderr for word in ("TIMEOUT", "REFUSED")), done.stderr
        return bool(done.returncode == 0)

    def curl(self, host: str, address: str) -> str:
        """What a host of the site gets, or why it gets nothing."""
        done = self.site.try_root(host, f"curl --silent --show-error --max-time 5 http://{address}/hostname")
        return str(done.stdout if done.returncode == 0 else done.stderr).strip()

    def failures(self) -> list[str]:
        """The ways that ought to be open and are not: pods, services, names, the API, nodes to pods."""
        found = self.addresses
        names = ["server.tried.svc.cluster.local:80", "kubernetes.default.svc.cluster.local:443"]
        servers = [f"{found[f'server-{node}']}:{PORT}" for node in NODES]
        shut = [f"pod {one} -> {way}" for one in NODES for way in [*servers, *names] if not self.connects(one, way)]
        answers = {
            (host, node): self.curl(host, f"{found[f'server-{node}']}:{PORT}") for host in NODES for node in NODES
        }
        return shut + [
            f"host {one} -> {node}: {said}" for (one, node), said in answers.items() if said != f"server-{node}"
        ]

    @contextmanager
    def policies(self, *items: Mapping[str, Any]) -> Iterator[None]:
        """NetworkPolicies that count within."""
        try:
            self.site.kubectl("apply --filename=-", json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
            yield
        finally:
            self.site.kubectl(f"delete networkpolicy --all --namespace={NAMESPACE}")


def policy(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"podSelector": {}, **spec},
    }
