"""Audit rules: the file of a rule set, and whether the kernel has loaded it."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import audit_rules as core

RULES = ["-b 8192", "-w /etc/passwd -p wa -k identity", "-a always,exit -F arch=b64 -S mount -k mounts", "-e 2"]
PATH = "/etc/audit/rules.d/60-onprem-dify.rules"


def test_comments_and_empty_lines_are_left_out() -> None:
    assert core.clean("# note\n\n -w /a -p wa \n  # more\n-D\n") == ["-w /a -p wa", "-D"]


def test_on_x86_64_all_rules_stay() -> None:
    assert core.for_machine(RULES, "x86_64") == RULES


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ("-a always,exit -F arch=b32 -S mount -k mounts", []),
        (
            "-a always,exit -F arch=b64 -S creat,open,openat -k access",
            ["-a always,exit -F arch=b64 -S openat -k access"],
        ),
        ("-a always,exit -F arch=b64 -S rename,unlink -k deletions", []),
        ("-a always,exit -F arch=b64 -k all -S unlink", []),
        ("-w /etc/passwd -p wa -k identity", ["-w /etc/passwd -p wa -k identity"]),
    ],
)
def test_other_machines_lack_the_old_calls(rule: str, kept: list[str]) -> None:
    assert core.for_machine([rule], "aarch64") == kept


def test_the_digest_tells_rule_sets_apart() -> None:
    assert core.digest(RULES) == core.digest(list(RULES))
    assert core.digest(RULES) != core.digest(RULES[:-1])


def test_the_last_rule_carries_the_digest_and_the_lock_comes_after_it() -> None:
    lines = core.rules_text(RULES, PATH, "onprem-dify-1").splitlines()
    assert lines[0].startswith("#")
    assert lines[-2:] == [f"-w {PATH} -p wa -k onprem-dify-1", "-e 2"]


LOADED = f"""\
-w /etc/passwd -p wa -k identity
-a always,exit -F arch=b64 -S mount -F key=mounts
-w {PATH} -p wa -k onprem-dify-1
"""


@pytest.mark.parametrize(
    ("listed", "result"),
    [
        (LOADED, True),
        (LOADED.replace("-p wa -k onprem-dify-1", "-F key=onprem-dify-1"), True),
        (LOADED.replace("onprem-dify-1", "onprem-dify-12"), False),
        ("\n".join(LOADED.splitlines()[1:]), False),
        ("No rules\n", False),
        ("", False),
    ],
)
def test_the_kernel_says_what_it_has_loaded(listed: str, result: bool) -> None:
    assert core.loaded(core.Kernel(listed, "enabled 1\n"), "onprem-dify-1", RULES) is result


@pytest.mark.parametrize(("status", "result"), [("enabled 0\n", False), ("enabled 2\n", True), ("", False)])
def test_rules_are_nothing_while_audit_is_off(status: str, result: bool) -> None:
    assert core.loaded(core.Kernel(LOADED, status), "onprem-dify-1", RULES) is result


def test_immutable_rules_are_seen() -> None:
    assert core.Kernel("", "enabled 2\nfailure 1\n").locked
    assert not core.Kernel("", "enabled 1\nfailure 1\nbacklog_limit 2\n").locked
