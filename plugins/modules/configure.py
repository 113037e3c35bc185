#!/usr/bin/python

# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a service and the units that read them, as one state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: configure
short_description: Keep the files of a service as wished, and its units running with them
version_added: 0.1.0
description:
  - Writes all files of a service and brings its systemd units to the wished state, in one task.
  - A unit whose files are newer than its last start is restarted or reloaded, also if an earlier run was killed between
    writing the files and restarting the unit. No handler is needed.
  - All new contents are validated before the first file is replaced. If one is refused, nothing is changed.
  - C(systemctl daemon-reload) runs when systemd says that one of the units needs it, or when a unit file, a drop-in or
    C(/etc/fstab) changes.
  - In check mode, a package that is not installed yet is not an error. What would happen to its units is predicted.
author:
  - onprem.dify contributors (@onprem-dify)
options:
  files:
    description: The files, in the order in which they are replaced.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path of the file.
        type: path
        required: true
      content:
        description:
          - The whole content.
          - Without it only owner, group and mode are managed, and only if the file exists.
        type: str
      state:
        description: Whether the file is there.
        type: str
        choices: [present, absent]
        default: present
      owner:
        description: Name or number of the owner.
        type: str
        default: root
      group:
        description: Name or number of the group.
        type: str
        default: root
      mode:
        description: Four octal digits, in quotes.
        type: str
        default: "0644"
      validate:
        description:
          - A command that accepts or refuses the new content before it is used. C(%s) stands for its path.
          - There is no shell.
          - In check mode it is left out while its program is not installed.
        type: str
      follow:
        description: Write the target of a symbolic link. By default the link itself is replaced by a file.
        type: bool
        default: false
      no_diff:
        description: Keep the content out of diffs and results. Use it for secrets.
        type: bool
        default: false
  directories:
    description: Directories that the files need, parents first. Others must exist.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path of the directory.
        type: path
        required: true
      owner:
        description: Name or number of the owner.
        type: str
        default: root
      group:
        description: Name or number of the group.
        type: str
        default: root
      mode:
        description: Four octal digits, in quotes.
        type: str
        default: "0755"
      others:
        description:
          - What happens to files in it that are not among O(files).
          - C(empty) is for directories whose files come back with an update of their package unless they are there.
        type: str
        choices: [keep, remove, empty]
        default: keep
      once:
        description:
          - Owner, group and mode are those of its making.
          - For a directory that is handed over, and which those who use it make their own.
        type: bool
        default: false
  units:
    description: The units that read the files, in the order in which they are started.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Full name of the unit.
        type: str
        required: true
      enabled:
        description:
          - Whether the unit starts at boot.
          - Units without a switch of their own, such as static ones, are left alone.
        type: bool
      state:
        description:
          - Whether the unit runs. Left out, it is neither started nor stopped.
          - A unit that does not exist is stopped and masked enough.
        type: str
        choices: [started, stopped, masked]
      on_change:
        description:
          - What makes the unit take in its files.
          - A unit that cannot be reloaded is restarted.
          - A job (C(Type=oneshot)) runs again. Other units that do not run are left alone.
        type: str
        choices: [restart, reload, none]
        default: none
      command:
        description:
          - Used instead of C(systemctl restart) or C(systemctl reload).
          - systemd must see the unit start again, or for O(units[].on_change=reload) see it reload.
        type: list
        elements: str
        default: []
attributes:
  check_mode:
    description: Can run in check mode and predict what would change.
    support: full
  diff_mode:
    description: Returns the difference of every file, and the steps of the units.
    support: full
"""

EXAMPLES = r"""
- name: Configure chrony and keep it running with this configuration
  onprem.dify.configure:
    files:
      - path: /etc/chrony/chrony.conf
        content: "{{ lookup('ansible.builtin.template', 'chrony.conf.j2') }}"
        validate: chronyd -p -f %s
    units:
      - name: chrony.service
        enabled: true
        state: started
        on_change: restart

- name: Mask what nobody needs
  onprem.dify.configure:
    units:
      - {name: rpcbind.socket, state: masked}
      - {name: rpcbind.service, state: masked}
"""

RETURN = r"""
files:
  description: Paths of the files and directories that changed.
  returned: success
  type: list
  elements: str
  sample: [/etc/chrony/chrony.conf]
units:
  description: What was done to units, in order.
  returned: success
  type: list
  elements: dict
  sample: [{name: chrony.service, action: restart}]
  contains:
    name:
      description: Name of the unit, or C(systemd) itself.
      type: str
    action:
      description: Verb of C(systemctl).
      type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import configure, files, units

ATTRIBUTES = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}

SPEC = {
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **ATTRIBUTES,
            "mode": {"type": "str", "default": "0644"},
            "content": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "validate": {"type": "str"},
            "follow": {"type": "bool", "default": False},
            "no_diff": {"type": "bool", "default": False},
        },
    },
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **ATTRIBUTES,
            "mode": {"type": "str", "default": "0755"},
            "others": {"type": "str", "choices": ["keep", "remove", "empty"], "default": "keep"},
            "once": {"type": "bool", "default": False},
        },
    },
    "units": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "enabled": {"type": "bool"},
            "state": {"type": "str", "choices": ["started", "stopped", "masked"]},
            "on_change": {"type": "str", "choices": ["restart", "reload", "none"], "default": "none"},
            "command": {"type": "list", "elements": "str", "default": []},
        },
    },
}


def main() -> None:
    # The content of files does not belong into the host's log.
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True, no_log=True)
    # A new file is not readable by others before its mode is set.
    os.umask(0o077)
    module.run_command_environ_update = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    module.no_log_values.update(
        entry["content"] for entry in module.params["files"] if entry["no_diff"] and entry["content"]
    )
    try:
        outcome = configure.Configure(
            module,
            configure.parse_files(module.params["directories"], module.params["files"]),
            configure.parse_units(module.params["units"]),
        ).run()
    except (configure.ConfigureError, files.FileError, units.UnitError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file'}: {error.strerror}")
    module.exit_json(changed=outcome.changed, diff=outcome.diff, files=outcome.files, units=outcome.units)


if __name__ == "__main__":
    main()
