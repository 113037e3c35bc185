#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Invite hosts into a Kubernetes cluster, for a moment."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_token
short_description: Invite hosts into a Kubernetes cluster, for a moment
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - With O(state=present), runs on a control plane and makes a token with which hosts join, and on demand a key with
    which control planes get the keys of the cluster.
  - With O(state=absent), both are taken back. If nobody does, they end by themselves after O(seconds).
  - Tokens and keys go through pipes and memory. They stand in no file, in no list of processes and in no log.
options:
  state:
    description: Whether there is an invitation.
    type: str
    choices: [present, absent]
    default: present
  token:
    description: The token that is taken back.
    type: str
  seconds:
    description: How long the invitation is valid.
    type: int
    default: 900
  documents:
    description: The configuration of the cluster. Needed where control planes are invited.
    type: list
    elements: dict
    default: []
  control_planes:
    description: Whether control planes are invited.
    type: bool
    default: false
  forget:
    description: Hosts whose join was broken off. Their nodes are removed, or they could not come again.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Makes nothing in check mode.
    support: full
"""

EXAMPLES = r"""
- name: Invite the hosts that are to come
  onprem.dify.kubeadm_token:
  register: invitation
  no_log: true

- name: Take the invitation back
  onprem.dify.kubeadm_token:
    state: absent
    token: "{{ invitation.token }}"
  no_log: true
"""

RETURN = r"""
token:
  description: The token.
  returned: when there is an invitation
  type: str
certificate_key:
  description: The key; empty where no control planes are invited.
  returned: when there is an invitation
  type: str
authority:
  description: Certificate of the authority of the cluster.
  returned: when there is an invitation
  type: str
"""

import datetime
import json
import secrets
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import kubeadm_state
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import KUBERNETES, Host, completed
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import random_text

SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "token": {"type": "str", "no_log": True},
    "seconds": {"type": "int", "default": 900},
    "documents": {"type": "list", "elements": "dict", "default": []},
    "control_planes": {"type": "bool", "default": False},
    "forget": {"type": "list", "elements": "str", "default": []},
}
GROUP = "system:bootstrappers:kubeadm:default-node-token"
DESCRIPTION = "onprem.dify: hosts join"


def main() -> None:
    module = AnsibleModule(
        argument_spec=SPEC, supports_check_mode=True, required_if=[("state", "absent", ["token"])], no_log=True
    )
    if module.check_mode:
        module.exit_json(changed=True, token="", certificate_key="", authority="")
    try:
        result = invite(Host(module), module.params) if module.params["state"] == "present" else {}
        if module.params["state"] == "absent":
            take_back(Host(module), module.params["token"])
    except kubeadm_state.KubeadmError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, **result)


def invite(host: Host, params: Dict[str, Any]) -> Dict[str, str]:
    for name in params["forget"]:
        host.kubectl("delete", "node", "--ignore-not-found", name)
    token = random_text(6), random_text(16)
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=params["seconds"])
    host.kubectl("create", "--filename=-", data=json.dumps(manifest(token[0], token[1], end)))
    key = ""
    if params["control_planes"]:
        key = secrets.token_hex(32)
        with host.configuration(completed(params["documents"], "InitConfiguration", certificateKey=key)) as path:
            host.kubeadm("init", "phase", "upload-certs", "--upload-certs", f"--config={path}")
    authority = (KUBERNETES / "pki/ca.crt").read_text(encoding="utf-8")
    return {"token": ".".join(token), "certificate_key": key, "authority": authority}


def take_back(host: Host, token: str) -> None:
    # kubeadm ends the keys by a token of its own, which could invite as well.
    where = ("--namespace=kube-system", "--ignore-not-found")
    owners = "--output=jsonpath={.metadata.ownerReferences[*].name}"
    names = host.kubectl("get", "secret", "kubeadm-certs", *where, owners).split()
    host.kubectl("delete", "secret", *where, f"bootstrap-token-{token.partition('.')[0]}", "kubeadm-certs", *names)


def manifest(identity: str, secret: str, end: datetime.datetime) -> Dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": f"bootstrap-token-{identity}", "namespace": "kube-system"},
        "stringData": {
            "token-id": identity,
            "token-secret": secret,
            "expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": GROUP,
            "description": DESCRIPTION,
        },
    }


if __name__ == "__main__":
    main()
