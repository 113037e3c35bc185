"""The proxies: private ranges are shut but for the models of the site, and agents come to two paths only."""

from __future__ import annotations

from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils import dify_proxy


def rules(kind: str, **changes: object) -> list[str]:
    build = difys.build({"agents": True}, **changes)
    return dify_proxy.configuration(build, kind).splitlines()


def test_only_the_models_of_the_site_are_let_through() -> None:
    lines = rules("requests")
    allowed = [line for line in lines if line.startswith("http_access allow")]
    assert allowed == ["http_access allow model1 model1_port", "http_access allow model2 model2_port"]
    assert [line for line in lines if line.startswith("acl model1 ")] == [
        "acl model1 dst 10.0.0.40",
        "acl model1 dst 10.0.0.41",
    ]
    assert "acl model2_port port 8000" in lines


def test_the_last_rule_shuts_everything() -> None:
    for kind in ("requests", "agents"):
        assert [line for line in rules(kind) if line.startswith("http_access")][-1] == "http_access deny all"


def test_metadata_and_the_host_itself_are_refused_before_anything_is_allowed() -> None:
    lines = rules("requests")
    assert {"acl never dst 169.254.0.0/16", "acl never dst 127.0.0.0/8"} <= set(lines)
    first = next(line for line in lines if line.startswith("http_access allow"))
    assert lines.index("http_access deny never") < lines.index(first)


def test_strangers_are_refused_first() -> None:
    lines = rules("requests")
    assert "acl clients src 10.244.0.0/16" in lines
    assert next(line for line in lines if line.startswith("http_access")) == "http_access deny !clients"


def test_agents_come_to_files_and_their_stub_only_and_by_no_tunnel() -> None:
    lines = rules("agents")
    assert "http_access deny CONNECT" in lines
    assert [line for line in lines if line.startswith("http_access allow")] == [
        "http_access allow api api_port api_path",
        "http_access allow agent_backend agent_backend_port agent_backend_path",
    ]
    assert "acl api dstdomain -n api.dify.svc" in lines
    assert "acl api_path urlpath_regex ^/files/" in lines


def test_a_site_without_models_lets_nothing_through() -> None:
    place = difys.site(services={"time": ["10.0.0.5"]}, without=[])
    assert not [line for line in rules("requests", at=place) if "allow" in line]
