#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change the key with which Kubernetes encrypts what it stores."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_encryption
short_description: Keep or change the key with which Kubernetes encrypts secrets in etcd
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - C(keep) writes the configuration of an API server that is to come, and refuses to change that of one that is there.
  - The steps C(add), C(first), C(rewrite) and C(remove) change the key while the cluster runs. Each has to have ended
    on all control planes before the next one begins, C(rewrite) on one of them.
  - The API server takes its configuration in by itself, which may take a minute. Each step waits for it.
  - A step that was done does nothing, so a rotation that was broken off is begun again.
options:
  step:
    description: What is done.
    type: str
    choices: [keep, add, first, rewrite, remove]
    required: true
  path:
    description: The configuration.
    type: path
    required: true
  key:
    description: The wished key for AES-GCM, 32 bytes in base64.
    type: str
  kms:
    description: The plugin that encrypts instead, with C(name) and C(socket).
    type: dict
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      socket:
        description: Path of its socket.
        type: path
        required: true
  patience:
    description: Seconds in which the API server has to work with the configuration.
    type: int
    default: 180
attributes:
  check_mode:
    description: Can run in check mode and predict what would change.
    support: full
  diff_mode:
    description: Shows the names of the keys, and no key.
    support: full
"""

EXAMPLES = r"""
- name: Let all API servers read what the new key writes
  onprem.dify.kubernetes_encryption:
    step: add
    path: /etc/kubernetes/onprem-dify/encryption.yaml
    key: "{{ site_secrets.kubernetes_encryption_key }}"
"""

RETURN = r"""
keys:
  description: Names of the keys, the one that writes first.
  returned: success
  type: list
  elements: str
rewritten:
  description: How many secrets were written anew.
  returned: success
  type: int
"""

from pathlib import Path
from typing import Any, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import etcd_snapshots, kubernetes_objects
from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_encryption as encryption
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import (
    OWN_API,
    Host,
    objects,
    within,
    write_private,
)
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError

SPEC = {
    "step": {"type": "str", "choices": ["keep", "add", "first", "rewrite", "remove"], "required": True},
    "path": {"type": "path", "required": True},
    "key": {"type": "str", "no_log": True},
    "kms": {
        "type": "dict",
        "options": {"name": {"type": "str", "required": True}, "socket": {"type": "path", "required": True}},
    },
    "patience": {"type": "int", "default": 180},
}
# A secret that somebody changes just now is written with the new key by them.
ATTEMPTS = 5


def main() -> None:
    module = AnsibleModule(
        argument_spec=SPEC,
        supports_check_mode=True,
        required_one_of=[["key", "kms"]],
        mutually_exclusive=[["key", "kms"]],
    )
    params = module.params
    wanted = encryption.Kms(**params["kms"]) if params["kms"] else encryption.key_of(params["key"])
    try:
        if params["step"] == "rewrite":
            number = rewrite(module, wanted)
            module.exit_json(changed=number > 0, keys=[wanted.name], rewritten=number)
        change(module, wanted)
    except (encryption.EncryptionError, KubeadmError, OSError) as error:
        module.fail_json(msg=f"{params['path']}: {error}")


def change(module: AnsibleModule, wanted: encryption.Writer) -> None:
    params, path = module.params, Path(module.params["path"])
    there = path.exists()
    text = path.read_text(encoding="utf-8") if there else ""
    if there:
        before = encryption.parse(text)
        # A dry run has not done the steps before this one.
        found = encryption.after_earlier(before, wanted, params["step"]) if module.check_mode else before
        after = encryption.STEPS[params["step"]](found, wanted)
    elif params["step"] == "keep":
        before, after = [], [wanted]
    else:
        raise encryption.EncryptionError("this control plane has none: run playbooks/kubernetes.yml first")
    new = encryption.render(after)
    changed = new != text or (there and path.stat().st_mode & 0o777 != 0o600)
    if not module.check_mode:
        if changed:
            write(path, new)
        if params["step"] != "keep":
            wait(Host(module), encryption.checksum(new), params["patience"])
    names = [one.name for one in after]
    diff = {"before": table([one.name for one in before]), "after": table(names)} if changed else {}
    module.exit_json(changed=changed, keys=names, rewritten=0, diff=diff)


def table(names: List[str]) -> str:
    return "".join(f"{name}\n" for name in names)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, path.with_name(f".{path.name}.new"), text)


def wait(host: Host, checksum: str, patience: float) -> None:
    def taken_in() -> bool:
        return checksum in encryption.loaded(host.kubectl("get", OWN_API, "--raw=/metrics"))

    if not within(patience, taken_in, pause=2):
        raise encryption.EncryptionError(
            f"the API server of this host has not taken it in after {patience:g} s: `crictl logs` of kube-apiserver"
            " says why. Nothing is lost; run again."
        )


def rewrite(module: AnsibleModule, wanted: encryption.Writer) -> int:
    """Write every secret anew that another key has written, and see in etcd that none is left."""
    host = Host(module)
    due = [one for one in stored(module, wanted) if not one.ours]
    number = len(due)
    if module.check_mode:
        return number
    for _attempt in range(ATTEMPTS):
        if not due:
            return number
        for namespace in sorted({one.namespace for one in due}):
            names = {one.name for one in due if one.namespace == namespace}
            found = objects(host.kubectl("get", "secrets", f"--namespace={namespace}", "--output=json"))
            items = [item for item in found if item["metadata"]["name"] in names]
            host.try_kubectl("replace", "--filename=-", data=kubernetes_objects.as_list(items))
        due = [one for one in stored(module, wanted) if not one.ours]
    left = ", ".join(f"{one.namespace}/{one.name}" for one in due[:5])
    raise encryption.EncryptionError(f"{len(due)} secrets are still written by another key, {left} among them")


def stored(module: AnsibleModule, wanted: encryption.Writer) -> List[encryption.Stored]:
    program = module.get_bin_path("etcdctl", required=True, opt_dirs=["/usr/local/bin"])
    words: List[Any] = [program, *etcd_snapshots.CONNECTION, "get", "--prefix", encryption.STORED, "--write-out=json"]
    code, out, err = module.run_command(words)
    if code != 0:
        raise encryption.EncryptionError(f"etcdctl get: {err.strip()[:300]}")
    return encryption.parse_stored(out, wanted)


if __name__ == "__main__":
    main()
