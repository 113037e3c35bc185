# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is of a Kubernetes cluster, and what has to happen to it. No Ansible, no I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
import ssl
import string
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

# A host holds nothing of Kubernetes, kubeadm began with it and did not end, or it is part of a cluster.
FRESH, BEGUN, MEMBER = "fresh", "begun", "member"
INIT, JOIN = "init", "join"


class KubeadmError(Exception):
    """The host cannot become what the inventory says; the text is for the user."""


class Access(NamedTuple):
    """What a kubeconfig says of its cluster. `authority`: SHA-256 of the certificate of the authority."""

    cluster: str
    server: str
    authority: str


class Found(NamedTuple):
    """What stands on a host. `record`: what kubeadm began here and is not known to have ended, `init` or `join`."""

    record: str = ""
    kubelet: Optional[Access] = None
    admin: Optional[Access] = None
    manifests: Sequence[str] = ()
    # What else of an earlier cluster is there, by path.
    rest: Sequence[str] = ()


class Wish(NamedTuple):
    """What the inventory says of a host. `endpoint`: address and port of the Kubernetes API."""

    host: str
    cluster: str
    endpoint: str
    control_plane: bool


def parse_access(kubeconfig: str) -> Access:
    """The first cluster of a kubeconfig as kubeadm writes it. Python of the host knows no YAML."""
    data = _field(kubeconfig, "certificate-authority-data")
    try:
        authority = fingerprint(base64.b64decode(data, validate=True).decode())
    except (binascii.Error, UnicodeDecodeError, ValueError):
        authority = ""
    clusters = kubeconfig.partition("clusters:")[2].partition("contexts:")[0]
    return Access(_field(clusters, "name"), _field(clusters, "server"), authority)


def _field(text: str, name: str) -> str:
    match = re.search(rf"^[\s-]*{name}:\s*\"?([^\s\"]+)", text, re.MULTILINE)
    return match[1] if match else ""


def fingerprint(pem: str) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.strip())).hexdigest()


def state_of(found: Found, wish: Wish) -> str:
    """What the host is, if that is compatible with what the inventory says."""
    if found.record:
        return BEGUN
    if found.kubelet is None:
        leftovers = [*found.manifests, *found.rest]
        if leftovers:
            raise KubeadmError(
                f"host {wish.host}: no cluster of this site, and yet there are {_listed(leftovers)}. Wanted is a host"
                f" without them. If nobody needs what they belong to: `kubeadm reset` on {wish.host}, then run again."
            )
        return FRESH
    holds_api = "kube-apiserver.yaml" in found.manifests
    if wish.control_plane != holds_api:
        is_, wanted = ("a control plane", "a worker") if holds_api else ("a worker", "a control plane")
        raise KubeadmError(
            f"host {wish.host}: it is {is_} of a cluster, and {wanted} in the inventory. Wanted is one and the same:"
            f" change its group, or take it out of the cluster and `kubeadm reset` it."
        )
    if found.admin:
        _refuse_foreign(found.admin, wish)
    return MEMBER


def action(found: Found, what: str) -> str:
    """What is to happen, as far as the files of the host tell: `init` or `join`, `anew` after a killed run, `none`."""
    if found.record:
        return "anew"
    return "none" if found.kubelet else what


def _refuse_foreign(admin: Access, wish: Wish) -> None:
    if admin.cluster != wish.cluster:
        raise KubeadmError(
            f"host {wish.host}: it is a control plane of the cluster {admin.cluster or 'without a name'}, wanted is"
            f" {wish.cluster}, the site_name of the inventory. Nothing was changed."
        )
    if admin.server != f"https://{wish.endpoint}":
        raise KubeadmError(
            f"host {wish.host}: the cluster was made with the API at {admin.server}, the inventory says"
            f" https://{wish.endpoint} (site_endpoints.kube-api). Its certificates and hosts know the first one only."
            " Nothing was changed."
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


class Plan(NamedTuple):
    """`first`: the control plane that has the cluster or makes it. `init`: it is to be made. `join`: who comes in."""

    first: str
    init: bool
    join: List[str]
    # Hosts of which the cluster may know from a join that was broken off.
    forget: List[str]

    def as_dict(self) -> Dict[str, Any]:
        return dict(self._asdict())


def plan(control_planes: Sequence[str], workers: Sequence[str], nodes: Mapping[str, Mapping[str, Any]]) -> Plan:
    """Who makes the cluster, and who joins it. `nodes`: what each host of this run said of itself."""
    members = [host for host in control_planes if _state(nodes, host) == MEMBER]
    if not members:
        return _founding(control_planes, workers, nodes)
    first = members[0]
    _refuse_others(first, nodes)
    join = [host for host in _all(control_planes, workers) if _state(nodes, host) in (FRESH, BEGUN)]
    return Plan(first, False, join, [host for host in join if _state(nodes, host) == BEGUN])


def _founding(control_planes: Sequence[str], workers: Sequence[str], nodes: Mapping[str, Mapping[str, Any]]) -> Plan:
    unseen = [host for host in control_planes if not _state(nodes, host)]
    if unseen:
        raise KubeadmError(
            f"No control plane of this run has the cluster, and whether {', '.join(unseen)} has it is not known: run"
            " without --limit, on all hosts of the groups control_plane and workers."
        )
    strangers = [host for host in workers if _state(nodes, host) == MEMBER]
    if strangers:
        raise KubeadmError(
            f"{', '.join(strangers)} belongs to a cluster, and no control plane of the inventory has one. A new cluster"
            f" beside it would lose it. If nobody needs it: `kubeadm reset` on {', '.join(strangers)}, then run again."
        )
    begun = [host for host in control_planes if nodes[host].get("record") == INIT]
    first = begun[0] if begun else control_planes[0]
    others = [host for host in _all(control_planes, workers) if host != first and _state(nodes, host)]
    return Plan(first, True, others, [])


def _refuse_others(first: str, nodes: Mapping[str, Mapping[str, Any]]) -> None:
    authority = nodes[first]["authority"]
    for host, node in sorted(nodes.items()):
        if node["state"] == MEMBER and node["authority"] != authority:
            raise KubeadmError(
                f"host {host}: it belongs to another cluster than {first}, as their authorities differ"
                f" ({node['authority'][:12]}, {authority[:12]}). If nobody needs that one: `kubeadm reset` on {host}."
            )


def _state(nodes: Mapping[str, Mapping[str, Any]], host: str) -> str:
    return str(nodes.get(host, {}).get("state", ""))


def _all(control_planes: Sequence[str], workers: Sequence[str]) -> List[str]:
    """Each host once, the control planes first: they join first."""
    return list(dict.fromkeys([*control_planes, *workers]))


def random_text(length: int) -> str:
    """What a token of kubeadm is made of."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _position in range(length))


TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
KEY = re.compile(r"(?<!sha256:)\b[0-9a-f]{64}\b")


def without_secrets(text: str) -> str:
    """What kubeadm said, without the tokens and keys that it likes to print."""
    return KEY.sub("(key)", TOKEN.sub("(token)", text))


def reason(out: str, err: str) -> str:
    """Why kubeadm failed: its errors, or its last words."""
    text = without_secrets(f"{out}\n{err}")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"\[ERROR |error:|error execution phase|.*\[ERROR ", line)]
    return "\n".join(errors or lines[-8:])
