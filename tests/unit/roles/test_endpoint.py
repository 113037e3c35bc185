# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What HAProxy and keepalived are told, and the data of operating systems that the lab cannot start."""

from __future__ import annotations

import re

import pytest
import yaml
from unit.roles import rendering

from ansible_collections.onprem.dify.plugins.module_utils.endpoints import host_endpoints

ADDRESSES = {
    "gateway1": "10.0.1.11",
    "gateway2": "10.0.1.12",
    "db1": "10.0.3.11",
    "db2": "10.0.3.12",
    "witness1": "10.0.3.21",
    "cp1": "10.0.2.11",
    "cp2": "10.0.2.12",
    "one1": "10.0.3.31",
}
DATA = ["database", "cache", "objects"]
GROUPS = {
    "gateway1": ["gateway"],
    "gateway2": ["gateway"],
    "witness1": ["witness"],
    "cp1": ["control_plane"],
    "cp2": ["control_plane"],
    "one1": ["gateway", *DATA],
}


def site(*hosts):
    groups = {name: GROUPS.get(name, DATA) for name in hosts}
    return {
        "domain": "test.internal",
        "hosts": {name: {"address": ADDRESSES[name], "groups": groups[name]} for name in hosts},
        "endpoints": {
            "gateway": "10.0.1.9",
            "kube-api": "10.0.2.10",
            "postgres": "10.0.3.10",
            "redis": "10.0.3.15",
            "s3": "10.0.3.16",
        },
    }


def rendered(template, *hosts):
    facts = site(*hosts)
    return rendering.template(
        "endpoint",
        template,
        inventory_hostname=hosts[0],
        site_facts=facts,
        endpoint_redis_check_password="secret-of-check",
        __endpoint_served=[{**one, "interface": "eth0"} for one in host_endpoints(facts, hosts[0])],
        __endpoint_pki="/etc/pki",
        __endpoint_haproxy_home="/var/lib/haproxy",
    )


def sections(text):
    """The lines of each frontend and backend of HAProxy, by its name."""
    found, lines = {}, []
    for line in text.splitlines():
        if re.match(r"(frontend|backend) ", line):
            lines = found.setdefault(line.split()[1], [])
        elif line.startswith("  "):
            lines.append(line.strip())
    return found


def test_redis_goes_to_the_server_that_most_sentinels_call_the_master():
    haproxy = sections(rendered("haproxy.cfg.j2", "db1", "db2", "witness1"))
    assert "use_backend redis-db2 if { nbsrv(redis-elects-db2) ge 2 } { nbsrv(redis-db2) gt 0 }" in haproxy["redis"]
    assert not [line for line in haproxy["redis"] if line.startswith("default_backend")]
    voters = [line.split()[1] for line in haproxy["redis-elects-db2"] if line.startswith("server ")]
    assert voters == ["db1", "db2", "witness1"]
    assert "tcp-check expect min-recv 20 string $9\\r\\n10.0.3.12\\r\\n" in haproxy["redis-elects-db2"]


def test_a_single_redis_needs_no_vote():
    haproxy = sections(rendered("haproxy.cfg.j2", "db1", "witness1"))
    assert "default_backend redis-db1" in haproxy["redis"]
    assert "redis-voters" not in haproxy


def test_reads_of_postgresql_fall_back_to_the_primary():
    haproxy = sections(rendered("haproxy.cfg.j2", "db1", "db2", "witness1"))
    assert haproxy["postgres-readonly"][1:] == [
        "use_backend postgres-replicas if { nbsrv(postgres-replicas) gt 0 }",
        "default_backend postgres-primary",
    ]
    assert "http-check send meth GET uri /replica" in haproxy["postgres-replicas"]


def test_every_server_is_checked_and_known_by_its_name():
    for name, lines in sections(rendered("haproxy.cfg.j2", "db1", "db2", "witness1")).items():
        # What stays on the host itself needs neither.
        for line in [line for line in lines if line.startswith("server ") and "127.0.0.1" not in line]:
            host = line.split()[1]
            assert " check" in line, name
            assert line.endswith(f"verifyhost {host}.test.internal"), name


