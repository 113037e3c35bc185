"""What a host says about itself, from the texts of its kernel and tools."""

from __future__ import annotations

from ansible_collections.onprem.dify.plugins.module_utils.host_checks import (
    listeners,
    memory_mib,
    route_problem,
    security_modules,
    swaps,
    wrong_names,
)

SS = """\
udp   UNCONN 0      0          127.0.0.1:323        0.0.0.0:*    users:(("chronyd",pid=52,fd=5))
udp   UNCONN 0      0          0.0.0.0:8472         0.0.0.0:*
tcp   LISTEN 0      128        0.0.0.0:22           0.0.0.0:*    users:(("sshd",pid=61,fd=3),("systemd",pid=1,fd=40))
tcp   LISTEN 0      128           [::]:22              [::]:*    users:(("sshd",pid=61,fd=4),("systemd",pid=1,fd=41))
tcp   LISTEN 0      4096 127.0.0.53%lo:53           0.0.0.0:*    users:(("systemd-resolve",pid=40,fd=14))
tcp   LISTEN 0      4096         [::1]:631             [::]:*    users:(("cupsd",pid=80,fd=6))
tcp   LISTEN 0      4096             *:9100               *:*    users:(("prometheus-node",pid=90,fd=3))
"""


def test_listeners_are_those_that_others_can_reach() -> None:
    assert listeners(SS) == [
        {"protocol": "udp", "port": 8472, "programs": []},
        {"protocol": "tcp", "port": 22, "programs": ["sshd", "systemd"]},
        {"protocol": "tcp", "port": 9100, "programs": ["prometheus-node"]},
    ]


def test_memory_is_in_mib() -> None:
    assert memory_mib("MemTotal:        4028196 kB\nMemFree:          100 kB\n") == 3933
    assert memory_mib("") == 0


def test_security_modules_that_are_active() -> None:
    assert security_modules("lockdown,capability,apparmor\n", None, "Y\n") == ["apparmor"]
    assert security_modules(None, "1", None) == ["selinux"]
    assert security_modules(None, None, "N\n") == []


def test_a_route_or_why_there_is_none() -> None:
    assert route_problem(0, "10.20.3.10 via 10.20.2.1 dev eth0 src 10.20.2.11 uid 0\n    cache\n") == ""
    assert route_problem(2, "RTNETLINK answers: Network is unreachable\n") == "Network is unreachable"
    assert route_problem(0, "unreachable 10.20.3.10 dev lo\n") == "unreachable 10.20.3.10 dev lo"
    assert route_problem(1, "") == "ip route get ended with 1"


def test_only_a_wrong_answer_is_wrong() -> None:
    wanted = {"postgres.site": "10.0.0.1", "redis.site": "10.0.0.2", "s3.site": "10.0.0.3"}
    answers = {"postgres.site": ["10.0.0.9", "10.0.0.8"], "redis.site": [], "s3.site": ["10.0.0.3"]}
    assert wrong_names(answers, wanted) == {"postgres.site": "10.0.0.9, 10.0.0.8"}


def test_swap_is_read_by_device():
    assert swaps("Filename\tType\tSize\n/dev/sda2 partition 1\n/swapfile file 2\n") == ["/dev/sda2", "/swapfile"]
    assert swaps("Filename\tType\tSize\n") == swaps("") == []
