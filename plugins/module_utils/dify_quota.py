# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the cluster one Dify may take, and whether that is enough for it. No Ansible, no I/O."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Dict, List, Mapping

from ansible_collections.onprem.dify.plugins.module_utils.dify_build import Build, BuildError
from ansible_collections.onprem.dify.plugins.module_utils.dify_release import ROUTER

UNITS: Dict[str, Fraction] = {"": Fraction(1), "m": Fraction(1, 1000), "k": Fraction(1000)}
UNITS.update({unit: Fraction(1000 ** (power + 2)) for power, unit in enumerate("MGT")})
UNITS.update({f"{unit}i": Fraction(1024 ** (power + 1)) for power, unit in enumerate("KMGT")})


def quantity(text: Any) -> Fraction:
    """A quantity of Kubernetes as a number."""
    match = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(text))
    if not match or match[2] not in UNITS:
        raise BuildError(f"{text} is no quantity of Kubernetes, wanted: one such as 500m or 8Gi")
    return Fraction(match[1]) * UNITS[match[2]]


def needs(build: Build, isolated: bool) -> Dict[str, Fraction]:
    """What the pods of a namespace ask for, with one more of each that is replaced while it runs."""
    found: Dict[str, Fraction] = {}
    sizes = [(build.services[entry["service"]], entry["size"]) for entry in build.deployments().values()]
    sizes += [(service, build.size(name)) for name, service in build.services.items() if service.get("job")]
    sizes.append(({}, build.size(ROUTER)))
    for service, size in sizes:
        if bool(service.get("isolated")) != isolated:
            continue
        pods = size["replicas"] + (0 if service.get("single") or service.get("job") else 1)
        _add(found, "pods", Fraction(pods))
        for kind in ("requests", "limits"):
            for resource, value in size[kind].items():
                _add(found, f"{kind}.{resource}", pods * quantity(value))
    return found


def _add(found: Dict[str, Fraction], name: str, amount: Fraction) -> None:
    found[name] = found.get(name, Fraction(0)) + amount


def quotas(build: Build) -> List[Dict[str, Any]]:
    """That of the tenant for its namespace, and for the sandboxes what they need."""
    wish = {**build.wishes.quota, **build.tenant["quota"]}
    wanted = needs(build, isolated=False)
    short = [
        f"{name} of its pods comes to {_shown(amount)}, its quota is {wish[name]}"
        for name, amount in wanted.items()
        if name in wish and quantity(wish[name]) < amount
    ]
    if short:
        raise BuildError(
            f"tenant {build.tenant['name']}: {'; '.join(short)}. Wanted: a larger quota or smaller dify_workloads"
        )
    hard = wish or {name: _shown(amount) for name, amount in wanted.items()}
    inner = {name: _shown(amount) for name, amount in needs(build, isolated=True).items()}
    return [
        _quota(build, build.tenant["namespace"], hard),
        _quota(build, build.tenant["sandbox_namespace"], inner),
    ]


def _shown(amount: Fraction) -> str:
    """As Kubernetes writes it: in mebibytes, whole numbers or thousandths."""
    if amount >= UNITS["Mi"] and amount % UNITS["Mi"] == 0:
        return f"{amount / UNITS['Mi']}Mi"
    return str(amount.numerator) if amount.denominator == 1 else f"{-(-amount.numerator * 1000 // amount.denominator)}m"


def _quota(build: Build, namespace: str, hard: Mapping[str, Any]) -> Dict[str, Any]:
    values = {name: str(value) for name, value in hard.items()}
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": build.meta("quota", namespace),
        "spec": {"hard": values},
    }
