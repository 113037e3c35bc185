"""A site with Dify, as the tests of its parts need it."""

from __future__ import annotations

import base64
import copy
import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.onprem.dify.plugins.module_utils import (
    dify_build,
    dify_manifests,
    dify_release,
    dify_secrets,
)
from ansible_collections.onprem.dify.plugins.module_utils.dify_tenants import all_complete
from ansible_collections.onprem.dify.plugins.module_utils.pins import Pin
from ansible_collections.onprem.dify.plugins.module_utils.site import GROUPS, site_from_inventory
from ansible_collections.onprem.dify.plugins.module_utils.site_secrets import complete

# The same as a safe load, many times faster.
READER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
ROOT = Path(__file__).resolve().parents[4]
RELEASES = sorted(path.stem for path in (ROOT / "releases").glob("*.yml"))
NEWEST = RELEASES[-1]
DIGEST = f"sha256:{'1' * 64}"
Objects = list[dict[str, Any]]


@functools.cache
def _read(path: str) -> Any:
    return yaml.load((ROOT / path).read_bytes(), Loader=READER)


def load(path: str) -> Any:
    """A file of the collection, for the test alone to change."""
    return copy.deepcopy(_read(path))


def release_file(version: str = NEWEST) -> dict[str, Any]:
    found: dict[str, Any] = load(f"releases/{version}.yml")
    return found


def pins(version: str = NEWEST) -> dict[str, Pin]:
    """The pins of the collection, as a site has them that gives the digests of the images of this release."""
    found: dict[str, Pin] = {path.stem: load(f"bundle/{path.name}") for path in (ROOT / "bundle").glob("*.yml")}
    for image in release_file(version)["images"].values():
        pin = found[image["pin"]]
        entry = {"name": image["name"], "tag": image["tag"], "digest": DIGEST}
        others = [known for known in pin.get("images") or [] if known["tag"] == image["tag"]]
        pin["images"] = [*(known for known in others if known["name"] != image["name"]), entry]
    found["dify"]["version"] = version
    return found


def release(version: str = NEWEST) -> dict[str, Any]:
    return dify_release.choose({version: release_file(version)}, pins(version))


def site(**changes: Any) -> dict[str, Any]:
    """The example inventory; `groups` that are None have no hosts."""
    variables = load("inventories/prod/group_vars/all/site.yml")
    groups: dict[str, list[str]] = {}
    hosts: dict[str, dict[str, Any]] = {}
    for zone in load("inventories/prod/hosts.yml").values():
        for group, members in zone["children"].items():
            groups[group] = list(members["hosts"])
            for name, host in members["hosts"].items():
                hosts.setdefault(name, {}).update(host or {})
    groups.update({group: [] for group in changes.pop("without", ())})
    groups["all"] = sorted(hosts)
    settings = {name.removeprefix("site_"): value for name, value in variables.items()}
    extra = [*settings.pop("extra_flows"), *changes.pop("extra_flows", [])]
    flows = load("roles/site/defaults/main/flows.yml")["site_flows"]
    settings.update(flows=[*flows, *extra], storage={"uploads": "s3", "plugins": "s3"}, **changes)
    return site_from_inventory(hosts, groups, settings)


def secrets(*tenants: str) -> dict[str, str]:
    return complete({}, {group: ["a host"] for group in ["all", *GROUPS]}, tenants=tenants or ("dify",))


WISHES = dify_build.Wishes(
    sizes=load("roles/dify/vars/main.yml")["__dify_workloads"],
    templates=load("roles/dify/defaults/main.yml")["dify_role_templates"],
    package_index="https://10.20.4.11/wheels/simple",
    authorities="-----BEGIN CERTIFICATE-----\n",
    router_image=f"docker.io/nginxinc/nginx-unprivileged:1.30.5-alpine@{DIGEST}",
    kubernetes_version=load("bundle/kubernetes.yml")["version"],
)


def build(
    tenant: dict[str, Any] | None = None,
    version: str = NEWEST,
    at: dict[str, Any] | None = None,
    given: dict[str, Any] | None = None,
    known: dict[str, str] | None = None,
    **wishes: Any,
) -> dify_build.Build:
    place = at or site()
    wish = {"name": "dify", "groups": {"dify-ops": ["operator"], "dify-users": ["viewer"]}, **(tenant or {})}
    (whole,) = all_complete([wish], place)
    return dify_build.prepare(
        release(version), place, whole, replace(WISHES, **wishes), given or {}, known or secrets(wish["name"])
    )


def objects(*args: Any, **kwargs: Any) -> Objects:
    """All objects of a tenant."""
    return [entry for part in phases(*args, **kwargs).values() for entry in part]


def phases(*args: Any, **kwargs: Any) -> dict[str, Objects]:
    return dify_manifests.manifests(build(*args, **kwargs))


def of(entries: Objects, kind: str, name: str = "") -> Objects:
    return [entry for entry in entries if entry["kind"] == kind and name in ("", entry["metadata"]["name"])]


def pod_of(entry: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = entry["spec"]["template"]["spec"]
    return found


def environments(
    version: str = NEWEST, at: dict[str, Any] | None = None, known: dict[str, str] | None = None, **tenant: Any
) -> dict[str, dict[str, str]]:
    """The variables of every container of Dify that has settings, as the kubelet would give them."""
    whole = known or secrets("dify")
    made = build(tenant, version, at, known=whole)
    values = dify_secrets.values(made.release, made.tenant, made.facts, whole)
    entries = [entry for phase in dify_manifests.manifests(made).values() for entry in phase]
    entries += dify_secrets.objects(made.release, made.tenant, values, made.labels())
    kept = {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]): one for one in entries}
    found: dict[str, dict[str, str]] = {}
    for entry in entries:
        if entry["kind"] in ("Deployment", "Job"):
            (container,) = pod_of(entry)["containers"]
            if "envFrom" in container:
                found[container["name"]] = _environment(container, entry["metadata"]["namespace"], kept)
    return found


def _environment(container: dict[str, Any], place: str, kept: Mapping[Any, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        found.update(kept["ConfigMap", place, source["configMapRef"]["name"]]["data"])
    for entry in container.get("env", []):
        if "value" in entry:
            found[entry["name"]] = entry["value"]
        else:
            reference = entry["valueFrom"]["secretKeyRef"]
            data = kept["Secret", place, reference["name"]]["data"]
            found[entry["name"]] = base64.b64decode(data[reference["key"]]).decode()
    return found
