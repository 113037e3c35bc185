"""Every flow passes, every door is shut, and the probe that says so can fail."""

from __future__ import annotations

import ipaddress
import shlex

PODS = """
for n in 1 2; do
  ip netns add pod$n
  ip link add veth$n type veth peer name eth0 netns pod$n
  ip address add 10.244.$n.1/24 dev veth$n && ip link set veth$n up
  ip -n pod$n address add 10.244.$n.2/24 dev eth0 && ip -n pod$n link set eth0 up && ip -n pod$n link set lo up
  ip -n pod$n route add default via 10.244.$n.1
done
cat /proc/sys/net/ipv4/ip_forward > /run/ip_forward; echo 1 > /proc/sys/net/ipv4/ip_forward
nft add table ip pods
nft add chain ip pods post '{ type nat hook postrouting priority srcnat; }'
nft add rule ip pods post ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 masquerade
nft add chain ip pods pre '{ type nat hook prerouting priority dstnat; }'
nft add rule ip pods pre ip daddr 10.96.0.1 tcp dport 443 dnat to API:6443
systemd-run --quiet --collect --unit=pod2 --property=NetworkNamespacePath=/run/netns/pod2 python3 -m http.server 8080
for _ in $(seq 50); do ip netns exec pod2 bash -c '</dev/tcp/127.0.0.1/8080' 2>/dev/null && break; sleep 0.2; done
"""
NO_PODS = """
systemctl stop pod2; ip netns del pod1; ip netns del pod2; nft delete table ip pods
cat /run/ip_forward > /proc/sys/net/ipv4/ip_forward
"""


def test_the_firewall_is_there_after_a_boot_and_reads_like_the_flow_table(site):
    for host in site.lab.hosts:
        listed = site.root(host.name, "systemctl is-enabled firewalld && firewall-cmd --list-all")
        assert "target: DROP" in listed
        assert 'rule family="ipv4" source ipset="admin" port port="22" protocol="tcp" accept' in listed


def test_no_rollback_is_left(site):
    for host in site.lab.hosts:
        site.root(host.name, "! test -e /run/onprem-dify/rollback/host_firewall")


def test_every_flow_passes_and_every_door_is_shut(site):
    run, wrong = site.probe()
    assert wrong == []
    assert run.status == "successful", run.failures


def test_the_probe_names_what_is_wrong_and_the_stage_repairs_it(site):
    db1, gateway1 = site.address("db1"), site.address("gateway1")
    rule = "rule family=ipv4 {} address={} port port=5432 protocol=tcp accept"
    site.root("db1", f"firewall-cmd --zone=site --add-rich-rule='{rule.format('source', gateway1)}'")
    site.root("gateway1", f"firewall-cmd --policy=site-egress --add-rich-rule='{rule.format('destination', db1)}'")
    cut = 'rule family="ipv4" destination ipset="mirror" port port="443" protocol="tcp" accept'
    site.root("worker1", f"firewall-cmd --policy=site-egress --remove-rich-rule={shlex.quote(cut)}")

    run, wrong = site.probe()
    assert run.status == "failed"
    assert len(wrong) == 2
    assert f"gateway1 -> db1 ({db1}) 5432/tcp: expected shut, found open" in wrong[0]
    assert "worker1 -> ops1" in wrong[1]
    assert "443/tcp: expected open, found shut" in wrong[1]

    repair = site.play("playbooks/segment.yml")
    assert {host for host, _task in repair.changed} == {"db1", "gateway1", "worker1"}
    assert site.play("playbooks/segment.yml").changed == set()


def test_rules_flushed_behind_the_back_of_firewalld_come_back(site):
    # firewalld 2 owns its table, so that a flush passes it by.
    site.root("db1", "nft flush ruleset")
    gone = not site.root("db1", "nft list tables").strip()
    assert {host for host, _task in site.play("playbooks/segment.yml", limit="db1").changed} == (
        {"db1"} if gone else set()
    )
    assert "filter_IN_site_allow" in site.root("db1", "nft list chain inet firewalld filter_IN_site")


def test_a_stranger_in_the_same_network_reaches_nothing(site, listening):
    ports = ["tcp/5432", "tcp/2379", "tcp/6443", "tcp/10250", "tcp/30443", "tcp/443", "udp/8472", "udp/123"]
    listening(*ports)
    stranger = str(ipaddress.ip_network(site.lab.network)[9 * 256 + 9])
    with site.stranger(stranger):
        assert site.reached_from(stranger, ["tcp/22", *ports]) == set()


def test_operators_reach_ssh_and_what_flows_give_them(site, listening):
    listening("tcp/5432", "tcp/6443", "tcp/9090", "udp/8472")
    reached = site.reached_from(
        str(site.lab.bridge_address), ["tcp/22", "tcp/5432", "tcp/6443", "tcp/9090", "udp/8472"]
    )
    everyone = {(host.name, "tcp/22") for host in site.lab.hosts}
    assert reached == everyone | {("cp1", "tcp/6443"), ("ops1", "tcp/9090")}


def test_ipv6_does_not_lead_around_the_flows(site):
    address = site.root("db1", "ip -6 -o address show dev eth0 scope link | awk '{print $4}' | cut -d/ -f1").strip()
    if address:
        assert "0 received" in site.root("db2", f"ping -6 -c 2 -W 1 {address}%eth0 || true")


def test_pods_use_the_flows_of_the_workers_and_nothing_else(site, listening):
    listening("tcp/5432", "tcp/6443", "tcp/8080", "tcp/9090", "tcp/10250", "udp/8472")
    db1, ops1, cp1 = site.address("db1"), site.address("ops1"), site.address("cp1")
    node, other = site.address("worker1"), site.address("worker2")
    site.root("worker1", PODS.replace("API", cp1))
    # The tables of Flannel and kube-proxy, whose place ours take, are not firewalld's to rebuild.
    site.root("worker1", "firewall-cmd --reload")
    try:
        found = site.from_pod(
            "worker1",
            [
                ("10.244.2.2", "tcp/8080"),
                ("10.96.0.1", "tcp/443"),
                (cp1, "tcp/6443"),
                (db1, "tcp/5432"),
                (node, "tcp/10250"),
                (other, "tcp/10250"),
                (db1, "tcp/22"),
                (db1, "tcp/8080"),
                (node, "tcp/22"),
                ("10.244.1.1", "tcp/22"),
                (other, "udp/8472"),
                (ops1, "tcp/9090"),
                ("1.1.1.1", "tcp/443"),
            ],
        )
    finally:
        site.root("worker1", NO_PODS)
    assert list(found.values()) == ["open"] * 6 + ["shut"] * 7, found
