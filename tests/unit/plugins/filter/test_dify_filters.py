"""The filters of Dify: what the code behind them refuses is an error of Ansible."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.filter.dify_data import dify_data
from ansible_collections.onprem.dify.plugins.filter.dify_objects import dify_objects
from ansible_collections.onprem.dify.plugins.filter.dify_rights import dify_rights
from ansible_collections.onprem.dify.plugins.filter.dify_secrets import dify_secrets
from ansible_collections.onprem.dify.plugins.filter.dify_tenants import dify_tenants

RELEASE = {**difys.release(), "router_image": difys.WISHES.router_image, "kubernetes_version": "1.36.4"}
SIZES = {"sizes": difys.WISHES.sizes}


def tenant(**changes: Any) -> dict[str, Any]:
    (whole,) = dify_tenants([{"name": "dify", **changes}], difys.site())
    return whole


def test_objects_come_in_their_order() -> None:
    made = dify_objects(tenant(), RELEASE, difys.site(), difys.secrets(), SIZES)
    assert list(made) == ["foundation", "migration", "workloads", "way_in"]
    assert made["foundation"][0]["kind"] == "Namespace"


@pytest.mark.parametrize(
    ("changes", "wishes", "secrets", "site", "message"),
    [
        ({}, {"settings": {"api": {"X_Y": 1}}}, None, {}, "dify_settings.api.X_Y is unknown"),
        ({"quota": {"pods": 1}}, {}, None, {}, "tenant dify: pods"),
        ({"groups": {"ops": ["king"]}}, {"templates": {"queen": {}}}, None, {}, "there is no role king, wanted"),
        ({}, {}, {"redis_dify": "x"}, {}, "site_secrets is without dify_secret_key"),
        ({}, {}, None, {"without": ["cache"]}, "site_services.redis is not set"),
        ({"number": 3}, {}, None, {}, "nobody reach the workers on 30445/tcp"),
    ],
)
def test_what_would_not_run_is_refused(
    changes: dict[str, Any], wishes: dict[str, Any], secrets: Any, site: dict[str, Any], message: str
) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        dify_objects(tenant(**changes), RELEASE, difys.site(**site), secrets or difys.secrets(), {**SIZES, **wishes})


def test_secrets_are_built_apart() -> None:
    known = difys.secrets()
    main, sandbox = dify_secrets(tenant(), RELEASE, difys.site(), known)
    assert (main["metadata"]["namespace"], sandbox["metadata"]["namespace"]) == ("dify", "dify-sandbox")
    assert base64.b64decode(sandbox["data"]["sandbox_key"]).decode() == known["dify_sandbox_key"]
    with pytest.raises(AnsibleFilterError, match="site_secrets is without"):
        dify_secrets(tenant(), RELEASE, difys.site(), {})


def test_rights_of_groups() -> None:
    templates = {"viewer": {"rights": ["see"]}, "operator": {"inherits": ["viewer"], "rights": ["logs"]}}
    assert dify_rights({"ops": ["operator"]}, templates) == {"ops": ["see", "logs"]}
    with pytest.raises(AnsibleFilterError, match="there is no role operators, wanted: operator"):
        dify_rights({"ops": ["operators"]}, templates)


def test_tenants_with_faults_are_refused() -> None:
    with pytest.raises(AnsibleFilterError, match=r"dify_tenants\[0\]\.name is Dify"):
        dify_tenants([{"name": "Dify"}], difys.site())


def test_the_data_tier_hears_what_tenants_need() -> None:
    found = dify_data([tenant()], difys.secrets())
    assert [entry["name"] for entry in found["databases"]] == ["dify", "dify_plugin", "dify_vector"]
    assert [entry["name"] for entry in found["buckets"]] == ["dify", "dify-plugin"]
    with pytest.raises(AnsibleFilterError, match="site_secrets is without redis_dify, wanted"):
        dify_data([tenant()], {})
