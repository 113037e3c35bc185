#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the evidence of checked controls."""

from __future__ import annotations

DOCUMENTATION = r"""
module: control_report
short_description: Write the evidence of checked controls
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Writes one JSON file for each checked host, and a summary of the site as JSON and as a Markdown page.
  - Runs once, on the controller.
  - Each report has a folder of its own, named after its time in UTC, and C(latest) leads to the newest.
  - In check mode nothing is written; the findings are returned all the same.
options:
  directory:
    description: Folder of the reports, an absolute path.
    type: path
    required: true
  site:
    description: Name of the site.
    type: str
    required: true
  hosts:
    description: All hosts that were to be checked. One without a result is reported as not checked.
    type: list
    elements: str
    required: true
  results:
    description: Results of M(onprem.dify.control_checks) by host, from P(onprem.dify.control_results#filter).
    type: dict
    required: true
  catalogue:
    description: The catalogue as P(onprem.dify.controls#lookup) returns it. Its version and hash go into the evidence.
    type: dict
    required: true
attributes:
  check_mode:
    description: In check mode nothing is written.
    support: full
  diff_mode:
    description: A report is always new.
    support: none
"""

EXAMPLES = r"""
- name: Write the evidence
  onprem.dify.control_report:
    directory: /srv/reports/bank
    site: bank
    hosts: "{{ ansible_play_hosts_all }}"
    results: "{{ hostvars | onprem.dify.control_results(ansible_play_hosts_all, 'checks') }}"
    catalogue: "{{ lookup('onprem.dify.controls') }}"
  delegate_to: localhost
  become: false
  run_once: true
"""

RETURN = r"""
folder:
  description: Where the report is.
  returned: always
  type: str
failures:
  description: Number of controls that failed, over all hosts.
  returned: always
  type: int
findings:
  description: Failed controls and hosts that were not checked, as text. Empty where there are none.
  returned: always
  type: str
"""

import time
from pathlib import Path

from ansible_collections.onprem.dify.plugins.module_utils.controls_report import files, message, summary
from ansible_collections.onprem.dify.plugins.module_utils.quiet_module import QuietModule


def write(folder: Path, pages: dict[str, str]) -> None:
    """Write a report for its owner and group only: it says where a site is weak."""
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    for name, text in pages.items():
        page = folder / name
        page.touch(mode=0o640)
        page.write_text(text, encoding="utf-8")


def point_to(folder: Path) -> None:
    """Make `latest` lead to a report."""
    link = folder.parent / "latest"
    if link.is_symlink():
        link.unlink()
    link.symlink_to(folder.name)


def main() -> None:
    module = QuietModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "site": {"type": "str", "required": True},
            "hosts": {"type": "list", "elements": "str", "required": True},
            "results": {"type": "dict", "required": True},
            "catalogue": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    asked = module.params
    folder = Path(asked["directory"]) / time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    content = (asked["results"], asked["hosts"], asked["site"], asked["catalogue"])
    found = summary(*content)
    if not module.check_mode:
        write(folder, files(*content))
        point_to(folder)
    page = "not written in check mode" if module.check_mode else str(folder / "summary.md")
    module.exit_json(changed=True, folder=str(folder), failures=len(found["failed"]), findings=message(found, page))


if __name__ == "__main__":
    main()
