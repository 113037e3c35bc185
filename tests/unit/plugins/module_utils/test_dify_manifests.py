"""The objects of one Dify: valid for the pinned Kubernetes, whole, and with nothing in them that must not be."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterator
from typing import Any

import kubernetes_validate.utils
import pytest
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils import dify_secrets
from ansible_collections.onprem.dify.plugins.module_utils.dify_build import BuildError

KUBERNETES = difys.load("bundle/kubernetes.yml")["version"]
GROUPS = {"ops": ["owner"], "staff": ["viewer"]}
QUEUES = difys.release_file()["services"]["worker"]["queues"]
WORKERS = {"scheduled": {"queues": QUEUES[:4], "replicas": 3}, "rest": {"queues": QUEUES[4:]}}
TENANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "agents": {"agents": True},
    "groups": {"groups": GROUPS},
    "workers": {"workers": WORKERS},
    "second": {"name": "dify-finance", "number": 2, "hostname": "ai.bank.internal", "node": 30444},
}
FLOW = {"from": "gateway", "to": "workers", "port": 30444, "protocol": "tcp"}
STORAGE = [("s3", "s3"), ("nfs", "nfs"), ("local", "s3")]
SCHEMAS = functools.cache(kubernetes_validate.utils.schema_contents)


def made(tenant: str, version: str = difys.NEWEST, storage: tuple[str, str] = ("s3", "s3")) -> difys.Objects:
    place = {**difys.site(extra_flows=[FLOW]), "storage": dict(zip(("uploads", "plugins"), storage, strict=True))}
    if "nfs" in storage:
        place["services"] = {**place["services"], "nfs": ["10.0.0.60"]}
    wish = {key: value for key, value in TENANTS[tenant].items() if key != "node"}
    return difys.objects(wish, version, at=place)


def pods(objects: difys.Objects) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name, pod and container of all that runs."""
    for entry in objects:
        if entry["kind"] in ("Deployment", "Job"):
            pod = difys.pod_of(entry)
            (container,) = pod["containers"]
            yield entry["metadata"]["name"], pod, container


