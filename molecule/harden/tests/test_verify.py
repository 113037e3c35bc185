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
    """What somebody may do to a host, how it is put right again, and which controls see it."""

    type: str
    damage: str
    repair: str
    controls: tuple[str, ...]


DROP_IN = "/etc/ssh/sshd_config.d/00-a-break.conf"
OPTIONS = (
    "PermitRootLogin yes\\nKbdInteractiveAuthentication yes\\nPermitEmptyPasswords yes\\nHostbasedAuthentication yes\\n"
    "IgnoreRhosts no\\nStrictModes no\\nPermitUserEnvironment yes\\nClientAliveCountMax 9\\nMaxSessions 20\\n"
    "PermitTunnel yes\\nLogLevel QUIET\\nCiphers aes256-ctr,aes128-cbc\\n"
)
CONTROL_FILE = "Package: telnet\\nVersion: 99\\nArchitecture: all\\nMaintainer: lab <lab@lab>\\nDescription: lab\\n"
PACKAGE = f"""
mkdir -p /root/telnet/DEBIAN
printf '{CONTROL_FILE}' > /root/telnet/DEBIAN/control
dpkg-deb --build /root/telnet /root/telnet.deb && dpkg --install /root/telnet.deb
"""
NET = "sysctl net.ipv4.conf.all.{accept_redirects,accept_source_route}=%d net.ipv4.tcp_syncookies=%d"
STRANGER = "/etc/apt/sources.list.d/stranger.list"
# Every type of check that works on a node; audit rules, SELinux and AppArmor belong to the virtual machine.
BREAKS = (
    # The running sshd keeps its configuration until it is reloaded, so the way in stays as it is.
    Break(
        "sshd",
        f"printf '{OPTIONS}' > {DROP_IN}",
        f"rm {DROP_IN}",
        (
            "sshd-root-login",
            "sshd-interactive-login",
            "sshd-empty-passwords",
            "sshd-hostbased",
            "sshd-rhosts",
            "sshd-strict-modes",
            "sshd-user-environment",
            "sshd-alive-count",
            "sshd-sessions",
            "sshd-tunnel",
            "sshd-log-level",
            "sshd-ciphers",
        ),
    ),
    Break(
        "sysctl",
        NET % (1, 0),
        NET % (0, 1),
        ("kernel-accept-redirects", "kernel-source-route", "kernel-syncookies"),
    ),
    Break("file", "chmod 0666 /etc/issue", "chmod 0644 /etc/issue", ("accounts-console-banner",)),
    Break("file", "touch /etc/cron.deny", "rm /etc/cron.deny", ("audit-cron-deny",)),
    Break(
        "line",
        "sed -i 's/^minlen = .*/#&/; $aminlen = 6' /etc/security/pwquality.conf",
        "sed -i '$d; s/^#\\(minlen\\)/\\1/' /etc/security/pwquality.conf",
        ("accounts-password-length",),
    ),
    Break(
        "line",
        """echo 'module(load="imudp")' >> /etc/rsyslog.conf""",
        "sed -i '$d' /etc/rsyslog.conf",
        ("audit-rsyslog-receiver",),
    ),
    Break("mount", "mount -o remount,exec /dev/shm", "mount -o remount,noexec /dev/shm", ("kernel-mount-dev-shm",)),
    Break("unit", "systemctl stop chronyd", "systemctl start chronyd", ("time-service", "time-user")),
    Break("package", PACKAGE, "dpkg --purge telnet; rm -r /root/telnet*", ("packages-telnet",)),
    Break(
        "module",
        "mv /etc/modprobe.d/60-onprem-dify.conf /root/",
        "mv /root/60-onprem-dify.conf /etc/modprobe.d/",
        ("kernel-module-cramfs", "kernel-module-usb-storage"),
    ),
    Break(
        "login",
        "mv /etc/profile.d/onprem-dify.sh /root/",
        "mv /root/onprem-dify.sh /etc/profile.d/",
        ("accounts-timeout", "accounts-timeout-bash"),
    ),
    Break(
        "account",
        "useradd --non-unique --uid 0 --no-create-home toor && passwd --delete toor",
        "sed -i /^toor:/d /etc/passwd /etc/shadow; groupdel toor",
        ("accounts-only-root", "accounts-unique-ids", "accounts-no-empty-password"),
    ),
    Break("account", "chsh --shell /bin/sh games", "chsh --shell /usr/sbin/nologin games", ("accounts-system-shell",)),
    Break(
        "command",
        f"echo 'deb [trusted=yes] http://192.0.2.1/debian stable main' > {STRANGER}",
        f"rm {STRANGER}",
        ("packages-apt-sources", "packages-apt-exceptions"),
    ),
    Break(
        "command",
        """echo 'APT::Get::AllowUnauthenticated "true";' > /etc/apt/apt.conf.d/99-break""",
        "rm /etc/apt/apt.conf.d/99-break",
        ("packages-apt-signatures",),
    ),
    Break(
        "command",
        "touch /var/log/messages && chmod 0666 /var/log/messages",
        "rm /var/log/messages",
        ("audit-log-files",),
    ),
)
BROKEN = {control for one in BREAKS for control in one.controls}
BANNER = next(one for one in BREAKS if one.controls == ("accounts-console-banner",))


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
            str(Path(host.backend.ansible_runner.inventory_file).resolve()),
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
    done = {one: node.root(one.damage) for one in BREAKS}
    yield
    repaired = [node.root(one.repair).returncode for one in BREAKS]
    assert [run.stderr for run in done.values() if run.returncode] == []
    assert set(repaired) == {0}


