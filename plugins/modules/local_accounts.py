#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module local_accounts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: local_accounts
short_description: Keep all local accounts of a host in order
version_added: 0.1.0
description:
  - Reads all accounts once, and changes what is against the policy. Empty passwords are locked, passwords grow old,
    accounts of the system have neither a password nor a shell, homes are closed to others.
  - The account that Ansible came as keeps its shell and does not age, nor does root. An expired password would stop
    logins with a key as well.
  - Accounts besides root with uid 0, names that stand twice and passwords outside of /etc/shadow are refused.
author:
  - onprem.dify contributors (@onprem-dify)
options:
  maximum_days:
    description: Age at which a password has to be changed.
    type: int
    default: 90
  minimum_days:
    description: Age before which a password cannot be changed again.
    type: int
    default: 1
  warning_days:
    description: Days of warning before a password is too old.
    type: int
    default: 7
  inactive_days:
    description: Days after which a password that is too old closes the account.
    type: int
    default: 30
  ageing_exempt:
    description: Further accounts whose passwords do not age.
    type: list
    elements: str
    default: []
  shell_exempt:
    description: Accounts of the system that keep their shell.
    type: list
    elements: str
    default: []
  lock_root:
    description: Whether root's password is locked.
    type: bool
    default: false
  home_mode:
    description: What a home may allow at most.
    type: str
    default: '0750'
attributes:
  check_mode:
    description: Predicts all changes.
    support: full
  diff_mode:
    description: Returns what is changed of each account.
    support: full
"""

EXAMPLES = r"""
- name: Keep the accounts in order
  onprem.dify.local_accounts:
    maximum_days: 90
"""

RETURN = r"""
accounts:
  description: The accounts that were changed.
  returned: success
  type: list
  elements: str
"""

import platform
import stat
import time
from pathlib import Path
from typing import Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import accounts
from ansible_collections.onprem.dify.plugins.module_utils.local_users import User, parse_passwd, parse_shadow
from ansible_collections.onprem.dify.plugins.module_utils.login_session import find_session


def read(path: str) -> str:
    """Return the text of a file, nothing if there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def read_homes(users: List[User], first_uid: int) -> Dict[str, accounts.Home]:
    """Return the homes of the people; those of the system are places like / and /usr/sbin."""
    homes = {}
    for user in users:
        home = Path(user.home)
        if user.uid >= first_uid and not home.is_symlink() and home.is_dir():
            info = home.stat()
            homes[user.home] = accounts.Home(info.st_uid, stat.S_IMODE(info.st_mode))
    return homes


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "maximum_days": {"type": "int", "default": 90},
            "minimum_days": {"type": "int", "default": 1},
            "warning_days": {"type": "int", "default": 7},
            "inactive_days": {"type": "int", "default": 30},
            "ageing_exempt": {"type": "list", "elements": "str", "default": []},
            "shell_exempt": {"type": "list", "elements": "str", "default": []},
            "lock_root": {"type": "bool", "default": False},
            "home_mode": {"type": "str", "default": "0750"},
        },
        supports_check_mode=True,
    )
    params = module.params
    users, shadow = parse_passwd(read("/etc/passwd")), parse_shadow(read("/etc/shadow"))
    host = platform.node()
    faults = accounts.faults(users)
    if faults:
        module.fail_json(msg=f"host {host}: {'; '.join(faults)}")
    for doubt in accounts.doubtful(users):
        module.warn(f"host {host}: {doubt}")

    session = find_session()
    connecting = session.user if session else ""
    policy = accounts.Policy(
        maximum=params["maximum_days"],
        minimum=params["minimum_days"],
        warning=params["warning_days"],
        inactive=params["inactive_days"],
        ageing_exempt=frozenset(params["ageing_exempt"]),
        shell_exempt=frozenset(params["shell_exempt"]),
        lock_root=params["lock_root"],
        home_mode=int(params["home_mode"], 8),
        nologin="/usr/sbin/nologin" if Path("/usr/sbin/nologin").exists() else "/sbin/nologin",
        first_uid=accounts.first_uid(read("/etc/login.defs")),
    )
    homes = read_homes(users, policy.first_uid)
    changes = accounts.plan(users, shadow, homes, policy, connecting, int(time.time() // 86400))
    if not module.check_mode:
        for change in changes:
            if change.command:
                module.run_command(list(change.command), check_rc=True)
            else:
                Path(next(user.home for user in users if user.name == change.user)).chmod(int(change.after, 8))
    module.exit_json(
        changed=bool(changes),
        accounts=sorted({change.user for change in changes}),
        diff={
            "before_header": "accounts",
            "after_header": "accounts",
            "before": "".join(f"{change.user}: {change.what}: {change.before}\n" for change in changes),
            "after": "".join(f"{change.user}: {change.what}: {change.after}\n" for change in changes),
        },
    )


if __name__ == "__main__":
    main()
