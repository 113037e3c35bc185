"""Buckets: what is wished, what is there, what must change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import s3, s3_buckets, s3_gateway

SECRETS = {"s3_dify_access_key": "AK", "s3_dify_secret_key": "SK"}


def entry(**more: Any) -> dict[str, Any]:
    return {
        "name": "dify",
        "user": "",
        "access_key": "AK",
        "secret_key": "SK",
        "versioning": False,
        "object_lock": False,
        "noncurrent_days": 0,
        "upload_days": 0,
        **more,
    }


def bucket(**more: Any) -> s3_buckets.Bucket:
    return s3_buckets.parse([entry(**more)])[0]


def actions(wish: s3_buckets.Bucket, found: s3_buckets.Settings | None) -> list[str]:
    return [step.action for step in s3_buckets.plan(wish, found)]


def test_a_missing_bucket_is_made_with_what_it_needs() -> None:
    assert actions(bucket(), None) == ["create"]
    assert actions(bucket(versioning=True, upload_days=7), None) == ["create", "versioning", "lifecycle"]
    # Object Lock brings versioning along.
    assert actions(bucket(object_lock=True), None) == ["create"]


def test_a_bucket_as_wished_is_left_alone() -> None:
    wish = bucket(versioning=True, noncurrent_days=30)
    assert actions(wish, wish.settings) == []


def test_what_differs_is_changed() -> None:
    found = s3_buckets.Settings(True, False, s3.Lifecycle(30, 7))
    assert actions(bucket(noncurrent_days=30, upload_days=7), found) == ["versioning"]
    assert actions(bucket(versioning=True), found) == ["lifecycle"]


def test_object_lock_is_for_new_buckets_and_stays() -> None:
    with pytest.raises(s3_buckets.BucketError, match="found without Object Lock, wanted with it"):
        actions(bucket(object_lock=True), s3_buckets.Settings(True, False, s3.Lifecycle()))
    with pytest.raises(s3_buckets.BucketError, match="has Object Lock"):
        actions(bucket(), s3_buckets.Settings(True, True, s3.Lifecycle()))


def test_a_bucket_stands_in_the_list_once() -> None:
    with pytest.raises(s3_buckets.BucketError, match="listed twice: dify"):
        s3_buckets.parse([entry(), entry()])


def test_keys_come_from_the_secrets_of_the_site() -> None:
    assert s3_buckets.with_keys([{"name": "dify", "secret": "s3_dify"}], SECRETS) == [
        {"name": "dify", "access_key": "AK", "secret_key": "SK"}
    ]
    with pytest.raises(s3_buckets.BucketError, match="found no s3_backup_access_key, s3_backup_secret_key"):
        s3_buckets.with_keys([{"name": "backup", "secret": "s3_backup"}], SECRETS)


class Store:
    """Stands in for a client: answers by method and the first word of the query."""

    def __init__(self, **answers: tuple[int, bytes]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str]] = []

    def request(self, method: str, _bucket: str, **more: Any) -> s3.Response:
        word = next((name.replace("-", "_") for name, _value in more.get("query", [])), "bucket")
        self.asked.append((method, word))
        status, body = self.answers.get(word, (200, b""))
        return s3.Response(status, {}, body)


def error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode()


def test_settings_are_read_as_the_user_sees_them() -> None:
    store = Store(
        versioning=(200, s3.versioning_xml(True)),
        lifecycle=(200, s3.lifecycle_xml(s3.Lifecycle(30, 7))),
        object_lock=(404, error("ObjectLockConfigurationNotFoundError")),
    )
    assert s3_buckets.read(store, bucket()) == s3_buckets.Settings(True, False, s3.Lifecycle(30, 7))  # type: ignore[arg-type]


def test_a_bucket_that_is_not_there_is_none() -> None:
    assert s3_buckets.read(Store(versioning=(404, error("NoSuchBucket"))), bucket()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("InvalidAccessKeyId", "does not know this access key"),
        ("SignatureDoesNotMatch", "secret key is not the one"),
        ("AccessDenied", "lacks the right"),
    ],
)
def test_a_refusal_says_which_of_three_it_is(code: str, hint: str) -> None:
    with pytest.raises(s3_buckets.BucketError, match=hint):
        s3_buckets.read(Store(versioning=(403, error(code))), bucket())  # type: ignore[arg-type]


def test_steps_become_requests() -> None:
    store = Store()
    wish = bucket(versioning=True, noncurrent_days=1)
    s3_buckets.apply(store, wish, s3_buckets.plan(wish, None))  # type: ignore[arg-type]
    assert store.asked == [("PUT", "bucket"), ("PUT", "versioning"), ("PUT", "lifecycle")]
    store = Store()
    s3_buckets.apply(store, bucket(), [s3_buckets.Step("dify", "lifecycle")])  # type: ignore[arg-type]
    assert store.asked == [("DELETE", "lifecycle")]


def test_the_gateway_for_the_moment_knows_each_owner_with_keys_of_its_own() -> None:
    written = json.loads(s3_gateway.identities({"dify": s3.Keys("A", "B")}))
    assert written == {
        "identities": [
            {"name": "dify", "credentials": [{"accessKey": "A", "secretKey": "B"}], "actions": ["Admin"]},
        ]
    }


def test_the_difference_shows_settings_and_no_keys() -> None:
    shown = s3_buckets.diff(bucket(versioning=True, access_key="AKIASECRET", secret_key="VERYSECRET"), None)
    assert "versioning: on" in shown["after"]
    assert "SECRET" not in str(shown)
