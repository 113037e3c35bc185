"""What preflight says of Dify. One inventory for each check stands in tests/unit/inventories."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils.preflight_dify import CHECKS, findings
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import Inventory

KNOWN = {
    **difys.load("roles/gateway/meta/argument_specs.yml")["argument_specs"]["main"]["options"],
    **difys.load("roles/dify/meta/argument_specs.yml")["argument_specs"]["main"]["options"],
    **difys.load("roles/site/meta/argument_specs.yml")["argument_specs"]["main"]["options"],
}
FLOWS = difys.load("roles/site/defaults/main/flows.yml")["site_flows"]
RELEASES = {version: difys.release_file(version) for version in difys.RELEASES}


def checks(workers: bool = True, gateways: bool = False, **variables: Any) -> list[str]:
    groups = {"all": ["one"], "workers": ["one"] if workers else [], "gateway": ["one"] if gateways else []}
    hosts = {"one": {"site_domain": "dify.bank.internal", **variables}}
    inventory = Inventory(
        groups, hosts, KNOWN, FLOWS, datetime.date(2026, 11, 28), pins={"dify": "1.17.1"}, releases=RELEASES
    )
    return [finding.check for finding in findings(inventory)]


def test_a_site_without_wishes_has_no_findings() -> None:
    assert checks() == []


def test_without_workers_nobody_looks_at_tenants() -> None:
    broken = [{"name": "Dify"}]
    assert checks(dify_tenants=broken) == ["tenant-name"]
    assert checks(workers=False, dify_tenants=broken) == []


def test_another_release_judges_by_its_own_names() -> None:
    old = {"dify": {"version": "1.16.1"}}
    assert checks(site_pins=old, dify_settings={"agent-backend": {"DIFY_AGENT_RUN_RETENTION_SECONDS": 7200}}) == []
    assert checks(site_pins=old, dify_settings={"api": {"DEPLOYMENT_EDITION": "CLOUD"}}) == ["dify-setting"]
    assert checks(site_pins={"dify": {"version": "1.0.0"}}, dify_settings={"api": {"X": 1}}) == ["dify-release"]


def test_limits_of_a_gateway_are_looked_at_where_there_is_one() -> None:
    assert checks(gateway_client_rate=0) == []
    assert checks(gateways=True) == []
    assert checks(gateways=True, gateway_client_rate=0) == ["gateway-limit"]
    assert checks(gateways=True, gateway_tenant_rate=20) == ["gateway-limit"]


def test_every_tenant_is_looked_at() -> None:
    way = [{"from": "gateway", "to": "workers", "port": 30444, "why": "second"}]
    queues = RELEASES["1.17.1"]["services"]["worker"]["queues"]
    tenants = [
        {"name": "dify", "settings": {"web": {"EDITION": "x"}}},
        {
            "name": "lab",
            "number": 2,
            "hostname": "b.bank",
            "workers": {"some": {"queues": queues[1:]}},
            "groups": {"g": [1]},
        },
    ]
    assert checks(site_extra_flows=way, dify_tenants=tenants) == ["tenant-groups", "dify-setting", "dify-queue"]


@pytest.mark.parametrize(
    "variables",
    [
        {"dify_tenants": "dify"},
        {"dify_tenants": ["dify", None, 3, []]},
        {"dify_tenants": [{"name": ["dify"]}, {"name": {"a": 1}}, {"name": "a", "number": [1]}]},
        {
            "dify_tenants": [
                {"name": "dify", "databases": ["x"], "buckets": 1, "quota": "x", "groups": [], "workers": 3}
            ]
        },
        {"dify_tenants": [{"name": "dify", "databases": {"main": None}, "hostname": ["x"], "namespace": 3}]},
        {"dify_role_templates": ["viewer"]},
        {"dify_role_templates": {"viewer": "see"}},
        {"dify_role_templates": {"viewer": {"rights": {"see": 1}, "inherits": 3}}},
        {"dify_settings": ["x"]},
        {"dify_settings": {"api": ["x"], 3: {}, "web": {4: None}}},
        {"dify_workers": ["x"]},
        {"dify_workers": {"a": ["x"], "b": {"queues": "mail"}, "c": {"queues": [3]}}},
        {"site_extra_flows": ["x", {"to": 3}]},
        {"redis_databases": "many"},
    ],
)
def test_nonsense_is_no_crash(variables: dict[str, Any]) -> None:
    assert set(checks(**variables)) <= set(CHECKS)
