# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods are evicted from a node and come back to it, asked of the API by kubectl on a control plane."""

from __future__ import annotations

import json
import time
from typing import Any, Callable, Dict, List, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils import kubernetes_drain as drain
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_host import objects
from ansible_collections.onprem.dify.plugins.module_utils.kubeadm_state import KubeadmError

# For one go of kubectl: between two of them the API may be somewhere else.
GO = 30
# The API may be on its way back, from an upgrade that was killed or to another host.
AWAY = 60


def empty(host: Any, name: str, patience: float, settle: float, check_mode: bool = False) -> Dict[str, Any]:
    """Let the pods leave a node, which takes no new ones."""
    node, pods = see(host, name)
    lost = drain.unmanaged(pods)
    if lost:
        raise KubeadmError(
            f"nobody would make {', '.join(lost)} again, as no Deployment or the like stands behind. Wanted: give it"
            " one, or delete it. Nothing was evicted."
        )
    patch, going = drain.leave_patch(node), [drain.title(pod) for pod in drain.leaving(pods)]
    before = drain.note_of(node) == drain.THEIRS or bool(not drain.note_of(node) and node["spec"].get("unschedulable"))
    short: List[str] = []
    if not check_mode:
        short = settled(host, settle)
        if patch:
            ask(host, "patch", "node", name, "--type=merge", f"--patch={json.dumps(patch)}")
        evict(host, name, time.monotonic() + patience, patience)
    return {"changed": bool(patch or going), "evicted": sorted(going), "short": short, "cordoned_before": before}


def ask(host: Any, *words: str, away: float = AWAY) -> str:
    """What kubectl answers, once the API does."""
    deadline = time.monotonic() + away
    while True:
        code, out, err = host.try_kubectl(*words)
        if code == 0:
            return str(out)
        if "(NotFound)" in err or time.monotonic() >= deadline:
            raise KubeadmError(f"kubectl {' '.join(words[:3])}: {err.strip()}")
        time.sleep(1)


def see(host: Any, name: str) -> Tuple[Dict[str, Any], List[Dict[str, Any]]]:
    """A node and its pods."""
    node = objects(ask(host, "get", "node", name, "--output=json"))[0]
    where = f"--field-selector=spec.nodeName={name}"
    return node, objects(ask(host, "get", "pods", "--all-namespaces", where, "--output=json"))


def settled(host: Any, seconds: float) -> List[str]:
    """The workloads that are short of pods, after some time to get them."""
    words = ("get", "daemonsets,deployments,statefulsets", "--all-namespaces", "--output=json")
    found: List[str] = drain.short_of(objects(ask(host, *words)))
    deadline = time.monotonic() + seconds
    while found and time.monotonic() < deadline:
        time.sleep(1)
        found = drain.short_of(objects(ask(host, *words)))
    return found


def evict(host: Any, name: str, deadline: float, patience: float) -> None:
    while drain.leaving(see(host, name)[1]):
        left = int(deadline - time.monotonic())
        if left <= 0:
            budgets = objects(ask(host, "get", "poddisruptionbudgets", "--all-namespaces", "--output=json"))
            pods = "; ".join(drain.in_the_way(see(host, name)[1], budgets))
            raise KubeadmError(
                f"after {patience:g} s pods are still there: {pods}. The node takes no new ones. Make room for"
                " another pod elsewhere, or let the budget allow it, and run again."
            )
        options = ("--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={min(GO, left)}s")
        host.try_kubectl("drain", name, *options)


def use(
    host: Any, name: str, patience: float, version: str, short: Sequence[str], check_mode: bool = False
) -> Dict[str, Any]:
    """Let a node take pods again, once all of it is ready."""
    deadline = time.monotonic() + patience
    if not check_mode:
        wait(lambda: drain.amiss(*see(host, name), version), deadline, patience)
    node = see(host, name)[0]
    patch = drain.return_patch(node)
    before = drain.note_of(node) == drain.THEIRS
    if not check_mode:
        if patch:
            ask(host, "patch", "node", name, "--type=merge", f"--patch={json.dumps(patch)}")
        wait(lambda: missing(host, short), deadline, patience)
    return {"changed": bool(patch), "cordoned_before": before}


def missing(host: Any, known: Sequence[str]) -> List[str]:
    return [f"{one} has not all its pods" for one in settled(host, 0) if one not in known]


def wait(lacking: Callable[[], List[str]], deadline: float, patience: float) -> None:
    """Wait until nothing is lacking. The API itself may be away for a moment."""
    while True:
        try:
            found = lacking()
        except KubeadmError as error:
            found = [str(error)]
        if not found:
            return
        if time.monotonic() >= deadline:
            raise KubeadmError(f"after {patience:g} s {'; '.join(found[:5])}. No further host was touched.")
        time.sleep(1)
