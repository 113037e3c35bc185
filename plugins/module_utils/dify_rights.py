# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what with a tenant: templates of roles, and the groups that have them. No Ansible, no I/O."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Sequence

from ansible_collections.onprem.dify.plugins.module_utils.dify_tenants import Fault
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import one_of

Rule = Dict[str, List[str]]
Templates = Mapping[str, Mapping[str, Any]]

_LOOK = ["get", "list", "watch"]
# Each right with what it means in Kubernetes. Secrets are in none of them: who may read those is the tenant.
RIGHTS: Dict[str, List[Rule]] = {
    # To the sign-on in front of Dify, and nothing to Kubernetes.
    "use": [],
    "edit": [],
    "manage": [],
    "see": [
        {
            "apiGroups": [""],
            "resources": ["configmaps", "endpoints", "events", "pods", "resourcequotas", "services"],
            "verbs": _LOOK,
        },
        {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": _LOOK},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": _LOOK},
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": _LOOK},
        {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": _LOOK},
    ],
    "logs": [{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}],
    # A pod that is deleted comes back by itself.
    "restart": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]}],
    "scale": [{"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch", "update"]}],
}


class RightsError(Exception):
    """The templates contradict each other; the text is for the user."""


def effective(templates: Templates, role: str) -> List[str]:
    """The rights of a role with those that it inherits, each once, in the order of RIGHTS."""
    held: List[str] = []
    _collect(templates, role, [], held)
    return [right for right in RIGHTS if right in held]


def _collect(templates: Templates, role: str, above: Sequence[str], held: List[str]) -> None:
    if role in above:
        raise RightsError(
            f"{role} inherits from itself, by way of {', '.join([*above[above.index(role) + 1 :], role])}"
        )
    if role not in templates:
        raise RightsError(f"there is no role {role}, wanted: {one_of(role, list(templates))}")
    template = templates[role]
    for part in ("rights", "inherits"):
        if not isinstance(template.get(part) or [], (list, tuple)):
            raise RightsError(f"{part} of {role} is {template[part]}, wanted: a list")
    for right in template.get("rights") or ():
        if right not in RIGHTS:
            raise RightsError(f"{role} has the right {right}, wanted: {one_of(right, list(RIGHTS))}")
        held.append(right)
    for parent in template.get("inherits") or ():
        _collect(templates, parent, [*above, role], held)


def of_groups(templates: Templates, groups: Mapping[str, Sequence[str]]) -> Dict[str, List[str]]:
    """The rights of every group of a tenant; a group may have several roles."""
    found = {}
    for group, roles in groups.items():
        held = {right for role in roles for right in effective(templates, role)}
        found[group] = [right for right in RIGHTS if right in held]
    return found


def faults(templates: Templates, tenants: Sequence[Any]) -> Iterator[Fault]:
    """Faults of the templates have their place in `dify_role_templates`, those of groups in `dify_tenants`."""
    for role in templates:
        try:
            effective(templates, role)
        except RightsError as error:
            wrong, _comma, wanted = str(error).partition(", wanted: ")
            yield Fault("role-template", f".{role}", f"wrong: {wrong}", wanted or "no circle")
    for number, tenant in enumerate(tenants):
        groups = tenant.get("groups") if isinstance(tenant, Mapping) else None
        for group, roles in (groups if isinstance(groups, Mapping) else {}).items():
            place = f"[{number}].groups.{group}"
            if not isinstance(roles, (list, tuple)):
                yield Fault("tenant-groups", place, "not a list", "the roles of the group, as a list")
                continue
            for role in roles:
                if role not in templates:
                    yield Fault("tenant-groups", place, str(role), one_of(str(role), list(templates)))


def objects(
    templates: Templates, tenant: Mapping[str, Any], namespaces: Sequence[str], labels: Mapping[str, str]
) -> List[Dict[str, Any]]:
    """A Role for each set of rights that some group has, and a binding for each group, in every namespace."""
    made: List[Dict[str, Any]] = []
    for namespace in namespaces:
        roles: Dict[str, Dict[str, Any]] = {}
        for group, rights in of_groups(templates, tenant["groups"]).items():
            rules = [rule for right in rights for rule in RIGHTS[right]]
            if not rules:
                continue
            name = "-".join(right for right in rights if RIGHTS[right])
            metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
            roles[name] = {"kind": "Role", "metadata": metadata, "rules": rules}
            roles[f"{name}/{group}"] = {
                "kind": "RoleBinding",
                "metadata": {**metadata, "name": f"{name}:{group}"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
            }
        made += [{"apiVersion": "rbac.authorization.k8s.io/v1", **entry} for entry in roles.values()]
    return made