def test_a_hardened_host_has_no_failed_control_and_is_left_as_it_was(verify):
    found = verify()
    assert found.rc == 0, found.output
    assert found.results("fail") == set()
    assert len(found.results("pass")) > 100
    assert "changed=0" in found.output


def test_every_type_of_check_turns_red_and_green_again(verify, broken):
    found = verify()
    assert found.rc != 0
    assert sorted(BROKEN - found.results("fail")) == []
    page = (found.folder / "latest" / "summary.md").read_text(encoding="utf-8")
    for control in BROKEN:
        assert f"{control}: expected" in found.output
        assert control in page
        assert found.controls[control]["found"]


def test_a_repaired_host_is_green_again(verify):
    assert verify().results("fail") == set()


def test_a_waived_failure_is_in_the_evidence_until_the_waiver_expires(verify, node):
    [control] = BANNER.controls
    waiver = {"control": control, "reason": "Kiosk, decision 17", "expires": "2999-12-31"}
    node.root(BANNER.damage)
    try:
        waived = verify(verify_waivers=[*LAB, waiver])
        expired = verify(verify_waivers=[*LAB, {**waiver, "expires": "2001-01-31"}])
    finally:
        node.root(BANNER.repair)
    assert waived.rc == 0, waived.output
    assert waived.controls[control]["result"] == "waived"
    assert "0666" in waived.controls[control]["found"]
    assert expired.rc != 0
    assert "the waiver expired on 2001-01-31: Kiosk, decision 17" in expired.output


def test_a_waiver_without_a_reason_stops_the_run_before_any_check(verify):
    found = verify(verify_waivers=[{"control": "sshd-root-login", "reason": "", "expires": "2999-12-31"}])
    assert found.rc != 0
    assert "a reason is missing" in found.output
    assert not found.evidence.exists()


def test_failures_may_be_reported_only(verify, node):
    node.root(BANNER.damage)
    try:
        found = verify(verify_fail=False)
    finally:
        node.root(BANNER.repair)
    assert found.rc == 0, found.output
    assert found.results("fail") == set(BANNER.controls)


def test_a_dry_run_finds_the_same_and_writes_nothing(verify):
    found = verify("--check")
    assert found.rc == 0, found.output
    assert list(found.folder.iterdir()) == []
