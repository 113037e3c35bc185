#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's half of the action `certificates`."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_files
short_description: Hold keys and certificates on a host
version_added: 0.1.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - The host's half of M(onprem.dify.certificates), which decides what is needed. Use that one.
  - Needs the program C(openssl) and nothing else on the host.
options:
  stage:
    description:
      - C(inspect) returns what the host has and changes nothing.
      - C(request) makes a key for each of O(certificates), which is not used yet, and returns a request.
      - C(install) puts certificates into place, each together with its key.
    type: str
    choices: [inspect, request, install]
    required: true
  certificates:
    description: The certificates.
    type: list
    elements: dict
    required: true
    suboptions:
      directory:
        description: Where key and certificate stand.
        type: path
        required: true
      owner:
        description: Owner of the files.
        type: str
        required: true
      group:
        description: Group of the files.
        type: str
        required: true
      combined:
        description: Whether there is also one file with both.
        type: bool
        required: true
      common_name:
        description: Common name of a request.
        type: str
        default: ""
      authority:
        description: The certificates that are trusted, in PEM.
        type: str
        default: ""
      certificate:
        description: A new certificate with its chain, in PEM. Without it the one that is there stays.
        type: str
        default: ""
      key:
        description: The key of a new certificate that was not requested here, in PEM.
        type: str
        default: ""
  known:
    description: Directories of all certificates that the host should have, for O(stage=inspect).
    type: list
    elements: str
    default: []
  metric:
    description: New text of the metric with the end of each certificate.
    type: str
    default: ""
attributes:
  check_mode:
    description: Only O(stage=inspect) does something in check mode. The action predicts what the others would do.
    support: partial
    details: Other stages say that they would change something.
  diff_mode:
    description: The action returns it.
    support: none
"""

EXAMPLES = r"""
- name: Look at a certificate
  onprem.dify.certificate_files:
    stage: inspect
    certificates:
      - {directory: /etc/onprem-dify/pki/postgresql, owner: postgres, group: postgres, combined: false}
"""

RETURN = r"""
found:
  description: What the host has, by directory. Keys are not part of it.
  returned: O(stage=inspect)
  type: dict
metric:
  description: The metric as it is.
  returned: O(stage=inspect)
  type: str
present:
  description: Those of O(known) in which there is a certificate.
  returned: O(stage=inspect)
  type: list
  elements: str
openssl:
  description: Whether the host has the program.
  returned: O(stage=inspect)
  type: bool
requests:
  description: Requests in PEM, by directory.
  returned: O(stage=request)
  type: dict
"""

import os
from pathlib import Path
from typing import Any, Dict, List, Tuple

from ansible_collections.onprem.dify.plugins.module_utils import certificates as core
from ansible_collections.onprem.dify.plugins.module_utils import certificates_host as host
from ansible_collections.onprem.dify.plugins.module_utils.quiet_module import QuietModule

SPEC = {
    "stage": {"type": "str", "choices": ["inspect", "request", "install"], "required": True},
    "certificates": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "directory": {"type": "path", "required": True},
            "owner": {"type": "str", "required": True},
            "group": {"type": "str", "required": True},
            "combined": {"type": "bool", "required": True},
            "common_name": {"type": "str", "default": ""},
            "authority": {"type": "str", "default": ""},
            "certificate": {"type": "str", "default": ""},
            "key": {"type": "str", "default": "", "no_log": True},
        },
    },
    "known": {"type": "list", "elements": "str", "default": []},
    "metric": {"type": "str", "default": ""},
}


def inspect(module: QuietModule, entries: List[Dict[str, Any]]) -> Dict[str, Any]:
    openssl = module.get_bin_path("openssl", required=False) is not None
    run = _runner(module, openssl)
    return {
        "openssl": openssl,
        "found": {entry["directory"]: host.Place(entry, run).look() for entry in entries},
        "metric": host.read_text(Path(core.METRIC)),
        "present": host.present(module.params["known"]),
    }


def request(module: QuietModule, entries: List[Dict[str, Any]]) -> Dict[str, Any]:
    run = _runner(module)
    requests = {entry["directory"]: host.Place(entry, run).request(entry["common_name"]) for entry in entries}
    return {"changed": True, "requests": requests}


def install(module: QuietModule, entries: List[Dict[str, Any]]) -> Dict[str, Any]:
    for entry in entries:
        host.Place(entry, _runner(module)).install(entry["authority"], entry["certificate"], entry["key"])
    if module.params["metric"]:
        host.write_file(Path(core.METRIC), module.params["metric"])
    return {"changed": True}


def _runner(module: QuietModule, openssl: bool = True) -> host.Run:
    def run(command: List[str]) -> Tuple[int, str, str]:
        if not openssl:
            return 127, "", "openssl is not installed"
        code, out, err = module.run_command(command)
        return int(code), str(out), str(err)

    return run


def main() -> None:
    module = QuietModule(argument_spec=SPEC, supports_check_mode=True)
    os.umask(0o077)
    stage = {"inspect": inspect, "request": request, "install": install}[module.params["stage"]]
    if module.check_mode and stage is not inspect:
        module.exit_json(changed=True)
    try:
        answer = stage(module, module.params["certificates"])
    except core.CertificateError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'a file'}: {error.strerror}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
