# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of Kubernetes as they are wished and as they are, and the difference between the two. No Ansible, no I/O."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

# What the API server counts and notes by itself.
_NOTED = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")
# Under these a node remembers what this collection gave it, so that it goes when nobody wants it any more.
LABELS_NOTE, TAINTS_NOTE = "onprem.dify/labels", "onprem.dify/taints"
# With which certificate the pods of a workload were started.
CERTIFICATE_NOTE = "onprem.dify/certificate"

Object = Dict[str, Any]


class Key(NamedTuple):
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.namespace, self.kind.lower(), self.name) if part)


def key_of(item: Mapping[str, Any]) -> Key:
    metadata = item["metadata"]
    return Key(item["kind"], metadata.get("namespace", ""), metadata["name"])


def plain(item: Mapping[str, Any]) -> Object:
    """The object without what changes by itself."""
    metadata = {name: value for name, value in item["metadata"].items() if name not in _NOTED}
    return {**{name: value for name, value in item.items() if name != "status"}, "metadata": metadata}


def differences(before: Sequence[Object], after: Sequence[Object]) -> List[Tuple[Key, Optional[Object], Object]]:
    """The objects that are missing or would become others, with what they are and what they would be."""
    known = {key_of(item): plain(item) for item in before}
    found = [(key_of(item), known.get(key_of(item)), plain(item)) for item in after]
    return [(key, old, new) for key, old, new in found if old != new]


def diff(key: Key, before: Optional[Object], after: Object) -> Dict[str, str]:
    return {
        "before_header": str(key) if before else f"{key} (absent)",
        "before": _text(before) if before else "",
        "after_header": str(key),
        "after": _text(after),
    }


def _text(item: Mapping[str, Any]) -> str:
    hidden = item["kind"] == "Secret"
    shown = {**item, **{name: "(not shown)" for name in ("data", "stringData") if name in item}} if hidden else item
    return json.dumps(shown, indent=2, sort_keys=True) + "\n"


def with_certificate(
    items: Sequence[Mapping[str, Any]], secret: str, used_by: str, files: Mapping[str, str]
) -> List[Object]:
    """The objects, those that use a certificate after the Secret with it. A new certificate starts their pods anew."""
    namespace, name = secret.split("/")
    data = {file: base64.b64encode(text.encode()).decode() for file, text in files.items()}
    metadata = {"name": name, "namespace": namespace}
    kept = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": data}
    return [kept, *(_marked(item, files["tls.crt"]) if str(key_of(item)) == used_by else dict(item) for item in items)]


def _marked(item: Mapping[str, Any], certificate: str) -> Object:
    found: Object = copy.deepcopy(dict(item))
    notes = found["spec"]["template"]["metadata"].setdefault("annotations", {})
    notes[CERTIFICATE_NOTE] = hashlib.sha256(certificate.encode()).hexdigest()[:32]
    return found


def as_list(items: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})


# Nodes


class NodeWish(NamedTuple):
    labels: Mapping[str, str]
    taints: Sequence[Mapping[str, str]]


def node_patch(node: Mapping[str, Any], wish: NodeWish) -> Object:
    """The merge patch that gives a node its labels and taints and takes earlier ones away; empty if none is due."""
    metadata = node["metadata"]
    notes = metadata.get("annotations") or {}
    labels = metadata.get("labels") or {}
    earlier = [name for name in notes.get(LABELS_NOTE, "").split(",") if name]
    wrong: Dict[str, Optional[str]] = {name: value for name, value in wish.labels.items() if labels.get(name) != value}
    wrong.update({name: None for name in earlier if name not in wish.labels and name in labels})
    noted = {LABELS_NOTE: ",".join(sorted(wish.labels)), TAINTS_NOTE: ",".join(sorted(map(_taint_id, wish.taints)))}
    stale = {name: value for name, value in noted.items() if notes.get(name, "") != value}
    patch: Object = {}
    if wrong or stale:
        patch["metadata"] = {**({"labels": wrong} if wrong else {}), **({"annotations": stale} if stale else {})}
    taints = _taints(node["spec"].get("taints") or [], wish.taints, notes.get(TAINTS_NOTE, ""))
    if taints is not None:
        patch["spec"] = {"taints": taints}
    return patch


def _taints(
    found: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, str]], noted: str
) -> Optional[List[Dict[str, Any]]]:
    """All taints of a node. Those that Kubernetes sets and takes away by itself stay."""
    ours = set(noted.split(",")) | set(map(_taint_id, wanted))
    kept = [dict(taint) for taint in found if _taint_id(taint) not in ours]
    given = {_taint_id(taint): dict(taint) for taint in found}
    new = kept + [given[_taint_id(taint)] if _same(given, taint) else dict(taint) for taint in wanted]
    return None if _by_id(new) == _by_id(found) else new


def _same(given: Mapping[str, Mapping[str, Any]], taint: Mapping[str, str]) -> bool:
    known = given.get(_taint_id(taint))
    return known is not None and known.get("value", "") == taint.get("value", "")


def _by_id(taints: Sequence[Mapping[str, Any]]) -> Dict[str, str]:
    return {_taint_id(taint): str(taint.get("value", "")) for taint in taints}


def _taint_id(taint: Mapping[str, Any]) -> str:
    return f"{taint['key']}:{taint['effect']}"


def rolled_out(item: Mapping[str, Any]) -> bool:
    """Whether all pods of a DaemonSet or Deployment are there, as they are wished now, or a Job is done."""
    status = item.get("status") or {}
    if item["kind"] == "Job":
        return _says(item, "Complete")
    if status.get("observedGeneration", 0) < item["metadata"].get("generation", 0):
        return False
    if item["kind"] == "DaemonSet":
        wished, counts = status.get("desiredNumberScheduled", 0), ["updatedNumberScheduled", "numberAvailable"]
    else:
        wished, counts = item["spec"].get("replicas", 1), ["updatedReplicas", "availableReplicas", "replicas"]
    return all(status.get(count, 0) == wished for count in counts)


def failed(item: Mapping[str, Any]) -> bool:
    """Whether a Job has given up."""
    return item["kind"] == "Job" and _says(item, "Failed")


def ready(node: Mapping[str, Any]) -> bool:
    return _says(node, "Ready")


def _says(item: Mapping[str, Any], word: str) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or []
    return any(condition["type"] == word and condition["status"] == "True" for condition in conditions)


def own_rollouts(items: Sequence[Mapping[str, Any]]) -> List[str]:
    """What among the objects has pods, as `rollouts` names it."""
    return [str(key_of(item)) for item in items if item["kind"] in ("DaemonSet", "Deployment", "Job")]
