"""The pins as delivered: complete, alive, exact, and the only place where versions stand."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.onprem.dify.plugins.module_utils.pins import faults, to_resolve
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_plan import GIVING
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_wheels import lines_of

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "bundle").glob("*.yml"))
BUNDLE: dict[str, dict[str, Any]] = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES}
# Numbers of clauses look like versions.
CLAUSE = re.compile(r"^\s*(cis_\w+|mlps3):")

# Examples in documentation.
PROSE = re.compile(r'"""[\s\S]*?"""')


def versions(pin: dict[str, Any]) -> set[str]:
    tags = {image["tag"] for image in pin.get("images") or ()} | {tag for _name, tag in to_resolve(pin).images}
    return {pin["version"], *(pin.get("packages") or {}).values(), *tags, *(tag.removeprefix("v") for tag in tags)}


@pytest.mark.parametrize("component", BUNDLE)
def test_every_pin_is_complete_exact_and_alive(component: str) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    assert BUNDLE[component]["name"] == component
    assert faults(BUNDLE[component], today) == []


def test_dify_is_pinned_with_all_that_a_release_consists_of() -> None:
    assert {"dify", "dify-plugin-daemon", "dify-sandbox", "squid", "nginx"} <= set(BUNDLE)
    images = [name for name, _tag in to_resolve(BUNDLE["dify"]).images]
    assert {image.rpartition("/dify-")[2] for image in images} == {"api", "web", "agent-backend", "agent-local-sandbox"}


@pytest.mark.parametrize("component", BUNDLE)
def test_every_pin_leads_to_something_that_can_be_fetched(component: str) -> None:
    pin = BUNDLE[component]
    assert any(pin.get(field) for field in (*GIVING, "to_resolve"))


def test_the_data_tier_is_pinned() -> None:
    wanted = {"postgresql", "pgvector", "patroni", "etcd", "haproxy", "keepalived", "redis", "valkey", "seaweedfs"}
    assert wanted <= set(BUNDLE)


def test_the_cluster_is_pinned_with_its_parts_of_one_version() -> None:
    wanted = {"containerd", "runc", "cni-plugins", "crictl", "helm", "flannel", "coredns", "pause", "distribution"}
    parts = {"kubernetes", "kubeadm", "kubelet", "kubectl"}
    assert wanted | parts <= set(BUNDLE)
    assert len({BUNDLE[part]["version"] for part in parts}) == 1


@pytest.mark.parametrize("component", BUNDLE)
def test_whatever_a_pin_names_is_of_its_version(component: str) -> None:
    pin = BUNDLE[component]
    names = [archive["url"] for archive in (pin.get("archives") or {}).values()]
    # Flannel's second image has a version of its own.
    names += [image["tag"] for image in pin.get("images") or () if not image["name"].endswith("-cni-plugin")]
    assert [name for name in names if pin["version"] not in name] == []


def test_the_wheels_of_the_controller_are_those_that_it_is_tested_with() -> None:
    wanted = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    locked = [line.split(" --hash")[0] for line in lines_of(BUNDLE["ansible-core"]["requirements"])]
    assert {line.replace(" ", "") for line in wanted} <= {line.replace(" ", "") for line in locked}


def test_the_collections_are_those_that_it_is_tested_with() -> None:
    allowed = BUNDLE["collections"]["collections"]
    needed = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["dependencies"]
    assert set(needed) <= set(allowed)
    for manifest in (ROOT / ".ansible/collections/ansible_collections").glob("*/*/MANIFEST.json"):
        info = json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]
        assert info["version"] in allowed[f"{info['namespace']}.{info['name']}"], manifest
    assert f"ansible=={BUNDLE['collections']['version']};" in (ROOT / "collections.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("component", BUNDLE)
def test_a_version_stands_in_its_pin_and_nowhere_else(component: str) -> None:
    words = "|".join(re.escape(version) for version in sorted(versions(BUNDLE[component])))
    pattern = re.compile(rf"(?<![\w.])({words})(?![\w]|\.\d)")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for folder in ("roles", "playbooks", "plugins", "inventories", "molecule")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and path.suffix in (".yml", ".j2", ".py", ".sh", ".conf", ".service")
        for number, line in enumerate(PROSE.sub("", path.read_text(encoding="utf-8")).splitlines(), start=1)
        if pattern.search(line) and not CLAUSE.match(line)
    ]
    assert found == []
