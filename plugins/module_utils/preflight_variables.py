# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of an inventory: names, types and values of variables, against what the roles declare."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.preflight_groups import LABEL, is_host_name
from ansible_collections.onprem.dify.plugins.module_utils.preflight_model import (
    NOT_SET,
    SITE,
    Finding,
    Inventory,
    nearest,
    one_of,
    show,
    type_fits,
)

CHECKS = {
    "variable-unknown": "Every site_* variable is known, and no variable is a misspelt one of a role",
    "variable-missing": "Variables without a default are set",
    "variable-type": "Variables have the type that the role declares",
    "variable-value": "Variables have a value that the role supports",
    "variable-differs": "Variables of the site are the same on all hosts",
    "variable-template": "The templates in variables can be worked out",
    "site-name": "The site's name is a DNS label",
    "site-domain": "The site's domain is a DNS domain of two or more labels",
}

PER_HOST = ("site_address",)
# How close a variable must be to a known one to be called a misspelling: a user may have variables of their own.
CLOSE = 0.87

Problem = Tuple[str, str, str, str]


def findings(inventory: Inventory) -> Iterator[Finding]:
    yield from _names(inventory)
    yield from _missing(inventory)
    yield from _values(inventory)
    yield from _differences(inventory)
    yield from _templates(inventory)
    yield from _site(inventory)


def _names(inventory: Inventory) -> Iterator[Finding]:
    for name, hosts in _hosts_by_variable(inventory).items():
        if name in inventory.known:
            continue
        own = name.startswith("site_")
        close = nearest(name, inventory.known, cutoff=0.6 if own else CLOSE)
        if own or close:
            wanted = close or "a variable of docs/inventory.md"
            yield Finding("variable-unknown", _where(inventory, hosts), name, "unknown", wanted)


def _missing(inventory: Inventory) -> Iterator[Finding]:
    for name, option in inventory.known.items():
        without = [
            host
            for host, variables in inventory.hosts.items()
            if name not in variables and name not in inventory.broken.get(host, {})
        ]
        # A variable of a role that a site may not use is asked for by the role itself.
        if option.get("required") and name.startswith("site_") and without:
            yield Finding(
                "variable-missing", _where(inventory, without), name, NOT_SET, str(option["description"]).rstrip(".")
            )


def _values(inventory: Inventory) -> Iterator[Finding]:
    hosts_by_problem: Dict[Problem, List[str]] = {}
    for host, variables in inventory.hosts.items():
        for name, value in variables.items():
            for problem in problems(name, value, inventory.known.get(name, {})):
                hosts_by_problem.setdefault(problem, []).append(host)
    for (check, variable, found, wanted), hosts in hosts_by_problem.items():
        yield Finding(check, _where(inventory, hosts), variable, found, wanted)


def problems(name: str, value: Any, option: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with a value, seen from its argument specification, at any depth."""
    wanted = option.get("type", "str")
    if not option or value is None:
        return
    if not type_fits(value, wanted):
        found = "of another type" if option.get("no_log") else show(value)
        yield (
            "variable-type",
            name,
            found,
            {"dict": "a mapping", "list": "a list", "str": "a text"}.get(wanted, wanted),
        )
        return
    if option.get("choices") and wanted != "list" and value not in option["choices"]:
        yield ("variable-value", name, show(value), "one of " + ", ".join(map(str, option["choices"])))
    if wanted == "list":
        element = {
            "type": option.get("elements", "raw"),
            **{key: option[key] for key in ("options", "choices") if key in option},
        }
        for number, item in enumerate(value):
            yield from problems(f"{name}[{number}]", item, element)
    if wanted == "dict" and option.get("options"):
        for key, item in value.items():
            if key not in option["options"]:
                yield ("variable-value", f"{name}.{key}", "unknown", one_of(str(key), list(option["options"])))
            else:
                yield from problems(f"{name}.{key}", item, option["options"][key])
        for key, inner in option["options"].items():
            if inner.get("required") and key not in value:
                yield ("variable-value", f"{name}.{key}", NOT_SET, str(inner["description"]).rstrip("."))


def _differences(inventory: Inventory) -> Iterator[Finding]:
    for name, hosts in _hosts_by_variable(inventory).items():
        values = {repr(inventory.hosts[host][name]) for host in hosts}
        if (
            name.startswith("site_")
            and name in inventory.known
            and name not in PER_HOST
            and (len(values) > 1 or len(hosts) < len(inventory.hosts))
        ):
            found = "different on some hosts" if len(values) > 1 else f"set on {', '.join(sorted(hosts))} only"
            yield Finding("variable-differs", SITE, name, show(found), "one value, in group_vars/all")


def _templates(inventory: Inventory) -> Iterator[Finding]:
    hosts_by_reason: Dict[Tuple[str, str], List[str]] = {}
    for host, reasons in inventory.broken.items():
        for name, reason in reasons.items():
            hosts_by_reason.setdefault((name, reason), []).append(host)
    for (name, reason), hosts in hosts_by_reason.items():
        yield Finding(
            "variable-template",
            _where(inventory, hosts),
            name,
            f"a template that fails, {show(reason)}",
            "a template that works without a host",
        )


def _site(inventory: Inventory) -> Iterator[Finding]:
    name, domain = (str(inventory.setting(variable)) for variable in ("site_name", "site_domain"))
    if name and not LABEL.fullmatch(name):
        yield Finding("site-name", SITE, "site_name", show(name), "a short name of a-z, 0-9 and -")
    if domain and (not is_host_name(domain) or "." not in domain):
        yield Finding(
            "site-domain", SITE, "site_domain", show(domain), "a domain such as dify.bank.internal, in lower case"
        )


def _hosts_by_variable(inventory: Inventory) -> Dict[str, List[str]]:
    hosts: Dict[str, List[str]] = {}
    for host, variables in inventory.hosts.items():
        for name in variables:
            hosts.setdefault(name, []).append(host)
    return hosts


def _where(inventory: Inventory, hosts: List[str]) -> str:
    return SITE if len(hosts) == len(inventory.hosts) else ", ".join(sorted(hosts))
