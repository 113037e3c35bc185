#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create the first administrator of each Dify that has none."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dify_administrators
short_description: Create the first administrator of each Dify that has none
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Runs on a control plane. Whoever reaches a Dify without an administrator owns it, so this comes before users are
    let in.
  - Reaches the API through the API server of Kubernetes, which no NetworkPolicy has to allow.
  - Logs in as the administrator that it created. One that is there is left alone, whatever it is called.
options:
  consoles:
    description: The tenants, as C(console) of P(onprem.dify.dify_access#filter) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      tenant:
        description: Name of the tenant, for messages.
        type: str
        required: true
      namespace:
        description: Where its API runs.
        type: str
        required: true
      init_password:
        description: The password of the gate before the setup.
        type: str
        required: true
      password:
        description: The password of the administrator.
        type: str
        required: true
  email:
    description: Address with which the administrators log in.
    type: str
    required: true
  name:
    description: Name of the administrators.
    type: str
    required: true
  deployment:
    description: The Deployment of the API.
    type: str
    default: api
  port:
    description: Port of the API.
    type: int
    required: true
  timeout:
    description: Seconds for each answer.
    type: float
    default: 30
attributes:
  check_mode:
    description: Can run in check mode, also before there is a cluster or an API in it.
    support: full
  diff_mode:
    description: Returns no differences.
    support: none
"""

EXAMPLES = r"""
- name: Create the first administrator
  onprem.dify.dify_administrators:
    consoles: ["{{ (tenant | onprem.dify.dify_access(site_facts, site_secrets)).console }}"]
    email: admin@bank.internal
    name: Administrator
    port: 5001
  no_log: true
"""

RETURN = r"""
created:
  description: The tenants that have an administrator now and had none.
  returned: success
  type: list
  elements: str
"""

from typing import Any, Dict, List

from ansible_collections.onprem.dify.plugins.module_utils import dify_console
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import ADMIN, Host
from ansible_collections.onprem.dify.plugins.module_utils.kubernetes_forward import ForwardError, forwarded
from ansible_collections.onprem.dify.plugins.module_utils.quiet_module import QuietModule

SECRET = {"type": "str", "required": True, "no_log": True}
SPEC = {
    "consoles": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "tenant": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "init_password": SECRET,
            "password": SECRET,
        },
    },
    "email": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "deployment": {"type": "str", "default": "api"},
    "port": {"type": "int", "required": True},
    "timeout": {"type": "float", "default": 30.0},
}


def main() -> None:
    module = QuietModule(argument_spec=SPEC, supports_check_mode=True)
    created: List[str] = []
    for console in module.params["consoles"]:
        try:
            if create(module, console):
                created.append(console["tenant"])
        except (dify_console.ConsoleError, ForwardError) as error:
            module.fail_json(msg=f"tenant {console['tenant']}: {error}", created=created)
    module.exit_json(changed=bool(created), created=created)


def create(module: Any, console: Dict[str, Any]) -> bool:
    params, host = module.params, Host(module)
    if module.check_mode and not runs(host, console["namespace"], params["deployment"]):
        return True
    target = f"deployment/{params['deployment']}"
    with forwarded(host.kubectl_command(), console["namespace"], target, params["port"]) as address:
        ask = dify_console.client(address, params["timeout"])
        if dify_console.is_set_up(ask):
            return False
        if not module.check_mode:
            administrator = {"email": params["email"], "name": params["name"], "password": console["password"]}
            dify_console.set_up(ask, console["init_password"], administrator)
        return True


def runs(host: Host, namespace: str, deployment: str) -> bool:
    """Whether there is an API that can be asked."""
    if not (host.installed and ADMIN.exists()):
        return False
    words = ("get", f"deployment/{deployment}", f"--namespace={namespace}", "--output=jsonpath={.status.readyReplicas}")
    code, out, _err = host.try_kubectl(*words)
    return code == 0 and out.strip() not in ("", "0")


if __name__ == "__main__":
    main()