def test_an_address_is_given_up_without_a_majority():
    haproxy = sections(rendered("haproxy.cfg.j2", "db1", "db2", "witness1"))
    assert "http-request return status 503 if { path /redis } { nbsrv(redis-voters) lt 2 }" in haproxy["alive"]
    isolated = "{ nbsrv(postgres-quorum) lt 1 } { nbsrv(postgres-peers) lt 1 }"
    assert f"http-request return status 503 if {{ path /postgres }} {isolated}" in haproxy["alive"]
    assert [line.split()[1:3] for line in haproxy["postgres-quorum"][-1:]] == [["db1", "10.0.3.11:2379"]]
    assert [line.split()[1:3] for line in haproxy["postgres-peers"][-1:]] == [["db2", "10.0.3.12:8008"]]
    keepalived = rendered("keepalived.conf.j2", "db1", "db2", "witness1")
    assert "http-request return status 503 if { path /s3 } { nbsrv(s3-voters) lt 2 }" in haproxy["alive"]
    masters = [line.split()[2] for line in haproxy["s3-voters"]]
    assert masters == ["10.0.3.11:9333", "10.0.3.12:9333", "10.0.3.21:9333"]
    assert keepalived.count("vrrp_script ") == 4
    for name in ("postgres", "redis", "s3"):
        assert f"http://localhost/{name}" in keepalived


def test_metrics_of_the_store_leave_the_host_over_tls_only():
    haproxy = sections(rendered("haproxy.cfg.j2", "db1", "db2", "witness1"))
    assert "bind 10.0.3.11:9324 ssl crt /etc/pki/tls.pem" in haproxy["s3-metrics"]
    assert "use_backend s3-metrics-volume if { path /volume }" in haproxy["s3-metrics"]
    assert haproxy["s3-metrics-volume"][-1] == "server db1 127.0.0.1:9326"
    assert "http-request return status 404 unless { path /s3 /filer /volume /master }" in haproxy["s3-metrics"]


def test_the_kubernetes_api_is_asked_whether_it_is_ready_and_shown_no_certificate():
    text = rendered("haproxy.cfg.j2", "cp1", "cp2")
    haproxy = sections(text)
    assert haproxy["kube-api"][-2:] == [
        "server cp1 10.0.2.11:6443 check check-ssl verify none",
        "server cp2 10.0.2.12:6443 check check-ssl verify none",
    ]
    assert "http-check send meth GET uri /readyz" in haproxy["kube-api"]
    # The certificate of the site is among the defaults that this backend does not take.
    assert "backend kube-api from plain" in text
    assert "crt" not in text.partition("defaults plain")[2].partition("defaults of-the-site")[0]


def test_a_control_plane_without_an_api_gives_up_the_address():
    lost = "http-request return status 503 if { path /kube-api } { nbsrv(kube-api) lt 1 }"
    assert lost in sections(rendered("haproxy.cfg.j2", "cp1", "cp2"))["alive"]
    assert lost not in sections(rendered("haproxy.cfg.j2", "cp1"))["alive"]


def test_a_gateway_is_asked_itself_and_needs_no_haproxy():
    keepalived = rendered("keepalived.conf.j2", "gateway1", "gateway2")
    asked = "--unix-socket /run/onprem-dify-gateway.sock http://localhost/gateway"
    assert [asked in line for line in keepalived.splitlines() if "curl" in line] == [True]
    assert keepalived.count("vrrp_script ") == keepalived.count("vrrp_instance gateway ") == 1
    assert "  track_script {\n    gateway\n" in keepalived
    assert "script_user nobody" in keepalived
    assert "After=onprem-dify-gateway.service" in rendered("keepalived.service.j2", "gateway1")


def test_a_gateway_on_a_host_with_other_endpoints_does_not_go_through_haproxy():
    haproxy = rendered("haproxy.cfg.j2", "one1")
    assert "gateway" not in sections(haproxy)
    assert "10.0.1.9" not in haproxy
    keepalived = rendered("keepalived.conf.j2", "one1")
    assert re.findall(r"vrrp_script (\w+)", keepalived) == ["haproxy", "gateway"]
    assert "script_user haproxy haproxy" in keepalived
    assert "After=haproxy.service" in rendered("keepalived.service.j2", "one1")


def test_a_host_alone_has_its_addresses_without_asking():
    keepalived = rendered("keepalived.conf.j2", "db1")
    assert "unicast_peer" not in keepalived
    assert keepalived.count("state MASTER") == 3
    assert "s3-voters" not in sections(rendered("haproxy.cfg.j2", "db1"))


def test_nobody_takes_an_address_from_a_host_that_works():
    keepalived = rendered("keepalived.conf.j2", "db1", "db2", "witness1")
    assert keepalived.count("  nopreempt") == keepalived.count("vrrp_instance ") == 3
    assert "state MASTER" not in keepalived


@pytest.mark.parametrize("role", ["endpoint", "redis"])
def test_every_system_says_the_same_things(role):
    files = [path for path in (rendering.ROLES / role / "vars").glob("*.yml") if path.stem != "main"]
    data = {path.stem: set(yaml.safe_load(path.read_text())) for path in files}
    assert set(map(frozenset, data.values())) == {frozenset(data["Debian"])}
