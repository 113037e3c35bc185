# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pods of a control plane as kubeadm would write them, and as they are. No Ansible, no I/O.

etcd is not among them: how its members find each other is theirs, since each has joined at another time.
"""

from __future__ import annotations

import json
from typing import Dict, List, Mapping

# The API server first: the others work by it.
PODS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def differing(wanted: Mapping[str, str], found: Mapping[str, str]) -> List[str]:
    """The pods that have to start anew, in the order in which they do."""
    return [pod for pod in PODS if wanted[pod] != found.get(pod, "")]


def diff(pod: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> Dict[str, str]:
    return {
        "before_header": pod,
        "before": found.get(pod, ""),
        "after_header": pod,
        "after": wanted[pod],
    }


def again(printed: str) -> str:
    """An object as kubectl printed it, to be written over whatever it has become since."""
    found = json.loads(printed)
    names = {name: found["metadata"][name] for name in ("name", "namespace")}
    return json.dumps(
        {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": names, "data": found["data"]}
    )