@pytest.fixture(autouse=True)
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schemas are read anew for each object otherwise."""
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", SCHEMAS)


@pytest.mark.parametrize(
    ("tenant", "version", "storage"),
    [
        *((tenant, version, STORAGE[0]) for tenant in TENANTS for version in difys.RELEASES),
        *(("plain", difys.NEWEST, storage) for storage in STORAGE[1:]),
    ],
)
def test_every_object_is_one_that_the_pinned_kubernetes_takes(
    tenant: str, version: str, storage: tuple[str, str]
) -> None:
    for entry in made(tenant, version, storage):
        validated = kubernetes_validate.validate(entry, KUBERNETES, strict=True)
        assert KUBERNETES.startswith(f"{validated}.")


def test_the_schema_refuses_what_kubernetes_would() -> None:
    (web,) = difys.of(made("plain"), "Deployment", "web")
    web["spec"]["template"]["spec"]["containers"][0]["resource"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="resource"):
        kubernetes_validate.validate(web, KUBERNETES, strict=True)


@pytest.mark.parametrize("tenant", TENANTS)
def test_no_secret_is_in_plain_view(tenant: str) -> None:
    name = TENANTS[tenant].get("name", "dify")
    known = difys.secrets(name)
    wish = {key: value for key, value in TENANTS[tenant].items() if key != "node"}
    place = difys.site(extra_flows=[FLOW])
    text = json.dumps(difys.objects(wish, at=place, known=known))
    for secret, value in known.items():
        assert value not in text, secret
        assert base64.b64encode(value.encode()).decode() not in text, secret
    assert '"kind": "Secret"' not in text


@pytest.mark.parametrize("tenant", TENANTS)
def test_every_image_is_known_by_its_digest(tenant: str) -> None:
    for name, _pod, container in pods(made(tenant)):
        assert container["image"].endswith(f"@{difys.DIGEST}"), name
        assert container["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize("tenant", TENANTS)
def test_every_container_has_requests_and_limits(tenant: str) -> None:
    for name, _pod, container in pods(made(tenant)):
        for kind in ("requests", "limits"):
            assert set(container["resources"][kind]) == {"cpu", "memory"}, name


@pytest.mark.parametrize("tenant", TENANTS)
def test_whatever_stays_up_has_all_three_probes(tenant: str) -> None:
    for entry in difys.of(made(tenant), "Deployment"):
        (container,) = difys.pod_of(entry)["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["timeoutSeconds"] <= container[probe]["periodSeconds"]
            assert {"httpGet", "tcpSocket", "exec"} & set(container[probe])


@pytest.mark.parametrize("tenant", TENANTS)
def test_pods_hold_no_token_and_know_no_other_services(tenant: str) -> None:
    objects = made(tenant)
    accounts = {
        (entry["metadata"]["namespace"], entry["metadata"]["name"]) for entry in difys.of(objects, "ServiceAccount")
    }
    assert not [entry for entry in difys.of(objects, "ServiceAccount") if entry["automountServiceAccountToken"]]
    for entry in [*difys.of(objects, "Deployment"), *difys.of(objects, "Job")]:
        pod = difys.pod_of(entry)
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert (entry["metadata"]["namespace"], pod["serviceAccountName"]) in accounts


@pytest.mark.parametrize("tenant", TENANTS)
def test_the_main_namespace_is_restricted_and_its_pods_are(tenant: str) -> None:
    objects = made(tenant)
    main, sandbox = difys.of(objects, "Namespace")
    level = "pod-security.kubernetes.io/enforce"
    assert (main["metadata"]["labels"][level], sandbox["metadata"]["labels"][level]) == ("restricted", "baseline")
    assert main["metadata"]["labels"][f"{level}-version"] == "v" + KUBERNETES.rpartition(".")[0]
    for entry in [*difys.of(objects, "Deployment"), *difys.of(objects, "Job")]:
        pod = difys.pod_of(entry)
        (container,) = pod["containers"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume or "nfs" in volume]
        if entry["metadata"]["namespace"] == main["metadata"]["name"]:
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["runAsUser"] > 0
            assert "add" not in container["securityContext"]["capabilities"]


def test_root_file_systems_are_read_only_where_nothing_is_known_to_write_there() -> None:
    writing = {
        name
        for name, _pod, container in pods(made("agents"))
        if not container["securityContext"]["readOnlyRootFilesystem"]
    }
    assert writing == {"beat", "web", "sandbox", "local-sandbox"}


@pytest.mark.parametrize("tenant", TENANTS)
def test_no_right_is_a_wildcard(tenant: str) -> None:
    for role in difys.of(made(tenant), "Role"):
        assert "*" not in json.dumps(role["rules"])
    assert not [entry for entry in made(tenant) if entry["kind"].startswith("ClusterRole")]


def test_the_migration_runs_alone_and_nobody_else_migrates() -> None:
    phases = difys.phases()
    assert [entry["kind"] for entry in phases["migration"]] == ["Job"]
    job = phases["migration"][0]
    environment = {entry["name"]: entry.get("value") for entry in difys.pod_of(job)["containers"][0]["env"]}
    assert environment["MODE"] == "migration"
    assert environment["MIGRATION_ENABLED"] == "true"
    assert job["spec"]["backoffLimit"] == 0
    (settings,) = difys.of(phases["foundation"], "ConfigMap", "settings-api")
    assert settings["data"]["MIGRATION_ENABLED"] == "false"
    for entry in difys.of(phases["workloads"], "Deployment"):
        names = [variable["name"] for variable in difys.pod_of(entry)["containers"][0].get("env", [])]
        assert "MIGRATION_ENABLED" not in names


def test_another_migration_is_another_job() -> None:
    known = difys.secrets()
    names = {
        difys.phases(version=version, known=known, settings=settings)["migration"][0]["metadata"]["name"]
        for version in difys.RELEASES
        for settings in ({}, {"api": {"LOG_LEVEL": "DEBUG"}})
    }
    assert len(names) == 4
    assert sorted(names)[0].startswith("migration-1-16-1-")


def test_the_same_site_gives_the_same_objects() -> None:
    known = difys.secrets()
    assert difys.objects(known=known) == difys.objects(known=known)


def test_what_must_be_one_is_one_and_is_replaced_before_the_next_starts() -> None:
    for name in ("beat", "plugin-daemon", "local-sandbox"):
        (entry,) = difys.of(made("agents"), "Deployment", name)
        assert entry["spec"]["replicas"] == 1
        assert entry["spec"]["strategy"] == {"type": "Recreate"}
    with pytest.raises(BuildError, match=r"dify_workloads\.beat\.replicas is 2, wanted: 1"):
        difys.objects({"workloads": {"beat": {"replicas": 2}}})


def test_the_others_are_spread_and_never_all_away() -> None:
    for entry in difys.of(made("plain"), "Deployment"):
        if entry["spec"]["strategy"]["type"] == "RollingUpdate":
            assert entry["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
            (spread,) = difys.pod_of(entry)["topologySpreadConstraints"]
            assert spread["labelSelector"] == entry["spec"]["selector"]
    budgets = {entry["metadata"]["name"]: entry["spec"] for entry in difys.of(made("plain"), "PodDisruptionBudget")}
    deployments = {entry["metadata"]["name"]: entry["spec"] for entry in difys.of(made("plain"), "Deployment")}
    assert {name: budget["selector"] for name, budget in budgets.items()} == {
        name: spec["selector"] for name, spec in deployments.items()
    }


def test_queues_are_shared_out_among_groups_of_workers() -> None:
    deployments = {entry["metadata"]["name"]: entry for entry in difys.of(made("workers"), "Deployment")}
    assert "worker" not in deployments
    assert deployments["worker-scheduled"]["spec"]["replicas"] == 3
    read = []
    for name in ("worker-scheduled", "worker-rest"):
        environment = {
            entry["name"]: entry.get("value") for entry in difys.pod_of(deployments[name])["containers"][0]["env"]
        }
        read += environment["CELERY_WORKER_QUEUES"].split(",")
    assert sorted(read) == sorted(QUEUES)
    with pytest.raises(BuildError, match="dify_workers: nobody reads the queue api_token"):
        difys.objects({"workers": {"some": {"queues": QUEUES[1:]}}})


def test_every_configmap_secret_and_claim_that_a_pod_mounts_is_there() -> None:
    for storage in STORAGE:
        objects = made("agents", storage=storage)
        maps = {(entry["metadata"]["namespace"], entry["metadata"]["name"]) for entry in difys.of(objects, "ConfigMap")}
        claims = {entry["metadata"]["name"] for entry in difys.of(objects, "PersistentVolumeClaim")}
        for entry in [*difys.of(objects, "Deployment"), *difys.of(objects, "Job")]:
            place = entry["metadata"]["namespace"]
            pod = difys.pod_of(entry)
            (container,) = pod["containers"]
            for source in container.get("envFrom", []):
                assert (place, source["configMapRef"]["name"]) in maps
            assert {mount["name"] for mount in container["volumeMounts"]} == {
                volume["name"] for volume in pod["volumes"]
            }
            for volume in pod["volumes"]:
                if "configMap" in volume:
                    assert (place, volume["configMap"]["name"]) in maps
                if "persistentVolumeClaim" in volume:
                    assert volume["persistentVolumeClaim"]["claimName"] in claims


def test_files_on_nfs_and_on_a_disk_are_mounted_where_dify_keeps_them() -> None:
    objects = made("plain", storage=("nfs", "local"))
    volumes = {entry["metadata"]["name"]: entry["spec"] for entry in difys.of(objects, "PersistentVolume")}
    assert volumes["dify-uploads"]["nfs"] == {"server": "10.0.0.60", "path": "/srv/files/dify"}
    assert volumes["dify-packages"]["local"] == {"path": "/var/lib/onprem-dify/dify/dify-plugin"}
    assert {volume["persistentVolumeReclaimPolicy"] for volume in volumes.values()} == {"Retain"}
    paths = {
        name: {mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] in ("uploads", "packages")}
        for name, _pod, container in pods(objects)
    }
    assert paths["api"] == paths["worker"] == paths["websocket"] == {"/app/api/storage"}
    assert paths["plugin-daemon"] == {"/app/storage"}


def test_names_of_the_data_tier_need_no_dns() -> None:
    (api,) = difys.of(made("plain"), "Deployment", "api")
    assert {"ip": "10.20.3.10", "hostnames": ["postgres.dify.example.internal"]} in difys.pod_of(api)["hostAliases"]


def test_the_sandbox_knows_no_names_and_its_proxy_by_address() -> None:
    objects = made("plain")
    (sandbox,) = difys.of(objects, "Deployment", "sandbox")
    assert difys.pod_of(sandbox)["dnsPolicy"] == "None"
    (proxy,) = difys.of(objects, "Service", "ssrf-proxy")
    (settings,) = difys.of(objects, "ConfigMap", "settings-sandbox")
    assert settings["data"]["HTTP_PROXY"] == f"http://{proxy['spec']['clusterIP']}:3128"


def test_one_port_of_the_nodes_leads_to_the_router_and_no_other_service_has_one() -> None:
    services = difys.of(made("second"), "Service")
    outside = [entry for entry in services if entry["spec"]["type"] != "ClusterIP"]
    assert [(entry["metadata"]["name"], entry["spec"]["ports"][0]["nodePort"]) for entry in outside] == [
        ("router", 30444)
    ]
    exposed = {port["port"] for entry in services for port in entry["spec"]["ports"]}
    assert 5003 not in exposed


def test_pods_of_the_same_settings_start_anew_with_other_authorities() -> None:
    known = difys.secrets()
    before, after = (difys.objects(known=known, authorities=text) for text in ("one", "two"))
    changed = [
        old["metadata"]["name"]
        for old, new in zip(difys.of(before, "Deployment"), difys.of(after, "Deployment"), strict=True)
        if old["spec"]["template"] != new["spec"]["template"]
    ]
    assert {"api", "plugin-daemon", "worker"} <= set(changed)
    assert "ssrf-proxy" not in changed


def test_sizes_are_the_sites_then_the_tenants() -> None:
    sizes = {**difys.WISHES.sizes, "api": {**difys.WISHES.sizes["api"], "replicas": 4}}
    (api,) = difys.of(difys.objects({"workloads": {"api": {"limits": {"cpu": "3"}}}}, sizes=sizes), "Deployment", "api")
    assert api["spec"]["replicas"] == 4
    assert difys.pod_of(api)["containers"][0]["resources"]["limits"] == {"cpu": "3", "memory": "3Gi"}
    with pytest.raises(BuildError, match=r"dify_workloads\.web\.requests\.cpu is not set"):
        difys.objects(sizes={**sizes, "web": {}})


def test_the_secret_of_a_namespace_is_called_as_pods_call_it() -> None:
    assert dify_secrets.OBJECT == "secrets"
