"""Every type of check on a host in order, and on one that is not."""

from __future__ import annotations

import fnmatch
import json
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import controls_checks
from ansible_collections.onprem.dify.plugins.module_utils.controls_host import (
    NOT_FOUND,
    FileStat,
    Sources,
    host_tags,
)
from ansible_collections.onprem.dify.plugins.module_utils.controls_schema import ACCOUNT_RULES, CHECKS, check_faults


class FakeHost:
    """A host made of texts: files, the output of programs, and what `stat` says."""

    def __init__(
        self, files: dict[str, str] | None = None, programs: dict[str, Any] | None = None, stats: Any = None
    ) -> None:
        self.files = files or {}
        self.programs = programs or {}
        self.stats: dict[str, FileStat] = stats or {}
        self.calls: list[list[str]] = []

    def run(self, argv: list[str]) -> tuple[int, str, str]:
        self.calls.append(argv)
        for prefix, answer in self.programs.items():
            if " ".join(argv).startswith(prefix):
                return answer if isinstance(answer, tuple) else (0, answer, "")
        return NOT_FOUND, "", ""

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def paths(self, pattern: str) -> list[str]:
        return sorted(path for path in {*self.files, *self.stats} if fnmatch.fnmatchcase(path, pattern))

    def stat(self, path: str) -> FileStat:
        return self.stats[path]


