"""From where a build fetches."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import SourceError, Sources

RULES = [
    {"from": "https://github.com/", "to": "https://nexus.bank.internal/github/"},
    {"from": "https://github.com/etcd-io/", "to": "https://etcd.bank.internal/"},
    {"from": "registry.k8s.io/", "to": "harbor.bank.internal/k8s/"},
]


def test_the_longest_beginning_counts() -> None:
    sources = Sources.parse(RULES)
    assert sources.of("https://github.com/etcd-io/etcd") == "https://etcd.bank.internal/etcd"
    assert sources.of("https://github.com/helm/helm") == "https://nexus.bank.internal/github/helm/helm"
    assert sources.of("registry.k8s.io/pause") == "harbor.bank.internal/k8s/pause"


def test_without_a_rule_upstream_is_asked() -> None:
    sources = Sources.parse(RULES)
    assert sources.of("https://get.helm.sh/helm.tar.gz") == "https://get.helm.sh/helm.tar.gz"
    assert not sources.replaced("https://get.helm.sh/")
    assert sources.replaced("registry.k8s.io/pause")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("https://github.com/", "rule 1 is not a mapping of from and to"),
        ({"from": "https://github.com/"}, "rule 1 is not a mapping of from and to"),
        ({"from": "", "to": "x"}, "from and to must not be empty"),
        ({"from": "https://github.com/", "to": "https://nexus"}, "must both end with a slash"),
        ({"from": "https://github.com/", "to": "nexus/"}, "must both name a protocol"),
        ({"from": "https://github.com/", "to": "https://me:secret@nexus/"}, "rule 1 has a name or a password in it"),
        ({"from": "registry.k8s.io/", "to": "me:secret@harbor/"}, "rule 1 has a name or a password in it"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule: Any, words: str) -> None:
    with pytest.raises(SourceError, match=words) as refusal:
        Sources.parse([rule])
    assert "secret" not in str(refusal.value)


def test_two_rules_for_one_beginning_are_refused() -> None:
    with pytest.raises(SourceError, match=r"rule 4: there is a rule for https://github\.com/ already"):
        Sources.parse([*RULES, RULES[0]])
