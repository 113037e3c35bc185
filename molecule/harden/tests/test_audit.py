"""Logs are kept, are read by those whom they concern, and jobs are scheduled by those who may."""

from __future__ import annotations

import re
import uuid

DAYS = 180


def test_the_journal_is_on_disk(node):
    assert "/var/log/journal/" in node.root("journalctl --header").stdout


def test_the_journal_keeps_half_a_year(node):
    limit = node.root("systemd-analyze cat-config systemd/journald.conf | grep ^MaxRetentionSec=").stdout
    assert int(limit.partition("=")[2].strip().removesuffix("day")) >= DAYS


def test_a_message_reaches_the_system_log_and_only_administrators_read_it(node):
    word = uuid.uuid4().hex
    node.run(f"logger {word}")
    found = node.root(
        f"for i in 1 2 3 4 5; do grep -ls {word} /var/log/syslog /var/log/messages && break; sleep 1; done"
    )
    log = found.stdout.strip()
    assert log, "the message was lost"
    assert "Permission denied" in node.root(f"setpriv --reuid nobody --regid nogroup --clear-groups cat {log}").stderr


def test_logs_are_rotated_without_complaint_and_kept_half_a_year(node):
    dry_run = node.root("logrotate --debug /etc/logrotate.conf").stderr
    assert "error:" not in dry_run
    rotations = re.findall(r"rotating pattern: (.*?) (weekly|monthly) .*?\((\d+) rotations\)", dry_run, re.DOTALL)
    kept = {
        log: int(count) * {"weekly": 7, "monthly": 28}[how] for logs, how, count in rotations for log in logs.split()
    }
    for log in ("/var/log/auth.log", "/var/log/syslog", "/var/log/wtmp", "/var/log/btmp"):
        assert kept[log] >= DAYS, log


def test_the_audit_log_keeps_half_a_year(node):
    text = node.root("cat /etc/audit/auditd.conf").stdout
    settings = dict(line.split(" = ") for line in text.splitlines() if " = " in line)
    assert settings["max_log_file_action"] == "IGNORE"
    assert int(settings["num_logs"]) >= DAYS
    assert node.run("systemctl is-active onprem-dify-audit-rotate.timer").stdout.strip() == "active"


def test_the_audit_log_is_not_for_everybody(node):
    assert "Permission denied" in node.run("ls /var/log/audit").stderr
    assert node.run("cat /etc/audit/rules.d/60-onprem-dify.rules").returncode != 0


def test_only_named_users_schedule_jobs(node):
    refused = node.run("crontab -l")
    assert refused.returncode != 0
    assert "not allowed" in refused.stderr
    assert "not allowed" not in node.root("crontab -l").stderr
