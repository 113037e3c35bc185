#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep objects of Kubernetes as wished."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_objects
short_description: Keep objects of Kubernetes as wished, all in one task
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Runs on a control plane. Asks the API server what the objects would become, compares that with what they are, and
    applies them only if something differs. Fields that others set stay theirs.
  - Needs neither a Python library on the host nor C(diff).
options:
  objects:
    description: The objects, those first that others need, such as their namespace.
    type: list
    elements: dict
    required: true
  rollouts:
    description:
      - What has to be rolled out in the end, as C(NAMESPACE/daemonset/NAME) or C(NAMESPACE/deployment/NAME), or done,
        as C(NAMESPACE/job/NAME).
      - Also looked at when nothing changed.
    type: list
    elements: str
    default: []
  complete:
    description: Whether what has pods among O(objects) is looked at as if O(rollouts) named it.
    type: bool
    default: false
  certificates:
    description: Certificates of this host that pods use. Their keys go from here to the API server and nowhere else.
    type: list
    elements: dict
    default: []
    suboptions:
      directory:
        description: Where M(onprem.dify.certificates) keeps C(tls.crt) and C(tls.key).
        type: path
        required: true
      secret:
        description: The Secret that is to hold them, as C(NAMESPACE/NAME).
        type: str
        required: true
      used_by:
        description: The workload among O(objects) whose pods start anew with a new certificate, as in O(rollouts).
        type: str
        required: true
  nodes_ready:
    description: Whether all nodes of the cluster have to be ready in the end.
    type: bool
    default: false
  patience:
    description: Seconds that all of this may take.
    type: int
    default: 300
attributes:
  check_mode:
    description: Can run in check mode and predict what would change, also before there is a cluster.
    support: full
  diff_mode:
    description: Returns every object as it is and as it would be. Secrets are not shown.
    support: full
"""

EXAMPLES = r"""
- name: Keep the network of the pods as wished
  onprem.dify.kubernetes_objects:
    objects: "{{ lookup('ansible.builtin.template', 'flannel.yaml.j2') | from_yaml_all | list }}"
    rollouts: [kube-flannel/daemonset/kube-flannel-ds]
"""

RETURN = r"""
changed_objects:
  description: The objects that changed.
  returned: success
  type: list
  elements: str
  sample: [kube-flannel/daemonset/kube-flannel-ds]
