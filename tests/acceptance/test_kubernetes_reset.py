"""What the network of pods leaves in a kernel goes, rules and sets of others stay: tried in a network of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from lab.runs import PROJECT

# As kube-proxy, Flannel, kube-router and an administrator leave them, the latter in a table of the others too.
RULES = """\
table inet firewalld {
  chain mine { tcp dport 22 accept; }
}
table ip nat {
  chain KUBE-SEP-1 { ip protocol tcp counter; }
  chain KUBE-SERVICES { ip daddr 10.96.0.1 goto KUBE-SEP-1; }
  chain PREROUTING { type nat hook prerouting priority dstnat; policy accept; jump KUBE-SERVICES; }
}
table ip filter {
  chain FLANNEL-FWD { ip saddr 10.244.0.0/16 accept; }
  chain KUBE-ROUTER-FORWARD { jump FLANNEL-FWD; }
  chain FORWARD { type filter hook forward priority filter; policy accept; jump FLANNEL-FWD; jump KUBE-ROUTER-FORWARD; }
  chain INPUT { type filter hook input priority filter; policy accept; tcp dport 9999 drop; }
}
table ip6 mangle {
  chain KUBE-KUBELET-CANARY { }
}
table ip kube-proxy {
  chain services { }
}
"""
SETS = ("KUBE-DST-A", "kube-router-node-ips", "of-somebody")
SCRIPT = """
import json, subprocess, sys
from ansible_collections.onprem.dify.plugins.module_utils import kernel_sets, kubeadm_remains

def nft(*words, data=""):
    return subprocess.run(["nft", *words], input=data, text=True, capture_output=True, check=True).stdout

def make(name):
    # hash:ip of IPv4
    about = [(2, name.encode() + bytes(1)), (3, b"hash:ip" + bytes(1)), (4, bytes(1)), (5, bytes([2]))]
    about.append((7 | 0x8000, b""))
    list(kernel_sets._ask(2, 0x604, b"".join(kernel_sets.attribute(*one) for one in about)))

rules, sets = json.load(sys.stdin)
nft("--file", "-", data=rules)
for name in sets:
    make(name)
made = kernel_sets.names()
commands = kubeadm_remains.nft_commands(json.loads(nft("--json", "list", "ruleset"))["nftables"])
nft("--json", "--file", "-", data=json.dumps({"nftables": commands}))
for name in kubeadm_remains.sets(made):
    kernel_sets.destroy(name)
# What is gone already is no failure.
kernel_sets.destroy("KUBE-DST-A")
left = json.loads(nft("--json", "list", "ruleset"))["nftables"]
again = kubeadm_remains.nft_commands(left)
print(json.dumps({"made": made, "rules": left, "again": again, "sets": kernel_sets.names()}))
"""


@pytest.fixture(scope="module")
def left() -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / ".ansible/collections")}
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SCRIPT],
        input=json.dumps([RULES, SETS]),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_chains_and_tables_of_pods_are_gone_and_those_of_others_stay(left: dict[str, Any]) -> None:
    chains = {(one["chain"]["table"], one["chain"]["name"]) for one in left["rules"] if "chain" in one}
    assert chains == {("firewalld", "mine"), ("filter", "FORWARD"), ("filter", "INPUT")}
    assert {one["table"]["name"] for one in left["rules"] if "table" in one} == {"firewalld", "filter"}


def test_no_rule_of_others_is_lost_and_none_leads_to_pods(left: dict[str, Any]) -> None:
    rules = [one["rule"] for one in left["rules"] if "rule" in one]
    assert sorted(rule["chain"] for rule in rules) == ["INPUT", "mine"]


def test_a_second_reset_finds_nothing(left: dict[str, Any]) -> None:
    assert left["again"] == []


def test_sets_of_pods_are_gone_and_those_of_others_stay(left: dict[str, Any]) -> None:
    assert sorted(left["made"]) == sorted(SETS)
    assert left["sets"] == ["of-somebody"]
