#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does an S3 store do what Dify and its backups ask of it?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_contract
short_description: Try an S3 store against what Dify and its backups need
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Works with any store that speaks S3 with signature version 4 and path style addresses.
  - Every case passes, fails, or is not offered by the store or the user.
  - A deviation is what S3 would do otherwise and neither Dify nor its backups rely on. It fails nothing.
  - All test objects stand below one random prefix and are taken away again, old versions included.
  - Fails if a case fails, and lists each with what was found and what is wanted.
  - Needs Python only.
extends_documentation_fragment: [onprem.dify.s3]
options:
  authorities:
    description: The same as text, where it stands in no file of the host.
    type: str
    default: ""
  access_key:
    description: Access key of the user.
    type: str
    required: true
  secret_key:
    description: Secret key of the user.
    type: str
    required: true
  bucket:
    description: Bucket of the user.
    type: str
    required: true
  other_bucket:
    description: Bucket of another user, which must be closed to this one.
    type: str
    default: ""
  lock_bucket:
    description: Bucket of the user with Object Lock. The case takes half a minute.
    type: str
    default: ""
  quick:
    description: Only the cases about TLS, login, put, get and delete, and wrong keys.
    type: bool
    default: false
  listed_keys:
    description: Number of keys in the case C(listing).
    type: int
    default: 10000
  waived:
    description: Cases that the site does not need. They are not tried.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that one request may take.
    type: int
    default: 60
attributes:
  check_mode:
    description: Tries the store in check mode too. Nothing is left behind.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Try the store of the data centre
  onprem.dify.s3_contract:
    endpoint: https://s3.example.internal
    ca_file: /etc/ssl/certs/corporate.pem
    access_key: "{{ site_secrets.s3_dify_access_key }}"
    secret_key: "{{ site_secrets.s3_dify_secret_key }}"
    bucket: dify
"""

RETURN = r"""
lines:
  description: One line for each case.
  returned: always
  type: list
  elements: str
results:
  description: Every case with its result, what was found, and how long it took.
  returned: always
  type: list
  elements: dict
  sample: [{case: put-get-delete, result: pass, detail: "", seconds: 0.05}]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import s3, s3_contract


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **s3.STORE_OPTIONS,
            "authorities": {"type": "str", "default": ""},
            "access_key": {"type": "str", "required": True, "no_log": False},
            "secret_key": {"type": "str", "required": True, "no_log": True},
            "bucket": {"type": "str", "required": True},
            "other_bucket": {"type": "str", "default": ""},
            "lock_bucket": {"type": "str", "default": ""},
            "quick": {"type": "bool", "default": False},
            "listed_keys": {"type": "int", "default": 10000, "no_log": False},
            "waived": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    wish = module.params
    try:
        store = s3_contract.Store(
            endpoint=wish["endpoint"],
            keys=s3.Keys(wish["access_key"], wish["secret_key"]),
            bucket=wish["bucket"],
            ca_file=wish["ca_file"] or "",
            authorities=wish["authorities"],
            region=wish["region"],
            other_bucket=wish["other_bucket"],
            lock_bucket=wish["lock_bucket"],
            listed_keys=wish["listed_keys"],
            timeout=wish["timeout"],
        )
        results = s3_contract.run(store, wish["quick"], wish["waived"])
    except (s3.S3Error, OSError) as error:
        module.fail_json(msg=str(error), results=[], lines=[])
    lines = [result.line() for result in results]
    failed = [f"{result.case}: {result.detail}" for result in results if result.result == s3_contract.FAIL]
    answer = {"results": [result._asdict() for result in results], "lines": lines}
    if failed:
        module.fail_json(msg=f"{wish['endpoint']} does not keep the contract:\n" + "\n".join(failed), **answer)
    module.exit_json(changed=False, **answer)


if __name__ == "__main__":
    main()
