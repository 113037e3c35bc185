"""The evidence shows what a host is like: in order, red where somebody changed it, waived with a reason."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[3]
SUBJECTS = sorted(file.stem for file in ROOT.glob("roles/verify/files/controls/*.yml") if file.stem != "firewall")
# The bridge of the lab answers no questions about the time.
LAB = [{"control": "time-sources", "reason": "The lab has no time server", "expires": "2999-12-31"}]


class Break(NamedTuple):
    """What somebody may do to a host, which control sees it, and how it is put right again."""

    control: str
    damage: str
    repair: str


DROP_IN = "/etc/ssh/sshd_config.d/00-a-break.conf"
CONTROL_FILE = "Package: telnet\\nVersion: 99\\nArchitecture: all\\nMaintainer: lab <lab@lab>\\nDescription: lab\\n"
PACKAGE = f"""
mkdir -p /root/telnet/DEBIAN
printf '{CONTROL_FILE}' > /root/telnet/DEBIAN/control
dpkg-deb --build /root/telnet /root/telnet.deb && dpkg --install /root/telnet.deb
"""
# One for each type of check that works on a node; audit rules, SELinux and AppArmor belong to the virtual machine.
BREAKS = {
    "sshd": Break("sshd-root-login", f"echo 'PermitRootLogin yes' > {DROP_IN}", f"rm {DROP_IN}"),
    "sysctl": Break(
        "kernel-accept-redirects",
        "sysctl -w net.ipv4.conf.all.accept_redirects=1",
        "sysctl -w net.ipv4.conf.all.accept_redirects=0",
    ),
    "file": Break("accounts-console-banner", "chmod 0666 /etc/issue", "chmod 0644 /etc/issue"),
    "line": Break(
        "accounts-password-length",
        "sed -i 's/^minlen = .*/#&/; $aminlen = 6' /etc/security/pwquality.conf",
        "sed -i '$d; s/^#\\(minlen\\)/\\1/' /etc/security/pwquality.conf",
    ),
    "mount": Break("kernel-mount-dev-shm", "mount -o remount,exec /dev/shm", "mount -o remount,noexec /dev/shm"),
    "unit": Break("time-service", "systemctl stop chronyd", "systemctl start chronyd"),
    "package": Break("packages-telnet", PACKAGE, "dpkg --purge telnet; rm -r /root/telnet*"),
    "module": Break(
        "kernel-module-cramfs",
        "mv /etc/modprobe.d/60-onprem-dify.conf /root/",
        "mv /root/60-onprem-dify.conf /etc/modprobe.d/",
    ),
    "login": Break(
        "accounts-timeout",
        "mv /etc/profile.d/onprem-dify.sh /root/",
        "mv /root/onprem-dify.sh /etc/profile.d/",
    ),
    "account": Break(
        "accounts-only-root",
        "useradd --non-unique --uid 0 --no-create-home toor",
        "sed -i /^toor:/d /etc/passwd /etc/shadow; groupdel toor",
    ),
    "command": Break(
        "packages-apt-sources",
        "echo 'deb http://192.0.2.1/debian stable main' > /etc/apt/sources.list.d/stranger.list",
        "rm /etc/apt/sources.list.d/stranger.list",
    ),
}


class Verified:
    """One run of verify.yml on one host."""

    def __init__(self, done: subprocess.CompletedProcess[str], folder: Path, host: str) -> None:
        self.rc, self.output, self.folder = done.returncode, done.stdout + done.stderr, folder
        self.evidence = folder / "latest" / f"{host}.json"
        records = json.loads(self.evidence.read_text(encoding="utf-8"))["controls"] if self.evidence.exists() else []
        self.controls = {record["id"]: record for record in records}

    def results(self, *wanted: str) -> set[str]:
        return {control for control, record in self.controls.items() if record["result"] in wanted}


@pytest.fixture
def verify(host, only_one, tmp_path: Path):
    """Run verify.yml on the first node, with variables."""

    def run(*options: str, **variables: Any) -> Verified:
        given = {"verify_report_dir": str(tmp_path), "verify_subjects": SUBJECTS, "verify_waivers": LAB, **variables}
        name = host.backend.host
        words = [
            "ansible-playbook",
            "-i",
            str(host.backend.ansible_runner.inventory_file),
            str(ROOT / "playbooks/verify.yml"),
        ]
        words += ["--limit", name, "--extra-vars", json.dumps(given), *options]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        return Verified(done, tmp_path, name)

    return run


@pytest.fixture
def broken(node, only_one):
    """The first node after somebody was careless, for as long as the test takes."""
    for kind, one in BREAKS.items():
        done = node.root(one.damage)
        assert done.returncode == 0, f"{kind}: {done.stderr}"
    yield
    for one in BREAKS.values():
        node.root(one.repair)


def test_a_hardened_host_has_no_failed_control_and_is_left_as_it_was(verify):
    found = verify()
    assert found.rc == 0, found.output
    assert found.results("fail") == set()
    assert len(found.results("pass")) > 100
    assert "changed=0" in found.output


def test_every_type_of_check_turns_red_and_green_again(verify, broken):
    found = verify()
    assert found.rc != 0
    assert {one.control for one in BREAKS.values()} - found.results("fail") == set()
    for one in BREAKS.values():
        assert f"{one.control}: expected" in found.output
        assert found.controls[one.control]["found"]
    page = (found.folder / "latest" / "summary.md").read_text(encoding="utf-8")
    assert all(one.control in page for one in BREAKS.values())


def test_a_repaired_host_is_green_again(verify):
    assert verify().results("fail") == set()


def test_a_waived_failure_is_in_the_evidence_until_the_waiver_expires(verify, node):
    one = BREAKS["file"]
    waiver = {"control": one.control, "reason": "Kiosk, decision 17", "expires": "2999-12-31"}
    node.root(one.damage)
    try:
        waived = verify(verify_waivers=[*LAB, waiver])
        expired = verify(verify_waivers=[*LAB, {**waiver, "expires": "2001-01-31"}])
    finally:
        node.root(one.repair)
    assert waived.rc == 0, waived.output
    assert waived.controls[one.control]["result"] == "waived"
    assert "0666" in waived.controls[one.control]["found"]
    assert expired.rc != 0
    assert "the waiver expired on 2001-01-31: Kiosk, decision 17" in expired.output


def test_a_waiver_without_a_reason_stops_the_run_before_any_check(verify):
    found = verify(verify_waivers=[{"control": "sshd-root-login", "reason": "", "expires": "2999-12-31"}])
    assert found.rc != 0
    assert "a reason is missing" in found.output
    assert not found.evidence.exists()


def test_failures_may_be_reported_only(verify, node):
    one = BREAKS["file"]
    node.root(one.damage)
    try:
        found = verify(verify_fail=False)
    finally:
        node.root(one.repair)
    assert found.rc == 0, found.output
    assert found.results("fail") == {one.control}


def test_a_dry_run_finds_the_same_and_writes_nothing(verify):
    found = verify("--check")
    assert found.rc == 0, found.output
    assert list(found.folder.iterdir()) == []
