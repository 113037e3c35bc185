# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From where a build fetches: the upstream of an artefact, or what a rule puts in its place. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.pins import LOGIN, LOGIN_FAULT


class SourceError(Exception):
    """The rules are none; the text is for the user, one fault a line."""


@dataclass(frozen=True)
class Rule:
    """Addresses that begin with `prefix` are asked of `instead`."""

    prefix: str
    instead: str


class Sources:
    """The prefix rules of a site. The longest prefix wins; without a rule the upstream is asked."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = sorted(rules, key=lambda rule: len(rule.prefix), reverse=True)

    @classmethod
    def parse(cls, values: Any) -> Sources:
        faults: list[str] = []
        rules: dict[str, Rule] = {}
        for number, value in enumerate(values or [], start=1):
            where = f"bundle_sources: rule {number}"
            if not isinstance(value, Mapping) or set(value) != {"from", "to"}:
                faults.append(f"{where} is not a mapping of from and to")
                continue
            rule = Rule(str(value["from"]), str(value["to"]))
            if LOGIN.match(rule.prefix) or LOGIN.match(rule.instead):
                faults.append(f"{where} {LOGIN_FAULT}")
                continue
            if not rule.prefix or not rule.instead:
                faults.append(f"{where}: from and to must not be empty")
            elif rule.prefix.endswith("/") != rule.instead.endswith("/"):
                faults.append(f"{where}: {rule.prefix} and {rule.instead} must both end with a slash, or neither")
            elif ("://" in rule.prefix) != ("://" in rule.instead):
                faults.append(f"{where}: {rule.prefix} and {rule.instead} must both name a protocol, or neither")
            elif rule.prefix in rules:
                faults.append(f"{where}: there is a rule for {rule.prefix} already")
            rules[rule.prefix] = rule
        if faults:
            raise SourceError("\n".join(faults))
        return cls(rules.values())

    def of(self, upstream: str) -> str:
        """The address to ask for this upstream address, or name of an image."""
        for rule in self.rules:
            if upstream.startswith(rule.prefix):
                return rule.instead + upstream.removeprefix(rule.prefix)
        return upstream

    def replaced(self, upstream: str) -> bool:
        return any(upstream.startswith(rule.prefix) for rule in self.rules)
