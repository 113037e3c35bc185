"""The example inventory with Dify: what is on the cluster is written down, and new secrets come on request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.inventories.copies import Site
from unit.plugins.module_utils import difys


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    pins = {name: {"images": difys.pins()[name]["images"]} for name in ("dify", "dify-plugin-daemon", "dify-sandbox")}
    pins["nginx"] = {"images": [{"name": "docker.io/nginx", "tag": "1", "digest": difys.DIGEST}]}
    add(made, "pins", {"site_pins": pins})
    assert made.play("secrets.yml").returncode == 0
    return made


def add(site: Site, name: str, variables: dict[str, Any]) -> None:
    file = site.inventory / f"group_vars/all/{name}.yml"
    file.write_text(yaml.safe_dump(variables), encoding="utf-8")


def test_the_objects_of_all_tenants_are_written_without_a_host(site: Site, tmp_path: Path) -> None:
    two = [{"name": "dify", "groups": {"ops": ["operator"]}}, {"name": "lab", "number": 2, "hostname": "lab.internal"}]
    flows = difys.load("inventories/prod/group_vars/all/site.yml")["site_extra_flows"]
    way_in = {"from": "gateway", "to": "workers", "port": 30444, "protocol": "tcp", "why": "Dify of the lab"}
    add(site, "tenants", {"dify_tenants": two, "site_extra_flows": [*flows, way_in]})
    assert site.play("secrets.yml").returncode == 0
    file = tmp_path / "dify.yml"
    written = site.play("dify_manifests.yml", "-e", f"dify_manifests_file={file}")
    assert written.returncode == 0, written.stdout
    text = file.read_text(encoding="utf-8")
    objects = list(yaml.safe_load_all(text))
    assert {entry["metadata"]["namespace"] for entry in objects if "namespace" in entry["metadata"]} == {
        "dify",
        "dify-sandbox",
        "lab",
        "lab-sandbox",
    }
    assert not [value for value in site.values().values() if value in text + written.stdout]
    again = site.play("dify_manifests.yml", "-e", f"dify_manifests_file={file}")
    assert "changed=1" not in again.stdout


def test_what_would_not_run_is_refused_in_plain_words(site: Site) -> None:
    add(site, "dify", {"dify_settings": {"api": {"EDITION": "CLOUD"}}})
    refused = site.play("dify_manifests.yml")
    assert refused.returncode != 0
    assert "dify_settings.api.EDITION is unknown to Dify" in " ".join(refused.stdout.split())
    assert "Traceback" not in refused.stdout + refused.stderr


def test_a_secret_is_rotated_on_request_and_another_is_refused(site: Site) -> None:
    before = site.values()
    rotated = site.play("secrets.yml", "-e", '{"secrets_rotate": ["dify_sandbox_key"]}')
    assert "changed=1" in rotated.stdout
    after = site.values()
    assert {name for name in before if before[name] != after[name]} == {"dify_sandbox_key"}
    assert after["dify_sandbox_key"] not in rotated.stdout
    refused = site.play("secrets.yml", "-e", '{"secrets_rotate": ["dify_secret_key"]}')
    assert refused.returncode != 0
    assert "dify_secret_key is never rotated" in " ".join(refused.stdout.split())
    assert site.values() == after