SSHD = """\
port 22
permitrootlogin no
maxauthtries 4
ciphers aes256-gcm@openssh.com,aes128-ctr
allowgroups wheel
allowgroups ops
"""
MOUNTS = (
    "25 1 0:23 / /proc rw,nosuid,nodev,noexec - proc proc rw,hidepid=invisible\n"
    "26 1 0:24 / /tmp rw,nosuid,nodev - tmpfs tmpfs rw,size=1g\n"
    "27 1 0:24 / /with\\040space rw,noexec - tmpfs tmpfs rw\n"
)
UNITS = """\
Id=rsyslog.service
Names=rsyslog.service syslog.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled

Id=rpcbind.service
Names=rpcbind.service
LoadState=masked
ActiveState=inactive
UnitFileState=masked

Id=avahi-daemon.service
Names=avahi-daemon.service
LoadState=not-found
ActiveState=inactive
UnitFileState=

Id=ssh.service
Names=ssh.service
LoadState=loaded
ActiveState=failed
UnitFileState=disabled
"""
PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1::/usr/sbin:/usr/sbin/nologin
sync:x:4:65534::/bin:/bin/sync
ann:x:1000:1000::/home/ann:/bin/bash
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
"""
SHADOW = """\
root:*:19000:0:99999:7:::
daemon:*:19000:0:99999:7:::
ann:$y$j9T$x:19000:1:90:7:::
nobody:!:19000:0:99999:7:::
"""
GROUP = "root:x:0:\ndaemon:x:1:\nann:x:1000:\nnogroup:x:65534:\n"
ACCOUNTS = {
    "/etc/passwd": PASSWD,
    "/etc/shadow": SHADOW,
    "/etc/group": GROUP,
    "/etc/login.defs": "# UID_MIN 5\nUID_MIN  1000\n",
}
APPARMOR = {
    "/sys/module/apparmor/parameters/enabled": "Y\n",
    "/sys/kernel/security/apparmor/profiles": "/usr/sbin/chronyd (enforce)\nman_filter (complain)\n",
}
SELINUX = {
    "/sys/fs/selinux/enforce": "1",
    "/etc/selinux/config": "# SELINUX=disabled\nSELINUX=enforcing\nSELINUXTYPE=targeted\n",
}
CHRONY = {
    "chronyc -n -c sources": "^,*,10.0.0.1,2,6,377,20,0.1,0.1,0.1\n^,-,10.0.0.9,2,6,377,20,0.1,0.1,0.1\n",
    "chronyc -n -c tracking": "0A000001,10.0.0.1,3,1700000000.0,-0.000123,0.0001,0,0,0,0,0,0,64.2,Normal\n",
}
PACKAGES = (
    "installed\thaproxy\t\t2.6.12-1+deb12u3\thold\n"
    "installed\tkeepalived\t\t1:2.2.7-1+b2\tinstall\n"
    "installed\tredis-server\t\t5:7.0.14-1\thold\n"
)


def pinned(component: str, origin: str = "packages", **fields: Any) -> dict[str, Any]:
    return {"type": "pinned", "origin": origin, "pins": [{"name": component, "version": "3.6.14", **fields}]}


def archived(sha256: str, version: str = "3.6.14") -> dict[str, Any]:
    return pinned("etcd", "releases", archives={"amd64": {"sha256": sha256}}, version=version)


AUDIT = "-w /etc/passwd -p wa -k identity\n-a always,exit -F arch=b64 -S mount -F key=mounts\n"
LOGIN = "Welcome\ncontrol TMOUT readonly 600\ncontrol umask changeable 0027\ncontrol HISTSIZE changeable \n"
MODPROBE = """\
blacklist pcspkr
install cramfs /bin/false
install usb_storage /usr/bin/true
install sctp /sbin/modprobe --ignore-install sctp
"""
STATS = {
    "/etc/shadow": FileStat(0o640, "root", "shadow"),
    "/etc/ssh/a_key": FileStat(0o600, "root", "root"),
    "/etc/ssh/b_key": FileStat(0o644, "root", "root"),
    "/home/ann": FileStat(0o700, "ann", "ann", True),
}
HOST = {
    "files": {
        **ACCOUNTS,
        **APPARMOR,
        **SELINUX,
        "/proc/self/mountinfo": MOUNTS,
        "/proc/modules": "nf_tables 1 2 - Live 0x0\nsctp 1 2 - Live 0x0\n",
        "/proc/sys/net/ipv4/ip_forward": "0\n",
        "/proc/sys/net/ipv4/conf/eth0.7/rp_filter": "1\n",
        "/proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456\n",
        "/opt/onprem-dify/etcd/.onprem-dify-release.json": json.dumps({"version": "3.6.14", "sha256": "a" * 64}),
        "/etc/login.conf": "# minlen = 8\nminlen = 14\n",
    },
    "programs": {
        "sshd -T": SSHD,
        "systemctl show": UNITS,
        "dpkg-query --show": PACKAGES,
        "dpkg-query": "installed sudo\ndeinstall telnetd\ninstalled rsyslog\n",
        "modprobe --showconfig": MODPROBE,
        "auditctl -l": AUDIT,
        "su --login": LOGIN,
        "firewall-cmd --state": "running\n",
        "fails": (3, "", "broken\n"),
        **CHRONY,
    },
    "stats": STATS,
}

GOOD = [
    {"type": "sshd", "option": "PermitRootLogin", "value": False},
    {"type": "sshd", "option": "maxauthtries", "max": 4, "min": 1},
    {"type": "sshd", "option": "ciphers", "contains": ["aes128-ctr"], "excludes": ["*-cbc"]},
    {"type": "sshd", "option": "allowgroups", "only": ["wheel", "ops", "admins"]},
    {"type": "sshd", "option": "allowgroups", "value": "wheel ops"},
    {"type": "sysctl", "key": "net.ipv4.ip_forward", "value": 0},
    {"type": "sysctl", "key": "net.ipv4.conf.eth0/7.rp_filter", "min": 1, "max": 2},
    {"type": "sysctl", "key": "net.ipv4.tcp_rmem", "value": "4096 131072 6291456"},
    {"type": "file", "path": "/etc/shadow", "mode_max": "0640", "owner": "root", "group": ["root", "shadow"]},
    {"type": "file", "path": "/etc/hosts.equiv", "state": "absent"},
    {"type": "file", "path": "/etc/shadow", "state": "present"},
    {"type": "line", "path": "/etc/login.conf", "pattern": r"^minlen = 1[4-9]$"},
    {"type": "line", "path": "/etc/login.conf", "pattern": r"^minlen = [0-9]$", "state": "absent"},
    {"type": "line", "path": "/etc/none.d/*.conf", "pattern": "x", "state": "absent"},
    {"type": "line", "path": ["/etc/login.conf", "/etc/passwd"], "pattern": ["^minlen = 14$", "^root:"]},
    {"type": "mount", "path": "/tmp", "options": ["nosuid", "nodev"]},
    {"type": "mount", "path": "/proc", "options": ["hidepid=2"]},
    {"type": "mount", "path": "/with space", "options": "noexec"},
    {"type": "unit", "name": "rsyslog", "enabled": True, "active": True},
    {"type": "unit", "name": "syslog.service", "masked": False},
    {"type": "unit", "name": ["rpcbind.service", "avahi-daemon.service"], "masked": True, "active": False},
    {"type": "package", "name": "sudo", "state": "present"},
    {"type": "package", "name": ["telnetd", "rsh-server"], "state": "absent"},
    {"type": "module", "name": ["cramfs", "usb-storage"]},
    {"type": "login", "variable": "TMOUT", "value": 600, "readonly": True},
    {"type": "login", "variable": "umask", "value": "027", "user": "ann"},
    {"type": "audit_rule", "pattern": [r"/etc/passwd .*-k identity", r"-S mount"]},
    {"type": "account", "rule": "no_empty_password"},
    {"type": "account", "rule": "shadowed_passwords"},
    {"type": "account", "rule": "only_root_uid_0"},
    {"type": "account", "rule": "unique_ids"},
    {"type": "account", "rule": "system_nologin", "exempt": ["postgres"]},
    {"type": "account", "rule": "ageing", "max_days": 90, "min_days": 1, "warn_days": 7},
    {"type": "account", "rule": "homes", "mode_max": "0750"},
    {"type": "selinux", "mode": "enforcing", "policy": "targeted"},
    {"type": "apparmor", "complain_max": 1},
    {"type": "apparmor"},
    {"type": "time_source", "offset_max": 0.1},
    {"type": "time_source", "allowed": ["10.0.0.1", "10.0.0.9"]},
    pinned("haproxy", package_versions={"haproxy": "2.6.12", "haproxy-doc": "2.6.12"}),
    pinned("valkey", package_versions={"valkey-server": "8.1.1"}),
    pinned("pgvector"),
    pinned("patroni", "releases"),
    archived("a" * 64),
    {"type": "command", "argv": ["firewall-cmd", "--state"], "pattern": "^running$"},
    {"type": "command", "argv": ["fails"], "pattern": "broken", "rc": 3},
]

# A check that the host above fails, and words that the finding has to contain.
BAD: list[tuple[dict[str, Any], str]] = [
    ({"type": "sshd", "option": "permitrootlogin", "value": "yes"}, "no"),
    ({"type": "sshd", "option": "permittunnel", "value": "no"}, "not set"),
    ({"type": "sshd", "option": "maxauthtries", "max": 3}, "4"),
    ({"type": "sshd", "option": "ciphers", "excludes": ["*-ctr"]}, "aes128-ctr"),
    ({"type": "sshd", "option": "ciphers", "contains": ["chacha20"]}, "aes128-ctr"),
    ({"type": "sshd", "option": "allowgroups", "only": ["wheel"]}, "wheel ops"),
    ({"type": "sysctl", "key": "net.ipv4.ip_forward", "value": 1}, "0"),
    ({"type": "sysctl", "key": "net.ipv4.ip_forward", "min": 1}, "0"),
    ({"type": "sysctl", "key": "kernel.absent", "value": 1}, "no such setting"),
    ({"type": "file", "path": "/etc/shadow", "mode_max": "0600"}, "0640 root:shadow"),
    ({"type": "file", "path": "/etc/shadow", "group": "root"}, "root:shadow"),
    ({"type": "file", "path": "/etc/ssh/*_key", "mode_max": "0600"}, "/etc/ssh/b_key 0644"),
    ({"type": "file", "path": "/etc/shadow", "state": "absent"}, "/etc/shadow"),
    ({"type": "file", "path": "/etc/none", "mode_max": "0600"}, "does not exist"),
    ({"type": "line", "path": "/etc/login.conf", "pattern": "^maxlen"}, "no line like ^maxlen"),
    ({"type": "line", "path": "/etc/login.conf", "pattern": ["^minlen", "^maxlen"]}, "no line like ^maxlen"),
    ({"type": "line", "path": "/etc/login.conf", "pattern": ["^maxlen", "^minlen"], "state": "absent"}, "minlen = 14"),
    ({"type": "line", "path": "/etc/login.conf", "pattern": "^minlen", "state": "absent"}, "minlen = 14"),
    ({"type": "line", "path": "/etc/none.conf", "pattern": "x", "state": "absent"}, "does not exist"),
    ({"type": "line", "path": "/etc/none.d/*.conf", "pattern": "x"}, "no line like x"),
    ({"type": "mount", "path": "/tmp", "options": ["noexec"]}, "nodev,nosuid"),
    ({"type": "mount", "path": "/var/tmp", "options": ["noexec"]}, "not a mount point"),
    ({"type": "unit", "name": "ssh", "enabled": True}, "disabled"),
    ({"type": "unit", "name": "ssh", "active": True}, "failed"),
    ({"type": "unit", "name": "rsyslog", "masked": True}, "enabled, active"),
    ({"type": "unit", "name": "avahi-daemon", "enabled": True}, "no such unit"),
    ({"type": "unit", "name": "never-asked", "active": False}, "no such unit"),
    ({"type": "package", "name": "rsyslog", "state": "absent"}, "installed: rsyslog"),
    ({"type": "package", "name": ["sudo", "telnetd"], "state": "present"}, "not installed: telnetd"),
    ({"type": "module", "name": "dccp"}, "may be loaded"),
    ({"type": "module", "name": "sctp"}, "sctp is loaded"),
    ({"type": "login", "variable": "TMOUT", "value": 300}, "600"),
    ({"type": "login", "variable": "umask", "value": "0077"}, "0027"),
    ({"type": "login", "variable": "TMOUT", "value": 600, "readonly": False}, "read-only"),
    ({"type": "login", "variable": "HISTSIZE", "value": 5}, "not set"),
    ({"type": "login", "variable": "OTHER", "value": 5}, "did not answer"),
    ({"type": "audit_rule", "pattern": "/etc/sudoers"}, "none of 2 loaded rules"),
    ({"type": "audit_rule", "pattern": ["identity", "/etc/sudoers"]}, "/etc/sudoers"),
    ({"type": "selinux", "mode": "permissive"}, "enforcing now"),
    ({"type": "selinux", "mode": "enforcing", "policy": "mls"}, "policy targeted"),
    ({"type": "apparmor", "complain_max": 0}, "man_filter"),
    ({"type": "time_source", "offset_max": 0.0001}, "-0.000123 s off"),
    ({"type": "time_source", "allowed": ["10.0.0.1"]}, "not of the site: 10.0.0.9"),
    (pinned("keepalived", package_versions={"keepalived": "2.2.7"}), "keepalived 1:2.2.7-1+b2 is not held"),
    (pinned("redis", package_versions={"redis-server": "7.0.15"}), "redis-server 5:7.0.14-1 instead of 7.0.15"),
    (archived("b" * 64), f"etcd 3.6.14 from another origin, sha256 {'a' * 64}"),
    (archived("a" * 64, version="3.6.15"), "etcd 3.6.14 instead of 3.6.15"),
    ({"type": "command", "argv": ["firewall-cmd", "--state"], "pattern": "^stopped$"}, "running"),
    ({"type": "command", "argv": ["firewall-cmd", "--state"], "pattern": "run", "state": "absent"}, "running"),
    ({"type": "command", "argv": ["fails"], "pattern": "broken"}, "exit code 3"),
    ({"type": "command", "argv": ["not-there"], "pattern": ".*"}, "not installed"),
]


def outcome(check: dict[str, Any], host: FakeHost) -> controls_checks.Outcome:
    return controls_checks.outcome_of(check, Sources(host, [check]))  # type: ignore[arg-type]


@pytest.mark.parametrize("check", GOOD, ids=str)
def test_a_host_in_order_passes(check: dict[str, Any]) -> None:
    assert check_faults(check) == []
    result = outcome(check, FakeHost(**HOST))
    assert result.good, result
    assert result.expected
    assert result.found


@pytest.mark.parametrize(("check", "words"), BAD, ids=str)
def test_a_host_out_of_order_fails_and_says_what_was_found(check: dict[str, Any], words: str) -> None:
    assert check_faults(check) == []
    result = outcome(check, FakeHost(**HOST))
    assert not result.good, result
    assert words in result.found


# A component that is not there is not in another version.
PRESENT = [
    check
    for check in GOOD
    if check.get("state") != "absent" and check["type"] != "command" and check.get("origin") != "releases"
]


@pytest.mark.parametrize("check", PRESENT, ids=str)
def test_what_cannot_be_checked_has_failed(check: dict[str, Any]) -> None:
    result = outcome(check, FakeHost())
    assert not result.good, result
    assert result.found


def test_a_program_that_fails_is_named_with_its_own_words() -> None:
    host = FakeHost(programs={"sshd -T": (255, "", "/etc/ssh/sshd_config line 3: Bad configuration option\n")})
    result = outcome({"type": "sshd", "option": "permitrootlogin", "value": "no"}, host)
    assert not result.good
    assert "Bad configuration option" in result.found


def test_every_type_is_checked_described_and_tried_both_ways() -> None:
    assert set(controls_checks.CHECKS) == set(controls_checks.DESCRIPTIONS) == set(CHECKS)
    assert {check["type"] for check in GOOD} == set(CHECKS)
    assert {check["type"] for check, _words in BAD} | {"account"} == set(CHECKS)
    assert {rule for rule, _files, _words in BROKEN_ACCOUNTS} == set(ACCOUNT_RULES)


BROKEN_ACCOUNTS = [
    ("no_empty_password", {"/etc/shadow": SHADOW.replace("$y$j9T$x", "")}, "ann has an empty password"),
    ("no_empty_password", {"/etc/passwd": PASSWD.replace("ann:x", "ann:")}, "ann has an empty password"),
    ("shadowed_passwords", {"/etc/passwd": PASSWD.replace("ann:x", "ann:$1$abc")}, "ann has its password"),
    ("only_root_uid_0", {"/etc/passwd": PASSWD + "toor:x:0:0::/root:/bin/sh\n"}, "toor has uid 0"),
    ("unique_ids", {"/etc/passwd": PASSWD + "bob:x:1000:1000::/:/bin/sh\n"}, "uid 1000 2 times"),
    ("unique_ids", {"/etc/group": GROUP + "ann:x:1001:\n"}, "group name ann 2 times"),
    ("system_nologin", {"/etc/passwd": PASSWD + "www:x:33:33::/:/bin/sh\n"}, "www has the shell /bin/sh"),
    ("ageing", {"/etc/shadow": SHADOW.replace(":1:90:", ":1:99999:")}, "ann: max days 99999"),
    ("ageing", {"/etc/shadow": SHADOW.replace(":1:90:7:", ":::7:")}, "ann: max days not set"),
    ("homes", {"/etc/login.defs": "UID_MIN 0\n"}, "root has no home /root"),
]


@pytest.mark.parametrize(("rule", "files", "words"), BROKEN_ACCOUNTS, ids=str)
def test_an_account_that_breaks_a_rule_is_named(rule: str, files: dict[str, str], words: str) -> None:
    limits = {"ageing": {"max_days": 90, "min_days": 1, "warn_days": 7}}.get(rule, {})
    result = outcome({"type": "account", "rule": rule, **limits}, FakeHost({**ACCOUNTS, **files}, stats=STATS))
    assert not result.good
    assert words in result.found


def test_each_source_is_read_once() -> None:
    host = FakeHost(**HOST)
    sources = Sources(host, GOOD)  # type: ignore[arg-type]
    for check in GOOD * 2:
        controls_checks.outcome_of(check, sources)
    commands = [" ".join(argv[:4]) for argv in host.calls if argv[0] not in ("firewall-cmd", "fails", "su")]
    assert sorted(commands) == sorted(set(commands))
    assert len([argv for argv in host.calls if argv[0] == "su"]) == 2  # root and ann


def test_a_login_shell_answers_for_all_variables_at_once() -> None:
    checks = [{"type": "login", "variable": name, "value": 1} for name in ("TMOUT", "umask")]
    host = FakeHost(programs={"su --login": LOGIN})
    Sources(host, checks).login("root", "/bin/sh")  # type: ignore[arg-type]
    script = host.calls[0][5]
    assert "TMOUT" in script
    assert "$(umask)" in script


@pytest.mark.parametrize(
    ("release", "files", "container", "tags"),
    [
        ('ID=debian\nPRETTY_NAME="x"\n', {}, False, {"debian", "apparmor", "systemd"}),
        ("ID=debian\n", {"/sys/fs/selinux/enforce": "1"}, False, {"debian", "selinux", "systemd"}),
        ("ID=ubuntu\nID_LIKE=debian\n", {}, True, {"debian", "ubuntu", "container", "systemd"}),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', {}, False, {"redhat", "selinux", "systemd"}),
        ('ID="openEuler"\n', {}, False, {"redhat", "openeuler", "selinux", "systemd"}),
    ],
)
def test_a_host_knows_what_it_is(release: str, files: dict[str, str], container: bool, tags: set[str]) -> None:
    detect = {"systemd-detect-virt": (0 if container else 1, "", "")}
    host = FakeHost({"/etc/os-release": release, "/run/systemd/system": "", **files}, detect)
    assert set(host_tags(host)) == tags  # type: ignore[arg-type]


def test_packages_of_rpm_are_read_where_there_is_no_dpkg() -> None:
    host = FakeHost(programs={"rpm -qa": "sudo\nrsyslog\n"})
    assert outcome({"type": "package", "name": "sudo", "state": "present"}, host).good
