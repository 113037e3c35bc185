"""What of the gateway differs between systems, and what SELinux is told of it. The rest is run by tests/acceptance."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from unit.plugins.module_utils import difys
from unit.roles import rendering

from ansible_collections.onprem.dify.plugins.module_utils import gateway

LIMITS = yaml.safe_load((rendering.ROLES / "gateway/defaults/main.yml").read_text())


def nginx(system: str) -> str:
    served = gateway.plan([{"name": "dify"}], difys.site(), difys.release_file(), {}, LIMITS)
    own = yaml.safe_load((rendering.ROLES / f"gateway/vars/{system}.yml").read_text())
    return rendering.template("gateway", "nginx.conf.j2", __gateway_served=served, **own)


@pytest.mark.parametrize("system", ["Debian_12", "RedHat"])
def test_older_nginx_has_http_2_at_the_listener(system: str) -> None:
    text = nginx(system)
    assert text.count("listen 443 http2 ssl") == 2
    assert "http2 on;" not in text


def test_newer_nginx_has_http_2_as_a_directive() -> None:
    text = nginx("Debian")
    assert "http2 ssl" not in text
    assert text.count("    http2 on;\n") == 1


def test_every_system_says_the_same_things() -> None:
    files = [path for path in (rendering.ROLES / "gateway/vars").glob("*.yml") if path.stem != "main"]
    assert len({frozenset(yaml.safe_load(path.read_text())) for path in files}) == 1


@pytest.mark.parametrize(("groups", "wanted"), [(["gateway"], {"httpd_can_network_connect": True}), (["cache"], {})])
def test_selinux_lets_a_gateway_and_no_other_host_open_connections(groups: list[str], wanted: dict[str, Any]) -> None:
    told = rendering.templated("mac", "{{ __mac_booleans }}", group_names=groups)
    assert told == wanted
