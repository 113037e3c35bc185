"""The secrets of a site."""

from __future__ import annotations

import base64
import re

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.site import GROUPS
from ansible_collections.onprem.dify.plugins.module_utils.site_secrets import (
    FORM_OF,
    FORMS,
    TABLE,
    complete,
    is_published_default,
    needed,
)

EVERY_GROUP = {group: ["a host"] for group in ["all", *GROUPS]}


def test_a_site_needs_the_secrets_of_its_groups_only() -> None:
    assert needed({"workers": ["worker1"], "database": []}) == ["dify_secret_key"]


def test_a_given_service_needs_the_secrets_of_applications_only() -> None:
    groups = {"workers": ["worker1"], "database": []}
    assert needed(groups, ["time", "postgres", "redis"]) == [
        "postgres_dify",
        "postgres_dify_plugin",
        "postgres_dify_vector",
        "redis_dify",
        "dify_secret_key",
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
    assert re.fullmatch(FORMS[FORM_OF["s3_dify_secret_key"]].pattern, secret)


def test_existing_secrets_stay_as_they_are() -> None:
    before = {"redis_dify": "old", "own_of_the_site": "kept", "redis_sentinel": None}
    after = complete(before, {"cache": ["cache1"]})
    assert after["redis_dify"] == "old"
    assert after["own_of_the_site"] == "kept"
    assert len(after["redis_sentinel"]) == 32


def test_every_made_secret_has_its_form_and_none_occurs_twice() -> None:
    made = complete({}, EVERY_GROUP)
    assert list(made) == [name for name, _group, _form in TABLE]
    assert len(set(made.values())) == len(made)
    for name, value in made.items():
        form = FORMS[FORM_OF[name]]
        assert re.fullmatch(form.pattern, value), name
        assert len(value) >= form.minimum, name
    assert len(base64.b64decode(made["dify_secret_key"])) == 42


@pytest.mark.parametrize("value", ["difyai123456", "DifyAI123456", "please-change-me-now-1", "<your password>"])
def test_published_defaults_and_placeholders_are_known(value: str) -> None:
    assert is_published_default(value)


def test_the_table_names_groups_that_exist() -> None:
    assert {group for _name, group, _form in TABLE} <= set(EVERY_GROUP)
