"""The secrets of a site."""

from __future__ import annotations

import base64
import re

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.dify_secrets import OWN
from ansible_collections.onprem.dify.plugins.module_utils.secret_forms import FORMS, is_published_default
from ansible_collections.onprem.dify.plugins.module_utils.site import GROUPS
from ansible_collections.onprem.dify.plugins.module_utils.site_secrets import (
    RotationError,
    complete,
    forms_of,
    needed,
    rotate,
    table,
    tenants_of,
)

EVERY_GROUP = {group: ["a host"] for group in ["all", *GROUPS]}
OF_DIFY = [f"dify_{name}" for name in OWN]


def test_a_site_needs_the_secrets_of_its_groups_only() -> None:
    assert needed({"workers": ["worker1"], "database": []}) == OF_DIFY


def test_a_given_service_needs_the_secrets_of_applications_only() -> None:
    groups = {"workers": ["worker1"], "database": []}
    assert needed(groups, ["time", "postgres", "redis"]) == [
        "postgres_dify",
        "postgres_dify_plugin",
        "postgres_dify_vector",
        "redis_dify",
        *OF_DIFY,
    ]
    assert len(needed({}, ["s3"])) == 6
    assert needed({"database": ["db1"]}, ["postgres"]) == needed({"database": ["db1"]})
    assert len(complete({}, groups, ["redis"])["redis_dify"]) == 32


def test_what_is_stored_elsewhere_needs_no_keys_whoever_runs_the_store() -> None:
    storage = {"uploads": "nfs", "plugins": "local", "backups": "s3"}
    assert needed({}, ["s3"], storage) == ["s3_backup_access_key", "s3_backup_secret_key"]
    ours = needed({"objects": ["db1"]}, (), storage)
    assert set(needed({"objects": ["db1"]})) - set(ours) == {
        f"s3_{name}_{part}_key" for name in ("dify", "dify_plugin") for part in ("access", "secret")
    }
    assert set(complete({}, {}, ["s3"], storage)) == {"s3_backup_access_key", "s3_backup_secret_key"}


@pytest.mark.parametrize("secret", ["wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEK=", "a1b2c3d4e5f6g7h8"])
def test_keys_that_a_store_of_the_site_made_are_accepted(secret: str) -> None:
    assert re.fullmatch(FORMS[forms_of()["s3_dify_secret_key"]].pattern, secret)


def test_existing_secrets_stay_as_they_are() -> None:
    before = {"redis_dify": "old", "own_of_the_site": "kept", "redis_sentinel": None}
    after = complete(before, {"cache": ["cache1"]})
    assert after["redis_dify"] == "old"
    assert after["own_of_the_site"] == "kept"
    assert len(after["redis_sentinel"]) == 32


def test_every_made_secret_has_its_form_and_none_occurs_twice() -> None:
    made = complete({}, EVERY_GROUP)
    assert list(made) == [secret.name for secret in table()]
    assert len(set(made.values())) == len(made)
    for name, value in made.items():
        form = FORMS[forms_of()[name]]
        assert re.fullmatch(form.pattern, value), name
        assert form.minimum <= len(value) <= (form.maximum or 100), name
    assert len(base64.b64decode(made["dify_secret_key"])) == 42


@pytest.mark.parametrize("value", ["difyai123456", "DifyAI123456", "please-change-me-now-1", "<your password>"])
def test_published_defaults_and_placeholders_are_known(value: str) -> None:
    assert is_published_default(value)


def test_the_table_names_groups_that_exist() -> None:
    assert {secret.group for secret in table()} <= set(EVERY_GROUP)


def test_the_key_of_the_agents_is_32_bytes_in_base64url_without_padding() -> None:
    for _attempt in range(50):
        value = FORMS["base64url_key"].make()
        assert re.fullmatch(FORMS["base64url_key"].pattern, value)
        assert len(base64.urlsafe_b64decode(value + "=")) == 32


@pytest.mark.parametrize("value", ["A" * 42, "A" * 44, "A" * 42 + "B", "A" * 42 + "=", "+" + "A" * 42])
def test_another_key_of_the_agents_is_not_taken(value: str) -> None:
    assert not re.fullmatch(FORMS["base64url_key"].pattern, value)


def test_the_gate_of_the_first_administrator_takes_no_more_than_thirty_characters() -> None:
    form = FORMS[forms_of()["dify_init_password"]]
    assert form.maximum == 30
    assert len(form.make()) <= 30


def test_the_password_of_a_person_has_letters_and_digits() -> None:
    form = FORMS["login"]
    assert all(re.fullmatch(form.pattern, form.make()) for _attempt in range(50))
    assert not re.fullmatch(form.pattern, "a" * 32)
    assert not re.fullmatch(form.pattern, "1" * 32)


def test_each_tenant_has_secrets_of_its_own() -> None:
    both = complete({}, EVERY_GROUP, tenants=["dify", "dify-finance"])
    assert len(set(both.values())) == len(both)
    assert {"postgres_dify_finance_vector", "redis_dify_finance", "s3_dify_finance_plugin_secret_key"} <= set(both)
    assert len(base64.b64decode(both["dify_finance_secret_key"])) == 42
    alone = complete({}, EVERY_GROUP, tenants=["research"])
    assert not [name for name in alone if "dify" in name]


def test_what_is_stored_elsewhere_needs_no_keys_of_any_tenant() -> None:
    made = needed(EVERY_GROUP, (), {"uploads": "nfs"}, ["dify", "finance"])
    assert "s3_finance_access_key" not in made
    assert "s3_dify_access_key" not in made
    assert "s3_finance_plugin_access_key" in made


def test_a_secret_is_rotated_and_the_others_stay() -> None:
    before = complete({}, EVERY_GROUP)
    after = rotate(before, ["dify_sandbox_key", "dify_agent_stub_key"], EVERY_GROUP)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"dify_sandbox_key", "dify_agent_stub_key"}
    assert re.fullmatch(FORMS["base64url_key"].pattern, after["dify_agent_stub_key"])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("dify_secret_key", "never rotated: what Dify has stored"),
        ("dify_admin_password", "never rotated: it is that of the first login"),
        ("pki_root_key", "never rotated: it opens a key of the authority"),
        ("s3_filer_signing_key", "never rotated: members of the object store"),
        ("dify_sandbox", "unknown, wanted: dify_sandbox_key"),
    ],
)
def test_what_may_not_rotate_is_refused_with_the_reason(name: str, why: str) -> None:
    before = complete({}, EVERY_GROUP)
    with pytest.raises(RotationError, match=why):
        rotate(before, ["dify_sandbox_key", name], EVERY_GROUP)


def test_a_password_of_a_service_that_the_site_gives_is_not_rotated_here() -> None:
    groups = {**EVERY_GROUP, "database": []}
    before = complete({}, groups, ["postgres"])
    with pytest.raises(RotationError, match="belongs to a service that the site gives"):
        rotate(before, ["postgres_dify"], groups, ["postgres"])
    ours = complete({}, EVERY_GROUP, ["postgres"])
    assert rotate(ours, ["postgres_dify"], EVERY_GROUP, ["postgres"])["postgres_dify"] != ours["postgres_dify"]


def test_a_secret_that_is_not_there_is_made_and_not_rotated() -> None:
    with pytest.raises(RotationError, match="not there yet"):
        rotate({}, ["dify_sandbox_key"], EVERY_GROUP)


def test_tenants_are_read_as_far_as_they_make_sense() -> None:
    assert tenants_of([{"name": "dify"}, {"hostname": "x"}, "word", {"name": "finance"}]) == ["dify", "finance"]
    assert tenants_of("dify") == []
