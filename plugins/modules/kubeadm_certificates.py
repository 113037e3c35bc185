#!/usr/bin/python
# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renew the certificates of a control plane."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_certificates
short_description: Renew the certificates of a control plane before they end
version_added: 0.4.0
author: onprem.dify contributors (!UNKNOWN)
description:
  - Renews all certificates that kubeadm made on this host, if one of them ends within O(days), and has them taken in.
  - The API server and etcd take theirs in while they run, and it is waited until they show them. The controller manager
    and the scheduler are restarted.
  - What a run that was killed has left undone is done.
options:
  days:
    description: Days left below which a certificate is due.
    type: int
    required: true
  patience:
    description: Seconds in which the new ones have to be taken in.
    type: int
    default: 180
attributes:
  check_mode:
    description: Can run in check mode and tell what is due.
    support: full
  diff_mode:
    description: Returns the days that are left of each certificate.
    support: full
"""

EXAMPLES = r"""
- name: Renew what ends within two months
  onprem.dify.kubeadm_certificates:
    days: 60
"""

RETURN = r"""
renewed:
  description: The certificates that were due.
  returned: success
  type: list
  elements: str
restarted:
  description: What was restarted to take its certificate in.
  returned: success
  type: list
  elements: str
days_left:
  description: Days that are left of each certificate, by its name.
  returned: success
  type: dict
  sample: {apiserver: 364}
"""

import time
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.onprem.dify.plugins.module_utils import kubeadm_certificates as certificates

SPEC = {"days": {"type": "int", "required": True}, "patience": {"type": "int", "default": 180}}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    days = module.params["days"]
    try:
        before = certificates.look(runner(module))
        if module.check_mode:
            names = certificates.due(before, days, time.time())
            held = certificates.stale(certificates.running(runner(module)), certificates.written())
            outcome = certificates.Outcome(before, names, [one.name for one in held])
        else:
            outcome = certificates.renew(runner(module), days, module.params["patience"])
            certificates.write_metric(certificates.METRIC, certificates.metric_text(outcome.found, time.time()))
    except (certificates.CertificateError, OSError) as error:
        module.fail_json(msg=str(error))
    changed = bool(outcome.renewed or outcome.restarted)
    diff = {"before": table(before), "after": table(outcome.found)} if changed and not module.check_mode else {}
    module.exit_json(
        changed=changed,
        renewed=outcome.renewed,
        restarted=outcome.restarted,
        days_left=left(outcome.found),
        diff=diff,
    )


def runner(module: Any) -> certificates.Run:
    def run(command: List[str]) -> str:
        code, out, err = module.run_command(command)
        if code != 0:
            raise certificates.CertificateError(f"{' '.join(command[:3])}: {(err or out).strip()}")
        return str(out)

    return run


def left(found: List[certificates.Certificate]) -> Dict[str, int]:
    return {one.name: one.days_left(time.time()) for one in sorted(found)}


def table(found: List[certificates.Certificate]) -> str:
    return "".join(f"{name}: {days} days\n" for name, days in left(found).items())


if __name__ == "__main__":
    main()
