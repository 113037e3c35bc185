#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module sshd_config."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sshd_config
short_description: Configure sshd without locking Ansible out
version_added: 0.1.0
description:
  - Writes one drop-in of sshd that wins over all other files, and reloads sshd.
  - Before anything is changed, sshd checks the whole new configuration, and the login through which Ansible came is
    tried against it. If another file overrides a directive, or the user could not log in afterwards, the module fails
    and changes nothing.
  - After the reload the old configuration comes back by itself, unless a fresh login confirms the new one. The action
    plugin of the same name makes that login.
author:
  - onprem.dify contributors (@onprem-dify)
options:
  path:
    description: The drop-in. sshd takes the first value it finds, so its name sorts before all others.
    type: path
    default: /etc/ssh/sshd_config.d/00-onprem-dify.conf
  main:
    description: The main file. An Include of the drop-in's directory becomes its first line if it is not.
    type: path
    default: /etc/ssh/sshd_config
  header:
    description: Comment at the top of the drop-in.
    type: str
    default: ''
  options:
    description: Directives and their values. A list is several words, an empty list or string leaves the directive out.
    type: dict
    required: true
  known_only:
    description: Names of directives that are left out where this sshd does not know them.
    type: list
    elements: str
    default: []
  algorithms:
    description:
      - Directives that take a list of algorithms, best first. What this sshd does not know is left out.
      - C(HostKeyAlgorithms) loses the algorithms for which the host has no key.
    type: dict
    default: {}
  host_keys:
    description: Types of the host keys to offer. The first is made if it is missing, the others are used if they exist.
    type: list
    elements: str
    default: [ed25519, rsa]
  rsa_min_bits:
    description: An RSA host key that is shorter is not offered.
    type: int
    default: 3072
  banner:
    description: Text to show before the login, written to O(banner_path). Empty for none.
    type: str
    default: ''
  banner_path:
    description: File that holds O(banner).
    type: path
    default: /etc/issue.net
  service:
    description: The unit of sshd.
    type: str
    default: ssh.service
  socket:
    description: The unit that listens for sshd where the system uses socket activation.
    type: str
    default: ssh.socket
  state:
    description:
      - V(applied) brings the configuration about and arms the rollback if something changed.
      - V(confirmed) keeps it. Only a login that was made after the change can do that.
    type: str
    choices: [applied, confirmed]
    default: applied
  rollback_seconds:
    description: Time after which the old configuration comes back.
    type: int
    default: 60
attributes:
  check_mode:
    description: Predicts all changes and makes all checks.
    support: full
  diff_mode:
    description: Returns the text of each file before and after.
    support: full
"""

EXAMPLES = r"""
- name: Configure sshd
  onprem.dify.sshd_config:
    options:
      PermitRootLogin: "no"
      PasswordAuthentication: false
      AllowGroups: [sudo]
    algorithms:
      Ciphers: [chacha20-poly1305@openssh.com, aes256-gcm@openssh.com]
"""

RETURN = r"""
rollback_armed:
  description: Whether the old configuration comes back unless it is confirmed.
  returned: always
  type: bool
exceptions:
  description: Match blocks in other files that change one of the directives for some logins.
  returned: when O(state=applied)
  type: list
  elements: str
  sample: ["/etc/ssh/sshd_config.d/50-sftp.conf:4: Match Group sftp: passwordauthentication yes"]
"""

import platform

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils.files import FileError
from ansible_collections.onprem.dify.plugins.module_utils.rollback import Rollback, RollbackError
from ansible_collections.onprem.dify.plugins.module_utils.sshd_host import (
    NAME,
    Daemon,
    RefusedError,
    apply,
    confirm,
    find_program,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/ssh/sshd_config.d/00-onprem-dify.conf"},
            "main": {"type": "path", "default": "/etc/ssh/sshd_config"},
            "header": {"type": "str", "default": ""},
            "options": {"type": "dict", "required": True},
            "known_only": {"type": "list", "elements": "str", "default": []},
            "algorithms": {"type": "dict", "default": {}},
            "host_keys": {"type": "list", "elements": "str", "default": ["ed25519", "rsa"], "no_log": False},
            "rsa_min_bits": {"type": "int", "default": 3072},
            "banner": {"type": "str", "default": ""},
            "banner_path": {"type": "path", "default": "/etc/issue.net"},
            "service": {"type": "str", "default": "ssh.service"},
            "socket": {"type": "str", "default": "ssh.socket"},
            "state": {"type": "str", "choices": ["applied", "confirmed"], "default": "applied"},
            "rollback_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    if not find_program(module):
        if module.check_mode:
            module.exit_json(changed=True, rollback_armed=False, exceptions=[])
        module.fail_json(msg=f"host {platform.node()}: sshd is not installed", rollback_armed=False)
    daemon = Daemon(module)
    rollback = Rollback(daemon.run, NAME)
    try:
        if module.params["state"] == "confirmed":
            result = confirm(daemon, rollback)
        else:
            # A run that was killed between the change and the fresh login has proved nothing.
            if rollback.pending() and not module.check_mode:
                rollback.run_now()
                daemon = Daemon(module)
            result = apply(daemon, rollback)
    except (RefusedError, RollbackError, FileError) as error:
        module.fail_json(msg=f"host {platform.node()}: {error}", rollback_armed=rollback.pending())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
