"""Where a site keeps its files: which buckets, volumes and keys follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.onprem.dify.plugins.module_utils.storage import (
    PURPOSES,
    VARIABLES,
    secrets_elsewhere,
    stored_on,
)

ROLES = Path(__file__).resolve().parents[4] / "roles"
BUCKETS = [{"name": "dify", "purpose": "uploads"}, {"name": "backup", "purpose": "backups"}, {"name": "records"}]


def options(role: str) -> dict[str, Any]:
    text = (ROLES / role / "meta/argument_specs.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return found


@pytest.mark.parametrize(
    ("kind", "storage", "names"),
    [
        ("s3", {"uploads": "s3", "backups": "s3"}, ["dify", "backup", "records"]),
        ("s3", {"uploads": "local", "backups": "s3"}, ["backup", "records"]),
        ("nfs", {"uploads": "nfs", "backups": "local"}, ["dify", "records"]),
    ],
)
def test_what_is_stored_elsewhere_is_left_out_and_what_has_no_purpose_is_not(
    kind: str, storage: dict[str, str], names: list[str]
) -> None:
    assert stored_on(kind, BUCKETS, storage) == [{"name": name} for name in names]


def test_keys_of_buckets_that_are_not_used_are_named() -> None:
    assert secrets_elsewhere({}, ["dify"]) == secrets_elsewhere(dict.fromkeys(PURPOSES, "s3"), ["dify"]) == set()
    assert secrets_elsewhere({"uploads": "s3", "plugins": "nfs"}, ["dify"]) == {
        "s3_dify_plugin_access_key",
        "s3_dify_plugin_secret_key",
    }


def test_each_purpose_is_a_variable_of_the_site_with_a_bucket_and_where_it_may_be_on_nfs_a_volume() -> None:
    choices = {name: options("site")[variable]["choices"] for name, variable in VARIABLES.items()}
    buckets = {entry["purpose"]: entry["secret"] for entry in options("objects")["objects_buckets"]["default"]}
    assert buckets == {name: purpose.secret.format(tenant="dify") for name, purpose in PURPOSES.items()}
    volumes = [entry["purpose"] for entry in options("files")["files_volumes"]["default"]]
    # Claims of Kubernetes follow from the storage classes.
    assert volumes == [*(name for name, kinds in choices.items() if "nfs" in kinds), "claims"]


@pytest.mark.parametrize(
    ("role", "variable"), [("objects", "objects_buckets"), ("files", "files_volumes"), ("external", "external_s3")]
)
def test_a_list_takes_the_purposes_that_there_are(role: str, variable: str) -> None:
    entry = options(role)[variable]["options"]
    entry = entry["buckets"]["options"] if variable == "external_s3" else entry
    wanted = {*PURPOSES, "claims"} - {"backups"} if role == "files" else set(PURPOSES)
    assert set(entry["purpose"]["choices"]) == wanted
