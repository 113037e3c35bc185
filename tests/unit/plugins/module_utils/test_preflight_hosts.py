"""What preflight says about hosts, from what they answered."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.preflight_hosts import (
    PROGRAMS,
    Hosts,
    destinations,
    endpoint_names,
    findings,
)

SITE: dict[str, Any] = {
    "domain": "dify.example.internal",
    "services": {"dns": ["10.0.0.5"]},
    "endpoints": {"postgres": "10.20.3.10"},
    "hosts": {
        "db1": {"address": "10.20.3.11", "groups": ["database"], "zones": ["data"], "cluster": False},
        "cp1": {"address": "10.20.2.11", "groups": ["control_plane"], "zones": ["app"], "cluster": True},
        "ops1": {"address": "10.20.4.11", "groups": ["mirror"], "zones": ["ops"], "cluster": False},
    },
    "flows": [
        {
            "port": "5432",
            "protocol": "tcp",
            "why": "PostgreSQL endpoint",
            "sources": ["10.20.2.11"],
            "destinations": ["10.20.3.10", "10.20.3.11"],
        },
        {
            "port": "2379-2380",
            "protocol": "tcp",
            "why": "etcd of Patroni",
            "sources": ["10.20.3.11"],
            "destinations": ["10.20.3.11"],
        },
        {
            "port": "443",
            "protocol": "tcp",
            "why": "Package repositories",
            "sources": ["10.20.2.11", "10.20.3.11"],
            "destinations": ["10.0.0.0/24"],
        },
    ],
}
MINIMUMS = {"all": {"cpus": 1, "memory": 512, "disk": 8}, "database": {"cpus": 2, "memory": 3072, "disk": 40}}


def seen(name: str, **different: Any) -> dict[str, Any]:
    return {
        "cpus": 8,
        "memory": 32000,
        "disk_size": 500.0,
        "disk_free": 400.0,
        "cgroup": "cgroup2fs",
        "swap": [],
        "kubernetes": "",
        "init": "systemd",
        "listeners": [],
        "routes": {},
        "hostname": name,
        "names": {name: [SITE["hosts"][name]["address"]]},
        "machine_id": f"id of {name}",
        "ssh_host_key": f"key of {name}",
        "security_modules": ["apparmor"],
        "python": "3.11.2",
        "clock_offset": 0.1,
        "clock_error": 0.05,
        "facts": {"distribution": "Debian", "distribution_version": "12.5", "virtualization_tech_guest": []},
        **different,
    }


def said(**hosts: dict[str, Any]) -> list[str]:
    answers = {name: seen(name, **different) for name, different in hosts.items()}
    return [str(finding) for finding in findings(Hosts(SITE, answers, MINIMUMS, 2.0))]


def test_healthy_hosts_have_no_findings() -> None:
    assert said(db1={}, cp1={}, ops1={}) == []


ROCKY = {"distribution": "Rocky", "distribution_version": "9.4", "os_family": "RedHat", "virtualization_tech_guest": []}
DEBIAN = {**ROCKY, "distribution": "Debian", "distribution_version": "12.5", "os_family": "Debian"}


@pytest.mark.parametrize(
    ("host", "facts", "install", "lines"),
    [
        (
            "ops1",
            ROCKY,
            "package",
            [
                "ops1: mirror_registry_install is package, wanted: archive, or nothing at all, as Rocky 9.4 has no "
                "package of the registry [mirror-registry]"
            ],
        ),
        ("ops1", ROCKY, "archive", []),
        ("ops1", ROCKY, "", []),
        ("ops1", DEBIAN, "package", []),
        ("db1", ROCKY, "package", []),
    ],
)
def test_a_registry_that_no_package_has_is_asked_for_as_an_archive(
    host: str, facts: dict[str, Any], install: str, lines: list[str]
) -> None:
    hosts = Hosts(SITE, {host: seen(host, facts=facts)}, MINIMUMS, 2.0, "", {host: install}, ["Debian"])
    assert [str(finding) for finding in findings(hosts)] == lines


SYSTEMS = "Debian 12 or 13, Ubuntu 22.04 or 24.04, RHEL, Rocky or AlmaLinux 9, openEuler 22.03 or 24.03"


@pytest.mark.parametrize(
    ("different", "line"),
    [
        ({"python": "3.8.10"}, "Python is 3.8.10, wanted: 3.9 or newer, named by ansible_python_interpreter [python]"),
        (
            {"facts": {"distribution": "CentOS", "distribution_version": "7.9"}},
            f"the operating system is CentOS 7.9, wanted: {SYSTEMS} [os]",
        ),
        (
            {"facts": {"distribution": "Debian", "distribution_version": "11.9"}},
            f"the operating system is Debian 11.9, wanted: {SYSTEMS} [os]",
        ),
        ({"init": "runit"}, "process 1 is runit, wanted: systemd [systemd]"),
        (
            {"security_modules": []},
            "mandatory access control is not visible or off, wanted: SELinux or AppArmor [mac]",
        ),
        ({"cpus": 1}, "its number of processors is 1, wanted: 2 for database [cpus]"),
        ({"memory": 2000}, "its memory is 2000 MiB, wanted: 3584 MiB for database [memory]"),
        ({"disk_size": 20.0}, "the disk of /var is 20 GiB, wanted: 48 GiB for database [disk]"),
        ({"disk_free": 0.4}, "the disk of /var is full, 0.4 GiB free, wanted: 2 GiB free [disk]"),
        (
            {"names": {"db1": []}},
            "its name db1 is not resolved by itself, wanted: an entry in /etc/hosts or DNS [name-self]",
        ),
        (
            {"names": {"db1": ["10.20.3.11"], "postgres.dify.example.internal": ["10.9.9.9"]}},
            "postgres.dify.example.internal is 10.9.9.9 in its DNS, wanted: 10.20.3.10 [name-site]",
        ),
        (
            {"listeners": [{"protocol": "tcp", "port": 5432, "programs": ["mysqld"]}]},
            "port 5432/tcp is in use by mysqld, wanted: free, for: PostgreSQL endpoint [port]",
        ),
        (
            {"listeners": [{"protocol": "tcp", "port": 2380, "programs": ["java"]}]},
            "port 2380/tcp is in use by java, wanted: free, for: etcd of Patroni [port]",
        ),
        (
            {"routes": {"10.0.0.0": "Network is unreachable"}},
            "the route to 10.0.0.0 is missing (Network is unreachable), wanted: a route, for: Package repositories"
            " [route]",
        ),
    ],
)
def test_a_bad_host_gets_its_one_line(different: dict[str, Any], line: str) -> None:
    assert said(db1=different) == [f"db1: {line}"]


@pytest.mark.parametrize(("guest", "lines"), [(["container"], 1), (["kvm"], 0), ([], 0)])
def test_a_file_server_is_no_container(guest: list[str], lines: int) -> None:
    facts = {"distribution": "Debian", "distribution_version": "12.5", "virtualization_tech_guest": guest}
    site = {**SITE, "hosts": {"file1": {**SITE["hosts"]["ops1"], "groups": ["files"]}}}
    answers = {"file1": seen("ops1", facts=facts)}
    found = [str(finding) for finding in findings(Hosts(site, answers, MINIMUMS, 2.0))]
    wanted = "file1: its kernel is that of the host of a container, wanted: its own, which serves NFS [kernel]"
    assert found == [wanted] * lines


@pytest.mark.parametrize("distribution", [("Ubuntu", "24.04"), ("Rocky", "9.4"), ("openEuler", "22.03")])
def test_supported_systems_pass(distribution: tuple[str, str]) -> None:
    facts = {"distribution": distribution[0], "distribution_version": distribution[1]}
    assert said(db1={"facts": facts}) == []


def test_the_services_themselves_may_listen_on_a_second_run() -> None:
    listeners = [
        {"protocol": "tcp", "port": 5432, "programs": ["haproxy", "postgres"]},
        {"protocol": "tcp", "port": 2379, "programs": ["etcd"]},
        {"protocol": "tcp", "port": 25, "programs": ["master"]},
        {"protocol": "udp", "port": 5432, "programs": ["other"]},
    ]
    assert said(db1={"listeners": listeners}) == []


def test_kubernetes_hosts_need_cgroup_v2_and_others_do_not() -> None:
    assert said(db1={"cgroup": "tmpfs"}, cp1={"cgroup": "tmpfs"}) == [
        "cp1: /sys/fs/cgroup is tmpfs, wanted: cgroup2fs, as Kubernetes needs cgroup v2 [cgroup]"
    ]


def test_memory_that_the_firmware_keeps_is_not_missing() -> None:
    assert said(db1={"memory": 3400}) == []


def test_the_host_whose_clock_is_wrong_is_named() -> None:
    assert said(db1={"clock_offset": 0.3}, cp1={"clock_offset": -61.0}, ops1={}) == [
        "cp1: its clock is 61.1 s behind the other hosts, wanted: within 2 s [clock]"
    ]


def test_a_slow_answer_is_not_a_wrong_clock() -> None:
    assert said(db1={"clock_offset": 3.0, "clock_error": 1.5}, cp1={}, ops1={}) == []


def test_clones_are_found() -> None:
    same = {"machine_id": "one", "ssh_host_key": "two"}
    assert [line.split(", wanted")[0] for line in said(db1=same, cp1=same, ops1={})] == [
        "db1: /etc/machine-id is that of cp1",
        "db1: its SSH host key is that of cp1",
    ]


def test_a_host_that_cannot_be_used_is_one_line_and_does_not_hide_the_others() -> None:
    failure = {"check": "login", "variable": "sudo of operator", "found": "refused", "wanted": "sudo to root"}
    assert said(db1={"failure": failure}, cp1={"init": "runit"}) == [
        "db1: sudo of operator is refused, wanted: sudo to root [login]",
        "cp1: process 1 is runit, wanted: systemd [systemd]",
    ]


def test_what_the_hosts_are_asked() -> None:
    assert destinations(SITE, "cp1") == ["10.0.0.0", "10.20.3.10", "10.20.3.11"]
    assert destinations(SITE, "db1") == ["10.0.0.0"]
    assert endpoint_names(SITE) == {"postgres.dify.example.internal": "10.20.3.10"}
    assert endpoint_names({**SITE, "services": {}}) == {}


def test_every_port_of_the_flow_table_on_a_host_has_its_programs() -> None:
    from pathlib import Path

    import yaml

    table = Path(__file__).resolve().parents[4] / "roles/site/defaults/main/flows.yml"
    outside = {"all", "dns", "time", "repositories", "syslog", "identity", "ldap", "s3", "models", "smtp"}
    ports = {
        str(flow["port"])
        for flow in yaml.safe_load(table.read_text(encoding="utf-8"))["site_flows"]
        if flow["to"] not in outside - {"all"} and flow["port"] != "" and flow["protocol"] == "tcp"
    }
    # A NodePort has no program: kube-proxy works in the kernel.
    assert ports - set(PROGRAMS) == {"30443"}


def test_swap_stands_in_the_way_of_kubernetes_only() -> None:
    assert said(db1={"swap": ["/dev/sda2"]}) == []
    assert said(cp1={"swap": ["/dev/sda2"]}) == [
        "cp1: its swap is on (/dev/sda2), wanted: off: swapoff -a, and no line of it in /etc/fstab [swap]"
    ]


@pytest.mark.parametrize(
    ("found", "why"), [("1.34.1", "1.35 comes next"), ("1.37.0", "does not go back"), ("1.35.8", ""), ("", "")]
)
def test_kubernetes_goes_one_step_forward(found: str, why: str) -> None:
    hosts = Hosts(SITE, {"cp1": seen("cp1", kubernetes=found)}, MINIMUMS, 2.0, "1.36.4")
    messages = [str(finding) for finding in findings(hosts)]
    assert (why in messages[0] and messages[0].startswith(f"cp1: its Kubernetes is {found}")) if why else not messages
