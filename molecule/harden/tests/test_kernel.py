"""Packets, programs, processes and core dumps, as the users and services of a host meet them."""

from __future__ import annotations

import pytest

CLUSTER = {"control_plane", "workers"}
# Groups on whose hosts the address of an endpoint of the lab lives.
ENDPOINT_HOMES = {"gateway", "control_plane", "database"}


@pytest.fixture(scope="module")
def groups(node) -> set[str]:
    return set(node.machine.groups)


def sysctl(node, key: str) -> str:
    return node.run(f"cat /proc/sys/{key.replace('.', '/')}").stdout.strip()


def test_packets_are_passed_on_by_hosts_of_the_cluster_only(node, groups):
    assert sysctl(node, "net.ipv4.ip_forward") == ("1" if groups & CLUSTER else "0")


def test_a_packet_may_come_back_another_way_in_the_cluster_only(node, groups):
    # The kernel takes the larger value of all interfaces and of the interface itself.
    values = {sysctl(node, f"net.ipv4.conf.{name}.rp_filter") for name in ("all", "default", "eth0")}
    assert values == {"2" if groups & CLUSTER else "1"}


def test_bridged_packets_of_pods_meet_the_firewall(node, groups):
    if not groups & CLUSTER:
        pytest.skip("not a host of the cluster")
    assert sysctl(node, "net.bridge.bridge-nf-call-iptables") == "1"


def test_a_service_can_bind_the_address_of_an_endpoint_before_it_is_here(node, groups):
    script = "import socket; socket.socket().bind(('192.0.2.1', 0))"
    bound = node.run(f'python3 -c "{script}"')
    assert (bound.returncode == 0) == bool(groups & ENDPOINT_HOMES), bound.stderr


@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp", "/dev/shm"])
def test_no_program_starts_from_a_folder_for_everybody(node, folder):
    started = node.run(
        f"cp /usr/bin/true {folder}/program && {folder}/program; code=$?; rm {folder}/program; exit $code"
    )
    assert started.returncode == 126
    assert "Permission denied" in started.stderr


def test_a_user_sees_no_processes_of_others(node):
    owners = node.run("stat -c %U /proc/[0-9]*").stdout.split()
    assert set(owners) == {"operator"}
    assert "root" in node.root("stat -c %U /proc/[0-9]*").stdout


def test_logins_are_still_sessions(node):
    assert "operator" in node.run("loginctl list-sessions --no-legend").stdout


def test_a_user_of_the_group_proc_sees_all(node, only_one):
    seen = node.root("setpriv --reuid nobody --regid nogroup --groups proc stat -c %U /proc/1")
    assert seen.stdout.strip() == "root", seen.stderr


def test_programs_leave_no_core_dump(node):
    assert node.run("ulimit -H -c").stdout.strip() == "0"


@pytest.mark.parametrize("module", ["cramfs", "sctp", "firewire_core"])
def test_rare_modules_are_refused(node, module):
    assert node.root(f"modprobe --showconfig | grep -x 'install {module} /bin/false'").returncode == 0


def test_only_the_mirror_reads_usb_disks(node, groups):
    refused = node.root("modprobe --showconfig | grep -x 'install usb_storage /bin/false'").returncode == 0
    assert refused == ("mirror" not in groups)


def test_what_the_cluster_needs_is_not_refused(node):
    config = node.root("modprobe --showconfig").stdout
    for module in ("overlay", "br_netfilter", "vxlan", "nf_conntrack", "ip_vs", "dm_crypt", "nfs"):
        assert f"install {module} /bin/false" not in config


def test_the_next_boot_can_mount_what_fstab_says(node):
    verified = node.root("findmnt --verify --tab-file /etc/fstab")
    assert verified.returncode == 0, verified.stdout + verified.stderr
