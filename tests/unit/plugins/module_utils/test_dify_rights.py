"""Roles inherit, groups have roles, and Kubernetes hears of it."""

from __future__ import annotations

from typing import Any

import pytest
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils import dify_rights
from ansible_collections.onprem.dify.plugins.module_utils.dify_rights import RIGHTS, RightsError

TEMPLATES = difys.load("roles/dify/defaults/main.yml")["dify_role_templates"]


def test_the_delivered_roles() -> None:
    assert dify_rights.effective(TEMPLATES, "viewer") == ["use", "see"]
    assert dify_rights.effective(TEMPLATES, "builder") == ["use", "edit", "see"]
    assert dify_rights.effective(TEMPLATES, "operator") == ["use", "see", "logs", "restart", "scale"]
    assert dify_rights.effective(TEMPLATES, "owner") == list(RIGHTS)


def test_a_right_that_comes_by_two_ways_is_held_once() -> None:
    templates = {"a": {"rights": ["see"]}, "b": {"inherits": ["a"]}, "c": {"inherits": ["a", "b"], "rights": ["see"]}}
    assert dify_rights.effective(templates, "c") == ["see"]


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ({"a": {"inherits": ["b"]}, "b": {"inherits": ["a"]}}, "a inherits from itself, by way of b, a"),
        ({"a": {"inherits": ["a"]}}, "a inherits from itself, by way of a"),
        ({"viewer": {}, "a": {"inherits": ["viewr"]}}, "there is no role viewr, wanted: viewer"),
        ({"a": {"rights": ["log"]}}, "a has the right log, wanted: logs"),
        ({"a": {"rights": "see"}}, "rights of a is see, wanted: a list"),
    ],
)
def test_templates_that_make_no_sense_are_refused(templates: Any, message: str) -> None:
    with pytest.raises(RightsError, match=message):
        dify_rights.effective(templates, "a")


def test_a_group_has_the_rights_of_all_its_roles() -> None:
    groups = {"staff": ["viewer"], "ops": ["operator", "builder"], "guests": []}
    found = dify_rights.of_groups(TEMPLATES, groups)
    assert found["staff"] == ["use", "see"]
    assert found["ops"] == ["use", "edit", "see", "logs", "restart", "scale"]
    assert found["guests"] == []


def test_faults_of_templates_and_groups_have_their_places() -> None:
    templates = {"a": {"inherits": ["b"]}, "b": {"rights": ["logz"]}}
    tenants = [{"name": "dify", "groups": {"staff": ["c"], "ops": "a"}}, "no tenant"]
    found = [(fault.check, fault.place, fault.found, fault.wanted) for fault in dify_rights.faults(templates, tenants)]
    assert found == [
        ("role-template", ".a", "wrong: b has the right logz", "logs"),
        ("role-template", ".b", "wrong: b has the right logz", "logs"),
        ("tenant-groups", "[0].groups.staff", "c", "one of a, b"),
        ("tenant-groups", "[0].groups.ops", "not a list", "the roles of the group, as a list"),
    ]


def test_groups_are_bound_to_their_rights_in_both_namespaces() -> None:
    made = difys.objects({"groups": {"ops": ["operator"], "staff": ["viewer"], "users": ["viewer"]}})
    bindings = difys.of(made, "RoleBinding")
    assert {entry["metadata"]["namespace"] for entry in bindings} == {"dify", "dify-sandbox"}
    assert {entry["metadata"]["name"] for entry in bindings} == {"see-logs-restart-scale:ops", "see:staff", "see:users"}
    roles = {(entry["metadata"]["namespace"], entry["metadata"]["name"]) for entry in difys.of(made, "Role")}
    assert {(entry["metadata"]["namespace"], entry["roleRef"]["name"]) for entry in bindings} == roles


def test_who_may_only_use_dify_gets_nothing_in_kubernetes() -> None:
    made = difys.objects({"groups": {"users": ["user"]}}, templates={"user": {"rights": ["use"]}})
    assert difys.of(made, "Role") == []
    assert difys.of(made, "RoleBinding") == []


def test_no_right_is_a_wildcard_or_reaches_secrets() -> None:
    for rule in [rule for rules in RIGHTS.values() for rule in rules]:
        words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert "*" not in words
        assert "secrets" not in words
        assert not {"create", "impersonate", "bind", "escalate", "pods/exec"} & set(words)
