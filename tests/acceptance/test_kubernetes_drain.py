"""Pods leave a node, and it is used again: a real API, its budgets and its evictions, and nodes that nobody runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.roles import rendering

from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_evict
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError
from ansible_collections.onprem.dify.plugins.module_utils.kubernetes_drain import NOTE
from lab import bare_api, topology
from lab.bare_api import Api
from lab.scratch import ROOT
from lab.system import wait_until

NODE = "worker1"
READY = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
POD = {
    # Nobody would confirm that it has ended.
    "terminationGracePeriodSeconds": 0,
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "web",
            "image": "none/web:0",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
}
WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": POD},
    },
}


class Kubectl:
    """As the modules ask on a control plane."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def try_kubectl(self, *words: str, access: Any = None, data: str = "") -> tuple[int, str, str]:
        done = self.api.run(*words, data=data)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    lab = topology.read(str(ROOT / "molecule/cluster/inventory"))
    folder = Path(tmp_path_factory.mktemp("api"))
    with bare_api.running(lab, folder, rendering.template("kubeadm", "admission.yaml.j2")) as found:
        yield found


@pytest.fixture
def host(api: Api) -> Iterator[Kubectl]:
    """A node that is ready, with both pods of a workload."""
    create(api, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
    say(api, f"node {NODE}", {"conditions": READY, "nodeInfo": node_info()})
    api.run("patch", "node", NODE, "--type=merge", '--patch={"spec": {"taints": null}}')
    create(api, WEB)
    wait_until(lambda: len(api.objects("pods")) == 2, 60, "the pods are made")
    for pod in api.objects("pods"):
        settle(api, pod["metadata"]["name"])
    yield Kubectl(api)
    api.kubectl("delete poddisruptionbudgets,deployments,pods --all --timeout=60s")
    api.kubectl(f"delete node {NODE}")
    wait_until(lambda: not api.objects("pods"), 60, "no pod is left")


def create(api: Api, item: dict[str, Any]) -> None:
    api.kubectl("create --filename=-", json.dumps(item))


def say(api: Api, what: str, status: dict[str, Any]) -> None:
    """What a kubelet would report."""
    done = api.run(
        "patch", *what.split(), "--subresource=status", "--type=merge", f"--patch={json.dumps({'status': status})}"
    )
    assert done.returncode == 0, done.stderr


def node_info() -> dict[str, str]:
    names = ("architecture", "bootID", "containerRuntimeVersion", "kernelVersion", "kubeProxyVersion", "kubeletVersion")
    more = ("machineID", "operatingSystem", "osImage", "systemUUID")
    return {**dict.fromkeys((*names, *more), ""), "kubeletVersion": "v1.36.4"}


def settle(api: Api, pod: str) -> None:
    """The pod runs on the node and is ready."""
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
    }
    api.kubectl(f"create --raw=/api/v1/namespaces/default/pods/{pod}/binding --filename=-", json.dumps(binding))
    say(api, f"pod {pod}", {"phase": "Running", "conditions": READY})


def budget(api: Api, least: int) -> None:
    spec = {"minAvailable": least, "selector": {"matchLabels": {"app": "web"}}}
    wanted = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": spec}
    api.kubectl("apply --filename=-", json.dumps(wanted))
    counted = {"currentHealthy": 2, "disruptionsAllowed": 2 - least}
    wait_until(lambda: counted.items() <= state_of_budget(api).items(), 60, "the budget is counted")


def state_of_budget(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.objects("poddisruptionbudgets")[0].get("status", {})
    return found


def node(api: Api) -> tuple[bool, str]:
    """Whether the node is cordoned, and the note that it carries."""
    found = json.loads(api.kubectl(f"get node {NODE} --output=json"))
    return bool(found["spec"].get("unschedulable")), found["metadata"].get("annotations", {}).get(NOTE, "")


def empty(host: Kubectl, patience: float = 60) -> dict[str, Any]:
    return kubernetes_evict.empty(host, NODE, patience, settle=0)


def use(host: Kubectl, version: str = "1.36.4", patience: float = 60) -> None:
    kubernetes_evict.use(host, NODE, patience, version, ["Deployment default/web"])


def test_pods_leave_and_the_node_is_used_again(api: Api, host: Kubectl) -> None:
    budget(api, 0)
    assert len(empty(host)["evicted"]) == 2
    assert node(api) == (True, "cordoned-by-this-run")
    assert api.objects(f"pods --field-selector=spec.nodeName={NODE}") == []
    use(host)
    assert node(api) == (False, "")


def test_a_budget_that_allows_nothing_is_named_with_the_pod(api: Api, host: Kubectl) -> None:
    budget(api, 2)
    with pytest.raises(KubeadmError) as refused:
        empty(host, patience=6)
    for pod in api.objects("pods"):
        name = pod["metadata"]["name"]
        assert f"default/{name} (PodDisruptionBudget web wants 2 healthy pods and has 2, so none may go)" in str(
            refused.value
        )
    assert node(api) == (True, "cordoned-by-this-run")


def test_the_next_run_goes_on_where_a_killed_one_left_the_node_empty(api: Api, host: Kubectl) -> None:
    empty(host)
    again = empty(host)
    assert (again["evicted"], again["cordoned_before"]) == ([], False)
    use(host)
    assert node(api) == (False, "")


def test_a_node_that_somebody_had_cordoned_stays_so(api: Api, host: Kubectl) -> None:
    api.kubectl(f"cordon {NODE}")
    assert empty(host)["cordoned_before"]
    use(host)
    assert node(api) == (True, "")


def test_a_node_with_another_version_is_not_used_again(api: Api, host: Kubectl) -> None:
    empty(host)
    with pytest.raises(KubeadmError, match=r"the kubelet of worker1 says 1.36.4, wanted 1.36.5"):
        use(host, "1.36.5", patience=1)
    assert node(api) == (True, "cordoned-by-this-run")


def test_a_pod_that_nobody_makes_again_is_named_before_anything_happens(api: Api, host: Kubectl) -> None:
    create(api, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone"}, "spec": POD})
    settle(api, "alone")
    with pytest.raises(KubeadmError, match=r"nobody would make default/alone again"):
        empty(host)
    assert node(api) == (False, "")
    assert len(api.objects("pods")) == 3
