# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets of an S3 store: what is wished, what is there, what must change. Asks as the user of each bucket."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.onprem.dify.plugins.module_utils import s3


class BucketError(Exception):
    """A bucket cannot be brought to its wish; the text is for the user."""


class Settings(NamedTuple):
    versioning: bool
    object_lock: bool
    lifecycle: s3.Lifecycle

    def lines(self) -> str:
        return (
            f"versioning: {'on' if self.versioning else 'off'}\n"
            f"object lock: {'on' if self.object_lock else 'off'}\n"
            f"old versions kept for days: {self.lifecycle.noncurrent_days or 'always'}\n"
            f"unfinished uploads kept for days: {self.lifecycle.upload_days or 'always'}\n"
        )


class Bucket(NamedTuple):
    name: str
    user: str
    keys: s3.Keys
    settings: Settings


def with_keys(entries: Sequence[Mapping[str, Any]], secrets: Mapping[str, str]) -> List[Dict[str, Any]]:
    """The buckets with the keys of their users instead of the names of the secrets."""
    wanted = {f"{entry['secret']}_{kind}" for entry in entries for kind in ("access_key", "secret_key")}
    missing = sorted(name for name in wanted if not secrets.get(name))
    if missing:
        raise BucketError(f"site_secrets: found no {', '.join(missing)}. Wanted: the keys of every bucket's user")
    return [
        {
            **{name: value for name, value in entry.items() if name != "secret"},
            "access_key": secrets[f"{entry['secret']}_access_key"],
            "secret_key": secrets[f"{entry['secret']}_secret_key"],
        }
        for entry in entries
    ]


class Step(NamedTuple):
    bucket: str
    action: str


def parse(entries: Sequence[Mapping[str, Any]]) -> List[Bucket]:
    buckets = [
        Bucket(
            entry["name"],
            entry["user"] or entry["name"],
            s3.Keys(entry["access_key"], entry["secret_key"]),
            Settings(
                # A lock is a lock of versions.
                entry["versioning"] or entry["object_lock"],
                entry["object_lock"],
                s3.Lifecycle(entry["noncurrent_days"], entry["upload_days"]),
            ),
        )
        for entry in entries
    ]
    names = [bucket.name for bucket in buckets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BucketError(f"listed twice: {', '.join(twice)}")
    return buckets


def plan(wish: Bucket, found: Optional[Settings]) -> List[Step]:
    """What must change; `found` is None where there is no such bucket."""
    if found is None:
        steps = ["create"]
        found = Settings(wish.settings.object_lock, wish.settings.object_lock, s3.Lifecycle())
    else:
        steps = []
    if wish.settings.object_lock and not found.object_lock:
        raise BucketError(
            f"bucket {wish.name}: found without Object Lock, wanted with it. A store gives it to new buckets only. "
            "Name another bucket, or leave object_lock out"
        )
    if found.object_lock and not wish.settings.versioning:
        raise BucketError(f"bucket {wish.name}: has Object Lock, so its versioning cannot be switched off")
    if wish.settings.versioning != found.versioning:
        steps.append("versioning")
    if wish.settings.lifecycle != found.lifecycle:
        steps.append("lifecycle")
    return [Step(wish.name, step) for step in steps]


def read(client: s3.Client, wish: Bucket) -> Optional[Settings]:
    """The settings of a bucket as its user sees them."""
    answer = client.request("GET", wish.name, query=[("versioning", "")])
    if answer.status == 404 and answer.code == "NoSuchBucket":
        return None
    _must(answer, wish, "read versioning")
    versioning = s3.text(answer.body, "Status") == "Enabled"
    answer = client.request("GET", wish.name, query=[("lifecycle", "")])
    lifecycle = s3.Lifecycle()
    if answer.status != 404:
        lifecycle = s3.parse_lifecycle(_must(answer, wish, "read lifecycle").body)
    locked = False
    if wish.settings.object_lock or versioning:
        answer = client.request("GET", wish.name, query=[("object-lock", "")])
        locked = s3.text(answer.body, "ObjectLockEnabled") == "Enabled"
    return Settings(versioning, locked, lifecycle)


def apply(client: s3.Client, wish: Bucket, steps: Sequence[Step]) -> None:
    actions: Dict[str, Callable[[], s3.Response]] = {
        "create": lambda: client.request(
            "PUT",
            wish.name,
            headers={"x-amz-bucket-object-lock-enabled": "true"} if wish.settings.object_lock else {},
        ),
        "versioning": lambda: client.request(
            "PUT",
            wish.name,
            query=[("versioning", "")],
            body=s3.versioning_xml(wish.settings.versioning),
            checksum=True,
        ),
        "lifecycle": lambda: _lifecycle(client, wish),
    }
    for step in steps:
        _must(s3.patiently(actions[step.action], 30), wish, step.action)


def _lifecycle(client: s3.Client, wish: Bucket) -> s3.Response:
    query = [("lifecycle", "")]
    if wish.settings.lifecycle == s3.Lifecycle():
        return client.request("DELETE", wish.name, query=query)
    return client.request("PUT", wish.name, query=query, body=s3.lifecycle_xml(wish.settings.lifecycle), checksum=True)


def _must(answer: s3.Response, wish: Bucket, what: str) -> s3.Response:
    if answer.good:
        return answer
    raise BucketError(f"bucket {wish.name}, user {wish.user}: {what}: {answer}{_hint(answer)}")


def _hint(answer: s3.Response) -> str:
    if answer.code == "InvalidAccessKeyId":
        return ". The store does not know this access key"
    if answer.code == "SignatureDoesNotMatch":
        return ". The secret key is not the one that the store has for this access key"
    if answer.status == 403:
        return ". The keys are valid and this user lacks the right"
    return ""


def diff(wish: Bucket, found: Optional[Settings]) -> Dict[str, str]:
    return {
        "before_header": f"bucket {wish.name}",
        "before": found.lines() if found else "",
        "after_header": f"bucket {wish.name}",
        "after": wish.settings.lines(),
    }
