# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of a PAM policy: password quality, history, and the lock after failures. No Ansible, no I/O."""

from __future__ import annotations

import re
from typing import Dict, Iterable, List, NamedTuple, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.file_edits import LineWish, set_line

COMMON = ("auth", "account", "password", "session", "session-noninteractive")
MODULES = ("pam_faillock.so", "pam_pwhistory.so", "pam_pwquality.so")
FEATURES = ("with-faillock", "with-pwhistory", "without-nullok")


class Quality(NamedTuple):
    """What a password has to look like."""

    minimum_length: int
    different: int
    maximum_repeat: int
    maximum_sequence: int
    dictionary: bool
    history: int


class Lockout(NamedTuple):
    """When failed logins lock an account, and for how long."""

    failures: int
    window: int
    seconds: int
    root_seconds: int


def faults(quality: Quality, lockout: Lockout) -> List[str]:
    """Return the values that are weaker than the policy may be."""
    found = []
    if quality.minimum_length < 8:
        found.append(f"accounts_password_min_length: found {quality.minimum_length}, wanted at least 8")
    if quality.history < 1:
        found.append(f"accounts_password_history: found {quality.history}, wanted at least 1")
    if not 1 <= lockout.failures <= 5:
        found.append(f"accounts_lockout_failures: found {lockout.failures}, wanted 1 to 5")
    if lockout.seconds < 60:
        found.append(f"accounts_lockout_seconds: found {lockout.seconds}, wanted at least 60")
    return found


def pwquality(header: str, quality: Quality) -> str:
    """Return pwquality.conf. A credit of -1 asks for at least one character of that class."""
    return _text(
        header,
        [
            f"minlen = {quality.minimum_length}",
            "ucredit = -1",
            "lcredit = -1",
            "dcredit = -1",
            "ocredit = -1",
            f"difok = {quality.different}",
            f"maxrepeat = {quality.maximum_repeat}",
            f"maxsequence = {quality.maximum_sequence}",
            "usercheck = 1",
            f"dictcheck = {int(quality.dictionary)}",
            "enforcing = 1",
            "enforce_for_root",
        ],
    )


def faillock(header: str, lockout: Lockout) -> str:
    """Return faillock.conf. Root is locked for a short time only: its console is the last way in."""
    return _text(
        header,
        [
            f"deny = {lockout.failures}",
            f"fail_interval = {lockout.window}",
            f"unlock_time = {lockout.seconds}",
            "even_deny_root",
            f"root_unlock_time = {lockout.root_seconds}",
            "audit",
            "silent",
        ],
    )


def pwhistory(header: str, quality: Quality) -> str:
    """Return pwhistory.conf, which older systems do not read."""
    return _text(header, [f"remember = {quality.history}", "enforce_for_root"])


def profiles(quality: Quality) -> Dict[str, str]:
    """Return the profiles of pam-auth-update, by file name. pam_unix has priority 256, pam_pwquality 1024."""
    return {
        "onprem-dify-faillock-before": _profile(
            "Refuse accounts that are locked after failed logins",
            1024,
            [
                "Auth-Type: Primary",
                "Auth:",
                "\trequisite\tpam_faillock.so preauth",
                "Account-Type: Primary",
                "Account:",
                "\trequired\tpam_faillock.so",
            ],
        ),
        "onprem-dify-faillock-after": _profile(
            "Count failed logins",
            0,
            ["Auth-Type: Primary", "Auth:", "\t[default=die]\tpam_faillock.so authfail"],
        ),
        "onprem-dify-pwhistory": _profile(
            "Refuse passwords that were used before",
            1000,
            [
                "Password-Type: Primary",
                "Password:",
                f"\trequisite\tpam_pwhistory.so remember={quality.history} enforce_for_root use_authtok try_first_pass",
                "Password-Initial:",
                f"\trequisite\tpam_pwhistory.so remember={quality.history} enforce_for_root",
            ],
        ),
    }


def without_nullok(common_auth: str) -> str:
    """Return common-auth in which an empty password opens nothing; pam-auth-update keeps such an edit."""
    return re.sub(r"(?m)^(auth\s.*\bpam_unix\.so\b.*?)[ \t]+nullok\b", r"\1", common_auth)


def missing(common: Dict[str, str]) -> List[str]:
    """Return what is not in the stacks although the profiles were enabled: they are not pam-auth-update's any more."""
    wanted = (
        ("auth", r"^auth\s+requisite\s+pam_faillock\.so\s+preauth"),
        ("auth", r"^auth\s+\[default=die\]\s+pam_faillock\.so\s+authfail"),
        ("account", r"^account\s+required\s+pam_faillock\.so"),
        ("password", r"^password\s+requisite\s+pam_pwhistory\.so"),
    )
    return [
        f"/etc/pam.d/common-{kind}" for kind, pattern in wanted if not re.search(pattern, common[kind], re.MULTILINE)
    ]


def restrict_su(su: str, group: str) -> str:
    """Return /etc/pam.d/su in which only members of a group, and root, may become another user."""
    line = f"auth       required   pam_wheel.so use_uid group={group}"
    return set_line(
        su, LineWish(r"^\s*#?\s*auth\s+(required|requisite)\s+pam_wheel\.so", line, r"^\s*auth\s.*pam_rootok\.so")
    )


def parse_authselect(output: str) -> Tuple[str, List[str]]:
    """Read `authselect current --raw`: the profile and its features; empty where authselect is not in charge."""
    words = output.split()
    return (words[0], words[1:]) if words else ("", [])


def wanted_features(current: Iterable[str], known: Iterable[str]) -> List[str]:
    """Return the features of authselect to select: those that are, and those of the policy that the profile knows."""
    kept = list(current)
    available = set(known)
    return kept + [name for name in FEATURES if name in available and name not in kept]


def stacks(quality: Quality) -> Dict[str, str]:
    """Return system-auth and password-auth, for systems of the RedHat family without authselect."""
    history = f"remember={quality.history} enforce_for_root use_authtok"
    lines = [
        "#%PAM-1.0",
        "# Ansible managed",
        "auth        required      pam_env.so",
        "auth        required      pam_faillock.so preauth",
        "auth        sufficient    pam_unix.so try_first_pass",
        "auth        [default=die] pam_faillock.so authfail",
        "auth        required      pam_deny.so",
        "",
        "account     required      pam_faillock.so",
        "account     required      pam_unix.so",
        "account     sufficient    pam_localuser.so",
        "account     sufficient    pam_succeed_if.so uid < 1000 quiet",
        "account     required      pam_permit.so",
        "",
        "password    requisite     pam_pwquality.so try_first_pass local_users_only retry=3",
        f"password    requisite     pam_pwhistory.so {history}",
        "password    sufficient    pam_unix.so sha512 shadow try_first_pass use_authtok",
        "password    required      pam_deny.so",
        "",
        "session     optional      pam_keyinit.so revoke",
        "session     required      pam_limits.so",
        "-session    optional      pam_systemd.so",
        "session     [success=1 default=ignore] pam_succeed_if.so service in crond quiet use_uid",
        "session     required      pam_unix.so",
        "",
    ]
    text = "\n".join(lines)
    return {"/etc/pam.d/system-auth": text, "/etc/pam.d/password-auth": text}


def _profile(name: str, priority: int, lines: List[str]) -> str:
    return "\n".join([f"Name: {name}", "Default: yes", f"Priority: {priority}", *lines, ""])


def _text(header: str, lines: List[str]) -> str:
    return "\n".join([*header.rstrip().splitlines(), "", *lines, ""]).lstrip("\n")
