"""Who reaches whom: the policies say what the flows of the release and of the site say, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils.dify_flows import FlowError

AGENTS = {"agents": True}
INSIDE = {"postgres": ("10.20.3.10/32", 5432), "redis": ("10.20.3.15/32", 6379), "s3": ("10.20.3.16/32", 8333)}


def policies(tenant: dict[str, Any] | None = None, **changes: Any) -> dict[str, dict[str, Any]]:
    made = difys.of(difys.objects(tenant, **changes), "NetworkPolicy")
    return {f"{entry['metadata']['namespace']}/{entry['metadata']['name']}": entry["spec"] for entry in made}


def peer(rule: dict[str, Any]) -> str:
    """The name of what a rule speaks of: a service, the DNS, or an address."""
    if "ipBlock" in rule:
        return str(rule["ipBlock"]["cidr"])
    labels = rule["podSelector"]["matchLabels"]
    return labels.get("app.kubernetes.io/name") or labels["k8s-app"]


def reached(spec: dict[str, Any], direction: str) -> set[tuple[str, int]]:
    side = {"egress": "to", "ingress": "from"}[direction]
    return {
        (peer(entry), port["port"])
        for rule in spec.get(direction, [])
        for entry in rule[side]
        for port in rule["ports"]
    }


def test_nothing_is_open_by_default_in_both_namespaces() -> None:
    for place in ("dify/default", "dify-sandbox/default"):
        assert policies()[place] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("tenant", [{}, AGENTS])
def test_every_policy_is_about_both_directions_and_every_pod_has_one(tenant: dict[str, Any]) -> None:
    objects = difys.objects(tenant)
    found = policies(tenant)
    assert all(spec["policyTypes"] == ["Ingress", "Egress"] for spec in found.values())
    for kind in ("Deployment", "Job"):
        for entry in difys.of(objects, kind):
            labels = entry["spec"]["template"]["metadata"]["labels"]
            spec = found[f"{entry['metadata']['namespace']}/{labels['app.kubernetes.io/name']}"]
            assert spec["podSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("tenant", [{}, AGENTS])
def test_both_ends_of_a_flow_between_services_agree(tenant: dict[str, Any]) -> None:
    found = {place.partition("/")[2]: spec for place, spec in policies(tenant).items() if "default" not in place}
    out = {(name, end, port) for name, spec in found.items() for end, port in reached(spec, "egress") if end in found}
    into = {(end, name, port) for name, spec in found.items() for end, port in reached(spec, "ingress") if end in found}
    assert out == into
    assert ("web", "api", 5001) in out


def test_the_sandbox_reaches_its_proxy_and_nothing_else() -> None:
    spec = policies()["dify-sandbox/sandbox"]
    assert reached(spec, "egress") == {("ssrf-proxy", 3128)}
    assert reached(spec, "ingress") == {("api", 8194), ("worker", 8194)}


def test_the_proxy_reaches_the_models_of_the_site_and_names() -> None:
    spec = policies()["dify/ssrf-proxy"]
    models = {(f"10.0.0.{last}/32", port) for last in (40, 41) for port in (443, 8000)}
    assert reached(spec, "egress") == {*models, ("kube-dns", 53)}


def test_the_sandbox_of_agents_reaches_its_proxy_and_its_backend() -> None:
    spec = policies(AGENTS)["dify-sandbox/local-sandbox"]
    assert reached(spec, "egress") == {("agent-ssrf-proxy", 3128), ("agent-backend", 5050), ("kube-dns", 53)}


def test_the_api_reaches_the_data_tier_by_its_endpoints() -> None:
    out = reached(policies()["dify/api"], "egress")
    assert {end for end in out if end[0][0].isdigit()} == set(INSIDE.values())


def test_beat_and_web_reach_what_they_need() -> None:
    found = policies()
    assert reached(found["dify/beat"], "egress") == {INSIDE["postgres"], INSIDE["redis"], ("kube-dns", 53)}
    assert reached(found["dify/web"], "egress") == {("api", 5001), ("kube-dns", 53)}
    assert "ingress" not in found["dify/beat"]
    assert "ingress" not in found["dify/migration"]


def test_plugins_install_from_the_mirror_where_it_has_an_index() -> None:
    index = ("10.20.4.11/32", 443)
    assert index in reached(policies()["dify/plugin-daemon"], "egress")
    assert ("10.20.4.11/32", 5000) not in reached(policies()["dify/plugin-daemon"], "egress")
    without = reached(policies(package_index="")["dify/plugin-daemon"], "egress")
    assert not [end for end in without if end[0] == index[0]]


def test_users_come_by_the_gateway_only() -> None:
    spec = policies()["dify/router"]
    assert reached(spec, "ingress") == {(f"192.0.2.{last}/32", 8443) for last in (10, 11, 12)}


def test_mail_goes_out_where_the_site_has_a_server() -> None:
    assert ("10.0.0.25/32", 587) not in reached(policies()["dify/worker"], "egress")
    services = {**difys.load("inventories/prod/group_vars/all/site.yml")["site_services"], "smtp": ["10.0.0.25"]}
    found = policies(at=difys.site(services=services))
    assert ("10.0.0.25/32", 587) in reached(found["dify/worker"], "egress")


def test_a_range_of_ports_stays_one() -> None:
    flow = {"from": "workers", "to": "models", "port": "9000-9010", "protocol": "tcp"}
    found = difys.of(difys.objects(at=difys.site(extra_flows=[flow])), "NetworkPolicy", "ssrf-proxy")
    ports = [port for rule in found[0]["spec"]["egress"] for port in rule["ports"]]
    assert {"protocol": "TCP", "port": 9000, "endPort": 9010} in ports


def test_a_tenant_without_a_way_in_is_refused() -> None:
    with pytest.raises(FlowError, match=r"nobody reach the workers on 30444/tcp, wanted: a flow from gateway"):
        difys.objects({"number": 2})


def test_a_data_tier_that_the_table_leaves_out_is_refused() -> None:
    place = difys.site()
    place["flows"] = [flow for flow in place["flows"] if flow["to"] != "cache"]
    with pytest.raises(FlowError, match=r"no worker reach 10\.20\.3\.15 on 6379/tcp, wanted: a flow to redis"):
        difys.objects(at=place)


def test_a_site_without_a_store_opens_no_way_to_one() -> None:
    place = {**difys.site(), "storage": {"uploads": "local", "plugins": "local"}}
    assert INSIDE["s3"] not in reached(policies(at=place)["dify/api"], "egress")
