"""What the gateway serves, from tenants, settings, release and site."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.filter.gateway import gateway as filtered
from ansible_collections.onprem.dify.plugins.module_utils import dify_router, gateway

LIMITS = {"gateway_client_rate": 50, "gateway_client_connections": 200, "gateway_tenant_rate": 500}
WAY = {"from": "gateway", "to": "workers", "port": 30444, "why": "second tenant"}


def plan(*tenants: dict[str, Any], settings: Any = None, at: Any = None, release: Any = None, **limits: Any) -> Any:
    wishes = list(tenants) or [{"name": "dify"}]
    wanted = {**LIMITS, **limits}
    return filtered(wishes, at or difys.site(), release or difys.release_file(), settings or {}, wanted)


def locations(found: Any) -> dict[str, Any]:
    return {location["path"]: location for location in found["tenants"][0]["locations"]}


def test_a_tenant_is_served_by_its_name_on_all_workers() -> None:
    (tenant,) = plan()["tenants"]
    site = difys.site()
    workers = [host["address"] for _, host in sorted(site["hosts"].items()) if "workers" in host["groups"]]
    assert tenant["hostname"] == site["domain"]
    assert tenant["workers"] == [f"{address}:30443" for address in workers]
    assert tenant["certificate"]["names"] == [site["domain"]]


def test_tenants_have_ports_and_certificates_of_their_own() -> None:
    second = {"name": "finance", "number": 2, "hostname": f"{'a' * 60}.bank.internal"}
    found = plan({"name": "dify"}, second, at=difys.site(extra_flows=[WAY]))["tenants"]
    assert [tenant["workers"][0].rpartition(":")[2] for tenant in found] == ["30443", "30444"]
    assert [tenant["certificate"]["name"] for tenant in found] == ["gateway-dify", "gateway-finance"]
    # A common name has no room for more.
    assert found[1]["certificate"]["common_name"] == "finance"


@pytest.mark.parametrize("version", difys.RELEASES)
def test_every_path_of_the_release_has_its_place(version: str) -> None:
    release = difys.release_file(version)
    found = locations(plan(release=release))
    assert list(found) == [route["path"] for route in release["paths"]]
    assert [path for path, place in found.items() if place["closed"]] == ["/inner", "/threads", "/db-pool-stat"]
    assert [path for path, place in found.items() if place.get("pages")] == ["/", "/explore"]
    assert [path for path, place in found.items() if place.get("hook")] == ["/e/"]
    assert [path for path, place in found.items() if place["keyed"]] == ["/mcp", "/triggers", "/e/"]
    assert not found["/console/api"]["open"]
    assert not found["/socket.io/"]["open"]
    assert found["/v1"]["open"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"api": {"UPLOAD_VIDEO_FILE_SIZE_LIMIT": 500}},
        # Who sets one of two that mean one thing sets both.
        {"plugin-daemon": {"MAX_PLUGIN_PACKAGE_SIZE": 524288000}},
    ],
)
def test_the_gateway_lets_pass_what_the_router_does(settings: dict[str, Any]) -> None:
    (size,) = {place["body_megabytes"] for place in locations(plan(settings=settings)).values() if place.get("open")}
    router = dify_router.configuration(difys.build(settings=settings))
    assert f"client_max_body_size {size}m;" in router
    assert f"proxy_read_timeout {plan(settings=settings)['tenants'][0]['read_seconds']}s;" in router


def test_a_tenant_has_limits_of_its_own_and_the_longest_run_outlives_a_reload() -> None:
    long = {"name": "long", "number": 2, "hostname": "b.bank", "settings": {"api": {"GUNICORN_TIMEOUT": 9000}}}
    found = plan({"name": "dify"}, long, at=difys.site(extra_flows=[WAY]))
    assert [tenant["read_seconds"] for tenant in found["tenants"]] == [1260, 9060]
    assert found["drain_seconds"] == 9060


TWICE = ({"name": "dify", "hostname": "a.bank"}, {"name": "other", "number": 2, "hostname": "a.bank"})


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"tenants": TWICE}, r"dify_tenants\[1\]\.hostname is a\.bank, which dify has, wanted: one of its own"),
        (
            {"settings": {"api": {"UPLOAD_FILE_SIZE_LIMIT": "50MB"}}},
            r"dify_settings\.api\.UPLOAD_FILE_SIZE_LIMIT is 50MB",
        ),
        (
            {"tenants": [{"name": "dify", "settings": {"api": {"X_Y": 1}}}]},
            r"dify_tenants: settings of dify\.api\.X_Y is unknown to Dify",
        ),
        ({"gateway_client_rate": 0}, "gateway_client_rate is 0, wanted: a whole number above 0"),
        ({"gateway_client_connections": -1}, "gateway_client_connections is -1, wanted"),
        ({"gateway_tenant_rate": 49}, "gateway_tenant_rate is 49, wanted: 50 or more"),
        ({"at": difys.site(without=["workers"])}, "group workers is empty, wanted"),
        (
            {"tenants": [{"name": "lab", "number": 2}]},
            "tenant lab: site_flows let nobody reach the workers on 30444/tcp",
        ),
        (
            {"tenants": [{"name": "lab", "number": 2}], "at": difys.site(extra_flows=[{**WAY, "from": "monitoring"}])},
            r"site_flows do not let \w+ reach the workers on 30444/tcp, wanted: a flow from gateway",
        ),
    ],
)
def test_what_cannot_be_served_is_refused(wish: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        plan(*wish.pop("tenants", ()), **wish)


def test_a_host_has_port_443_once() -> None:
    site = difys.site()
    (name, *_others) = [name for name, host in site["hosts"].items() if "gateway" in host["groups"]]
    site["mirror"] = {"hosts": [name]}
    with pytest.raises(AnsibleFilterError, match=f"host {name} is in the groups gateway and mirror"):
        plan(at=site)


def test_limits_are_judged_before_a_run() -> None:
    assert list(gateway.limit_faults(LIMITS)) == []
    assert [fault.place for fault in gateway.limit_faults({**LIMITS, "gateway_tenant_rate": "many"})] == [
        "gateway_tenant_rate"
    ]