"""

import time
from pathlib import Path
from typing import Any, Dict, List

from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_objects as wanted
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import ADMIN, Host, objects
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError
from ansible_collections.onprem.dify.plugins.module_utils.quiet_module import QuietModule

SPEC = {
    "objects": {"type": "list", "elements": "dict", "required": True},
    "rollouts": {"type": "list", "elements": "str", "default": []},
    "complete": {"type": "bool", "default": False},
    "certificates": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "directory": {"type": "path", "required": True},
            "secret": {"type": "str", "required": True, "no_log": False},
            "used_by": {"type": "str", "required": True},
        },
    },
    "nodes_ready": {"type": "bool", "default": False},
    "patience": {"type": "int", "default": 300},
}
# The API server refuses what others have set, unless told that this collection decides.
APPLY = ("apply", "--server-side", "--force-conflicts", "--field-manager=onprem.dify", "--filename=-")


def main() -> None:
    module = QuietModule(argument_spec=SPEC, supports_check_mode=True)
    params, host = module.params, Host(module)
    try:
        items = certified(params, module.check_mode)
        if params["complete"]:
            params["rollouts"] = [*params["rollouts"], *wanted.own_rollouts(items)]
        changes = differences(host, items, module.check_mode)
        if not module.check_mode:
            if changes:
                host.kubectl(*APPLY, data=wanted.as_list(items))
            wait(host, params)
    except KubeadmError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(changes),
        changed_objects=[str(key) for key, _before, _after in changes],
        diff=[wanted.diff(*change) for change in changes],
    )


def certified(params: Dict[str, Any], check_mode: bool) -> List[Dict[str, Any]]:
    """The objects, with those that the certificates of this host become. In check mode there may be none yet."""
    items: List[Dict[str, Any]] = params["objects"]
    for entry in params["certificates"]:
        files = {name: Path(entry["directory"], name) for name in ("tls.crt", "tls.key")}
        missing = [str(path) for path in files.values() if not path.exists()]
        if missing and not check_mode:
            raise KubeadmError(f"{' and '.join(missing)} missing, wanted: the certificate for {entry['used_by']}")
        texts = {name: path.read_text(encoding="ascii") if path.exists() else "" for name, path in files.items()}
        items = wanted.with_certificate(items, entry["secret"], entry["used_by"], texts)
    return items


def differences(host: Host, items: List[Dict[str, Any]], check_mode: bool) -> List[Any]:
    if check_mode and not (host.installed and ADMIN.exists()):
        return wanted.differences([], items)
    text = wanted.as_list(items)
    found = objects(host.kubectl("get", "--ignore-not-found", "--output=json", "--filename=-", data=text))
    known = {wanted.key_of(item) for item in found}
    there = [item for item in items if wanted.key_of(item) in known]
    # What is not there cannot be asked about: its namespace may be missing, too.
    absent = wanted.differences([], [item for item in items if wanted.key_of(item) not in known])
    if not there:
        return absent
    would = objects(host.kubectl(*APPLY, "--dry-run=server", "--output=json", data=wanted.as_list(there)))
    return absent + wanted.differences(found, would)


def wait(host: Host, params: Dict[str, Any]) -> None:
    """The API has its own idea of when to give up; what counts here is whether it comes within the patience."""
    deadline = time.monotonic() + params["patience"]
    for rollout in params["rollouts"]:
        namespace, kind, name = rollout.split("/")
        words = ("get", f"{kind}/{name}", f"--namespace={namespace}", "--output=json")
        while True:
            found = objects(host.kubectl(*words))[0]
            if wanted.rolled_out(found):
                break
            if wanted.failed(found):
                raise KubeadmError(f"{rollout} failed: {last_words(host, namespace, name)}")
            if time.monotonic() >= deadline:
                problem = f"{rollout} is not there after {params['patience']} s."
                raise KubeadmError(problem + warnings(host, namespace))
            time.sleep(1)
    if params["nodes_ready"]:
        not_ready(host, deadline, params["patience"])


def not_ready(host: Host, deadline: float, patience: int) -> None:
    while True:
        nodes = objects(host.kubectl("get", "nodes", "--output=json"))
        waiting = [node["metadata"]["name"] for node in nodes if not wanted.ready(node)]
        if not waiting:
            return
        if time.monotonic() >= deadline:
            raise KubeadmError(f"not ready after {patience} s: {', '.join(waiting)}. `kubectl describe node` says why.")
        time.sleep(1)


def last_words(host: Host, namespace: str, name: str) -> str:
    """The end of what a Job wrote, which is there as long as its pod is."""
    code, out, err = host.try_kubectl("logs", f"job/{name}", f"--namespace={namespace}", "--tail=3")
    return " ".join((out if code == 0 else err).split())[:1000] or "it wrote nothing"


def warnings(host: Host, namespace: str) -> str:
    """The last warnings of a namespace: an image that is missing in the mirror shows there."""
    shown = ("--output=custom-columns=:.involvedObject.name,:.message", "--no-headers", "--sort-by=.lastTimestamp")
    words = ("get", "events", f"--namespace={namespace}", "--field-selector=type=Warning")
    code, out, _err = host.try_kubectl(*words, *shown)
    lines = out.strip().splitlines()[-3:]
    return "\n" + "\n".join(" ".join(line.split())[:300] for line in lines) if code == 0 and lines else ""


if __name__ == "__main__":
    main()
