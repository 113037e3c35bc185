"""The API server of the pinned Kubernetes takes every object of Dify as it is, and a second time nothing changes.

No node runs a pod: this is the API alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from unit.plugins.module_utils import difys
from unit.roles import rendering

from ansible_collections.onprem.dify.plugins.module_utils import (
    dify_manifests,
    dify_secrets,
    kubeadm_host,
    kubernetes_objects,
)
from ansible_collections.onprem.dify.plugins.modules import kubernetes_objects as module
from lab import bare_api, topology
from lab.scratch import ROOT


class Host(kubeadm_host.Host):
    """The control plane of a bare API."""

    def __init__(self, api: bare_api.Api) -> None:
        super().__init__(None)
        self.api = api

    def try_kubectl(self, *words: str, access: Any = None, data: str = "") -> tuple[int, str, str]:
        done = self.api.run(*words, data=data)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    lab = topology.read(str(ROOT / "molecule/cluster/inventory"))
    admission = rendering.template("kubeadm", "admission.yaml.j2")
    # One that leaves objects alone: what changes them is the test.
    with bare_api.running(lab, tmp_path_factory.mktemp("api"), admission, "namespace-controller") as api:
        yield Host(api)


def steps(host: Host, version: str, **tenant: Any) -> dict[str, list[dict[str, Any]]]:
    """The objects of the example site as the role applies them, one step after the other."""
    known = difys.secrets("dify")
    build = difys.build(tenant, version, known=known)
    phases = dify_manifests.manifests(build)
    values = dify_secrets.values(build.release, build.tenant, build.facts, known)
    # Any pair will do: that of the API server itself.
    files = {f"tls.{kind}": (host.api.folder / f"apiserver.{kind}").read_text() for kind in ("crt", "key")}
    router = ("dify/router-tls", "dify/deployment/router", files)
    return {
        "foundation": phases["foundation"],
        "secrets": dify_secrets.objects(build.release, build.tenant, values, build.labels()),
        "migration": phases["migration"],
        "workloads": phases["workloads"],
        "way_in": kubernetes_objects.with_certificate(phases["way_in"], *router),
    }


@pytest.mark.parametrize("version", difys.RELEASES)
def test_every_object_is_taken_without_a_warning_and_a_second_time_nothing_changes(host: Host, version: str) -> None:
    # With agents there is everything that a release has.
    made = steps(host, version, agents=True)
    for items in made.values():
        text = kubernetes_objects.as_list(items)
        code, _out, said = host.try_kubectl(*module.APPLY, "--validate=strict", data=text)
        assert (code, said) == (0, "")
    for name, items in made.items():
        assert [str(key) for key, _before, _after in module.differences(host, items, False)] == [], name


def test_what_the_sandboxes_may_is_refused_beside_the_others(host: Host) -> None:
    """The namespace of Dify takes no pod that is root: so the restriction is on."""
    (sandbox,) = difys.of(steps(host, difys.NEWEST)["workloads"], "Deployment", "sandbox")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "moved", "namespace": "dify"}}
    pod["spec"] = {**sandbox["spec"]["template"]["spec"], "serviceAccountName": "api"}
    code, _out, said = host.try_kubectl("create", "--dry-run=server", "--filename=-", data=json.dumps(pod))
    assert code != 0
    assert 'violates PodSecurity "restricted:' in said
