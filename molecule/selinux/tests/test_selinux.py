"""What a container cannot show: SELinux, auditd and the kernel's settings on a running machine."""

from __future__ import annotations

import re
import socket

import pytest


def test_selinux_is_enforcing_now_and_after_a_reboot(machine):
    assert machine.root("getenforce") == "Enforcing"
    assert "SELINUX=enforcing" in machine.root("cat /etc/selinux/config").splitlines()


def test_the_operator_can_log_in_afresh(machine):
    answer = machine.login(command="id --context")
    assert answer.returncode == 0
    assert answer.stdout.startswith("unconfined_u:unconfined_r:unconfined_t:")


def test_nothing_was_refused_by_the_policy(machine, started):
    """Denials before auditd was installed are in the journal, the later ones in its own log."""
    journal = machine.root(f"journalctl --since=@{started} --output=cat _TRANSPORT=audit + _TRANSPORT=kernel")
    audited = machine.root("ausearch --input-logs --message avc --raw || true")
    refused = [line for line in journal.splitlines() if "avc:  denied" in line]
    refused += [line for line in audited.splitlines() if "denied" in line and seconds_of(line) >= started]
    assert refused == []


def seconds_of(record: str) -> int:
    found = re.search(r"msg=audit\((\d+)", record)
    assert found, record
    return int(found[1])


def test_auditd_runs_with_the_rules_of_the_collection(machine):
    assert machine.root("systemctl is-active auditd") == "active"
    rules = machine.root("auditctl -l")
    for watched in ("/etc/passwd", "/etc/sudoers.d", "/etc/ssh", "mount"):
        assert watched in rules


def test_a_change_of_an_account_is_recorded(machine):
    machine.root("useradd recorded; userdel recorded")
    assert "useradd" in machine.root("ausearch --input-logs --key identity --comm useradd --interpret --just-one")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("kernel.kptr_restrict", "2"),
        ("kernel.dmesg_restrict", "1"),
        ("kernel.yama.ptrace_scope", "1"),
        ("fs.protected_symlinks", "1"),
        ("fs.suid_dumpable", "0"),
        ("net.ipv4.ip_forward", "0"),
        ("net.ipv4.conf.all.rp_filter", "1"),
    ],
)
def test_kernel_parameters_are_in_force(machine, parameter, value):
    assert machine.root(f"sysctl --values {parameter}") == value


@pytest.mark.parametrize(
    ("path", "options"), [("/tmp", "noexec"), ("/dev/shm", "noexec"), ("/proc", "hidepid=invisible")]
)
def test_mount_options_are_in_force(machine, path, options):
    assert options in machine.root(f"findmnt --noheadings --output OPTIONS {path} | tail -n 1")


def test_the_operator_does_not_see_the_processes_of_others(machine):
    assert machine.login(command="ps -e -o user=").stdout.split().count("root") == 0


def test_the_firewall_runs_confined(machine):
    assert machine.root("firewall-cmd --state") == "running"
    assert "firewalld_t" in machine.root("ps --no-headers -o label -p $(systemctl show --value -p MainPID firewalld)")


def test_a_door_that_no_flow_names_is_shut(machine):
    machine.root("systemd-run --quiet --collect --unit=door python3 -m http.server 8080")
    try:
        machine.root(
            "curl --silent --retry 20 --retry-connrefused --retry-delay 1 --output /dev/null http://127.0.0.1:8080"
        )
        with pytest.raises(TimeoutError):
            socket.create_connection((machine.host.address, 8080), timeout=3)
    finally:
        machine.root("systemctl stop door")


def test_no_unit_failed(machine):
    assert machine.root("systemctl --failed --plain --no-legend") == ""
