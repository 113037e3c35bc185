#!/usr/bin/python

# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wanted and unwanted packages in one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: package_set
short_description: Install wanted and remove unwanted packages in one transaction
version_added: 0.1.0
description:
  - Asks the package database once, and does nothing else if all is as wished.
  - The index of the repositories is refreshed only before an installation, or when O(refresh) says that they changed.
  - In check mode it predicts without any index, also on a host that has no repository yet.
  - Recommended and weak dependencies are not installed.
  - A transaction that was interrupted is completed first. A transaction of somebody else is waited for.
  - What would remove a package that is neither in O(absent) nor in O(expendable) is refused.
  - Packages in O(versions) are brought to exactly this version and held there, by C(apt-mark hold) or
    C(dnf versionlock). If one of them must change later, its hold is opened for that transaction alone.
author:
  - onprem.dify contributors (@onprem-dify)
options:
  present:
    description: Packages to have. What an installed package provides counts.
    type: list
    elements: str
    default: []
  absent:
    description: Packages not to have.
    type: list
    elements: str
    default: []
  expendable:
    description: Packages that may go if they stand in the way, such as metapackages that depend on an unwanted one.
    type: list
    elements: str
    default: []
  versions:
    description:
      - Packages to have at exactly one version, and to hold there. They need not stand in O(present) as well.
      - The version is that of upstream, such as C(15.20), or the whole one of the package, such as C(15.20-0+deb12u1).
      - Of several packages of the same upstream version the newest is taken.
    type: dict
    default: {}
  drift:
    description:
      - What happens if a package in O(versions) is installed, or offered by the repositories, in other versions only.
      - C(refuse) changes nothing and names package, found and wanted.
      - C(accept) leaves the installed version and holds it, and takes the newest one where the wanted is not offered.
      - C(correct) brings the package to the wanted version, up or down.
    type: str
    choices: [refuse, accept, correct]
    default: refuse
  refresh:
    description: Whether the repositories changed, so that the index has to be refreshed in any case.
    type: bool
    default: false
  manager:
    description: The package manager of the host.
    type: str
    choices: [apt, dnf]
    required: true
attributes:
  check_mode:
    description: Can run in check mode and predict what would change.
    support: full
  diff_mode:
    description: Returns the packages that go and those that come.
    support: full
"""

EXAMPLES = r"""
- name: Install what the host needs and remove what it must not have
  onprem.dify.package_set:
    manager: "{{ ansible_facts['pkg_mgr'] }}"
    present: [chrony, firewalld]
    absent: [telnetd, xinetd]

- name: Install PostgreSQL at its pinned version and hold it
  onprem.dify.package_set:
    manager: "{{ ansible_facts['pkg_mgr'] }}"
    present: [postgresql-common]
    versions: {postgresql-15: "15.20", postgresql-client-15: "15.20"}
"""

RETURN = r"""
installed:
  description: Packages that were missing.
  returned: success
  type: list
  elements: str
corrected:
  description: Packages that were there in another version than in O(versions).
  returned: success
  type: list
  elements: str
held:
  description: Packages that were not held yet.
  returned: success
  type: list
  elements: str
removed:
  description: Packages that were there and unwanted.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import package_set

SPEC = {
    "present": {"type": "list", "elements": "str", "default": []},
    "absent": {"type": "list", "elements": "str", "default": []},
    "expendable": {"type": "list", "elements": "str", "default": []},
    "versions": {"type": "dict", "default": {}},
    "drift": {"type": "str", "choices": ["refuse", "accept", "correct"], "default": "refuse"},
    "refresh": {"type": "bool", "default": False},
    "manager": {"type": "str", "choices": ["apt", "dnf"], "required": True},
}

ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    # Restarting services is not the business of a package transaction here.
    "NEEDRESTART_SUSPEND": "1",
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    module.run_command_environ_update = ENVIRONMENT
    manager = {"apt": package_set.Apt, "dnf": package_set.Dnf}[module.params["manager"]](module.run_command)
    wish = package_set.Wish(
        present=module.params["present"],
        absent=module.params["absent"],
        expendable=module.params["expendable"],
        versions={name: str(version) for name, version in module.params["versions"].items()},
        drift=module.params["drift"],
    )
    try:
        changed, done, diff = package_set.bring(
            manager, wish, refresh=module.params["refresh"], check_mode=module.check_mode
        )
    except package_set.PackageError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed,
        installed=done.install,
        corrected=done.correct,
        removed=done.remove,
        held=done.hold,
        diff=diff,
    )


if __name__ == "__main__":
    main()
