#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the PostgreSQL, the Redis and the S3 store of a site do what Dify needs?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: external_services
short_description: Log in to the services that a site gives, and say all that is wrong with them
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Runs on a host that will use the services, so that names, routes and firewalls are tried as well.
  - Logs in with every user and does what Dify does. What it writes expires and is taken away again.
  - Lists all findings of all services at once and fails if there is one.
  - Passwords go to a server that was verified, over TLS.
  - Needs Python only.
options:
  postgres:
    description: The PostgreSQL of the site. Left out if it has none.
    type: dict
    suboptions:
      host: &host
        description: Name or address that clients connect to. The certificate has to be valid for it.
        type: str
        required: true
      port: &port
        description: Port of the service.
        type: int
        required: true
      addresses: &addresses
        description: Addresses and networks that firewalls let through to.
        type: list
        elements: str
        required: true
      ca_file: &ca_file
        description: Where O(postgres.ca) comes from, as findings name it. Empty for those of the operating system.
        type: str
        default: ""
      ca: &ca
        description:
          - Certificates of the authorities, in PEM. Empty for those of the operating system.
          - Left out if O(postgres.ca_file) cannot be read.
        type: str
      connections:
        description: Connections that the planned clients may open.
        type: int
        required: true
      databases:
        description: Databases, each with C(name), C(owner), C(secret), the name of its password, and C(extensions).
        type: list
        elements: dict
        required: true
  redis:
    description: The Redis or Valkey of the site. Left out if it has none.
    type: dict
    suboptions:
      host: *host
      port: *port
      addresses: *addresses
      ca_file: &other_ca_file
        description: Where the authorities come from, as findings name it. Empty for those of the operating system.
        type: str
        default: ""
      ca: &other_ca
        description:
          - Certificates of the authorities, in PEM. Empty for those of the operating system.
          - Left out if their file cannot be read.
        type: str
      user:
        description: User of the applications.
        type: str
        required: true
      secret:
        description: Name of its password in O(passwords).
        type: str
        required: true
      databases:
        description: Numbers of the databases.
        type: list
        elements: int
        required: true
  s3:
    description: The S3 store of the site. Left out if it has none.
    type: dict
    suboptions:
      host: *host
      port: *port
      addresses: *addresses
      ca_file: *other_ca_file
      ca: *other_ca
      region:
        description: Region that requests are signed for.
        type: str
        required: true
      buckets:
        description:
          - Buckets, each with C(name) and C(secret).
          - The names of its keys are that secret with C(_access_key) and C(_secret_key).
        type: list
        elements: dict
        required: true
  passwords:
    description: Passwords and keys by the names that the services give.
    type: dict
    required: true
  require_tls13:
    description: Whether TLS older than 1.3 is a finding and not a warning only.
    type: bool
    default: false
  timeout:
    description: Seconds that a connection or an answer may take.
    type: float
    default: 5
attributes:
  check_mode:
    description: Tries the services in check mode too. Nothing is left behind.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Try the Redis of the data centre
  onprem.dify.external_services:
    redis:
      host: redis.example.internal
      port: 6379
      addresses: [10.0.0.60]
      ca: "{{ lookup('ansible.builtin.file', inventory_dir ~ '/corporate.pem') }}"
      user: dify
      secret: redis_dify
      databases: [0, 1, 2]
    passwords: {redis_dify: "{{ site_secrets.redis_dify }}"}
"""

RETURN = r"""
findings:
  description: One line for everything that has to be put right.
  returned: always
  type: list
  elements: str
  sample: ["redis 10.0.0.60:6379: maxmemory-policy is allkeys-lru, wanted: noeviction [eviction]"]
notes:
  description: One line for everything that is worth knowing.
  returned: always
  type: list
  elements: str
services:
  description: Version, TLS and time of an answer in milliseconds by service, as far as they could be seen.
  returned: always
  type: dict
  sample: {redis: {version: 7.0.15, tls: TLSv1.3, milliseconds: 0.21}}
"""

from typing import Any, Callable, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import external_postgresql, external_redis, external_s3
from ansible_collections.onprem.dify.plugins.module_utils.external_model import VARIABLES, Report, Service

WAY: Dict[str, Dict[str, Any]] = {
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "addresses": {"type": "list", "elements": "str", "required": True},
    "ca_file": {"type": "str", "default": ""},
    "ca": {"type": "str"},
}
SPEC = {
    "postgres": {
        "type": "dict",
        "options": {
            **WAY,
            "connections": {"type": "int", "required": True},
            "databases": {"type": "list", "elements": "dict", "required": True},
        },
    },
    "redis": {
        "type": "dict",
        "options": {
            **WAY,
            "user": {"type": "str", "required": True},
            "secret": {"type": "str", "required": True, "no_log": False},
            "databases": {"type": "list", "elements": "int", "required": True},
        },
    },
    "s3": {
        "type": "dict",
        "options": {
            **WAY,
            "region": {"type": "str", "required": True},
            "buckets": {"type": "list", "elements": "dict", "required": True},
        },
    },
    "passwords": {"type": "dict", "required": True, "no_log": True},
    "require_tls13": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 5},
}
TRY: Dict[str, Callable[..., None]] = {
    "postgres": external_postgresql.check,
    "redis": external_redis.check,
    "s3": external_s3.check,
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    wish = module.params
    reports = []
    for name in VARIABLES:
        if wish[name]:
            report = Report(Service.of(name, wish[name], wish["timeout"]))
            TRY[name](report, wish[name], wish["passwords"], wish["require_tls13"])
            reports.append(report)
    findings = [str(finding) for report in reports for finding in report.findings]
    notes = [str(note) for report in reports for note in report.notes]
    for note in notes:
        module.warn(note)
    answer = {
        "findings": findings,
        "notes": notes,
        "services": {report.service.name: report.facts for report in reports},
    }
    if findings:
        one = len(findings) == 1
        headline = f"{len(findings)} {'finding' if one else 'findings'} in the services of the site:"
        module.fail_json(msg="\n  ".join([headline, *findings]), **answer)
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
