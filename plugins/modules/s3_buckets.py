#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets of an S3 store, each with the user that owns it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_buckets
short_description: Keep the buckets of an S3 store as wished
version_added: 0.2.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Creates buckets and sets their versioning, Object Lock and lifecycle, all in one task.
  - Reads the state of each bucket with the keys of its own user, so that every run proves that the user can log in.
  - Buckets are never emptied or deleted.
  - Needs Python only.
extends_documentation_fragment: [onprem.dify.s3]
options:
  wait:
    description: Seconds that the store may take until it answers.
    type: int
    default: 90
  gateway:
    description:
      - Command that starts a gateway of the bundled store. With it, the users of the buckets need not create them.
      - It runs for as long as something has to change, on loopback, with keys that are made for the moment.
    type: list
    elements: str
    default: []
  gateway_user:
    description: User that runs O(gateway).
    type: str
    default: seaweedfs
  buckets:
    description: The buckets.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the bucket.
        type: str
        required: true
      user:
        description: Name of the user that owns it. The name of the bucket if left out.
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
      versioning:
        description: Whether old versions of objects are kept.
        type: bool
        default: false
      object_lock:
        description: Whether objects can be locked for a time. Only a new bucket can get it.
        type: bool
        default: false
      noncurrent_days:
        description: Days after which an old version goes. 0 keeps it.
        type: int
        default: 0
      upload_days:
        description: Days after which an unfinished upload goes. 0 keeps it.
        type: int
        default: 0
attributes:
  check_mode:
    description: Predicts what would be made, also where the store does not run yet.
    support: full
  diff_mode:
    description: Shows the settings of every bucket that would change.
    support: full
"""

EXAMPLES = r"""
- name: Keep the bucket of Dify
  onprem.dify.s3_buckets:
    endpoint: https://10.20.3.16:8333
    ca_file: /etc/onprem-dify/pki/objects/ca.crt
    buckets:
      - name: dify
        access_key: "{{ site_secrets.s3_dify_access_key }}"
        secret_key: "{{ site_secrets.s3_dify_secret_key }}"
        versioning: true
        noncurrent_days: 30
"""

RETURN = r"""
steps:
  description: What was done, as pairs of bucket and action.
  returned: success
  type: list
  elements: dict
  sample: [{bucket: dify, action: create}]
"""

import time
from typing import Any, Dict, List, Optional, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import s3, s3_buckets, s3_gateway

SETTLED_SECONDS = 30

SPEC = {
    **s3.STORE_OPTIONS,
    "wait": {"type": "int", "default": 90},
    "gateway": {"type": "list", "elements": "str", "default": []},
    "gateway_user": {"type": "str", "default": "seaweedfs"},
    "buckets": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "user": {"type": "str", "default": ""},
            "access_key": {"type": "str", "required": True, "no_log": False},
            "secret_key": {"type": "str", "required": True, "no_log": True},
            "versioning": {"type": "bool", "default": False},
            "object_lock": {"type": "bool", "default": False},
            "noncurrent_days": {"type": "int", "default": 0},
            "upload_days": {"type": "int", "default": 0},
        },
    },
}

Found = List[Tuple[s3_buckets.Bucket, Optional[s3_buckets.Settings]]]


def client_of(module: AnsibleModule, keys: Optional[s3.Keys], endpoint: str = "") -> s3.Client:
    return s3.Client(
        endpoint or module.params["endpoint"],
        keys,
        ca_file=(module.params["ca_file"] or "") if not endpoint else "",
        region=module.params["region"],
    )


def find(module: AnsibleModule, wishes: List[s3_buckets.Bucket]) -> Found:
    try:
        s3.patiently(
            lambda: client_of(module, wishes[0].keys).request("GET", wishes[0].name, query=[("versioning", "")]),
            0 if module.check_mode else module.params["wait"],
        )
    except (s3.S3Error, OSError):
        # Where the store is still to be installed, everything is still to be made.
        if module.check_mode:
            return [(wish, None) for wish in wishes]
        raise
    return [(wish, s3_buckets.read(client_of(module, wish.keys), wish)) for wish in wishes]


def follow(module: AnsibleModule, todo: List[Tuple[s3_buckets.Bucket, List[s3_buckets.Step]]]) -> None:
    if not module.params["gateway"]:
        for wish, steps in todo:
            s3_buckets.apply(client_of(module, wish.keys), wish, steps)
        return
    users = sorted({wish.user for wish, _steps in todo})
    with s3_gateway.Gateway(module.params["gateway"], module.params["gateway_user"], users) as gateway:
        for wish, steps in todo:
            s3_buckets.apply(client_of(module, gateway.keys[wish.user], gateway.endpoint), wish, steps)


def unlike(module: AnsibleModule, wishes: List[s3_buckets.Bucket]) -> List[str]:
    """What is still not as wished. Gateways hear of a change from each other, so it may take them a moment."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while True:
        left = [wish.name for wish, settings in find(module, wishes) if s3_buckets.plan(wish, settings)]
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(0.5)


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result: Dict[str, Any] = {"changed": False, "steps": [], "diff": []}
    try:
        wishes = s3_buckets.parse(module.params["buckets"])
        found = find(module, wishes) if wishes else []
        todo = [(wish, steps) for wish, settings in found for steps in [s3_buckets.plan(wish, settings)] if steps]
        result["steps"] = [step._asdict() for _wish, steps in todo for step in steps]
        changing = {wish.name for wish, _steps in todo}
        result["diff"] = [s3_buckets.diff(wish, settings) for wish, settings in found if wish.name in changing]
        result["changed"] = bool(todo)
        if todo and not module.check_mode:
            follow(module, todo)
            left = unlike(module, wishes)
            if left:
                module.fail_json(msg=f"not as wished afterwards: {', '.join(left)}", **result)
    except (s3.S3Error, s3_buckets.BucketError) as error:
        module.fail_json(msg=str(error), **result)
    except OSError as error:
        module.fail_json(msg=f"{module.params['endpoint']}: {s3.reason(error)}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
