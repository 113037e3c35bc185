"""The contract suite tells a store that keeps its promises from one that does not."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import s3, s3_contract

KEYS = s3.Keys("AK", "SK")


class Memory:
    """The objects of a store, and how it misbehaves."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], tuple[bytes, Mapping[str, str]]] = {}
        self.lies: set[str] = set()


class Client:
    """One user of that store, with the methods of the real client that the tried cases use."""

    def __init__(self, memory: Memory, keys: s3.Keys | None) -> None:
        self.memory, self.keys = memory, keys
        self.parts = s3.Parts("https", "store", 443)

    def request(
        self,
        method: str,
        bucket: str = "",
        key: str = "",
        *,
        query: Any = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        checksum: bool = False,
        payload: str = "",
    ) -> s3.Response:
        words, headers = dict(query), headers or {}
        if self.keys != KEYS and "anybody" not in self.memory.lies:
            return answer(403, "AccessDenied" if self.keys is None else "InvalidAccessKeyId")
        if bucket != "dify" and "others" not in self.memory.lies:
            return answer(403, "AccessDenied")
        if method == "GET" and not key:
            return self.listing(words)
        if "delete" in words:
            for name in s3.texts(body, "Key"):
                self.memory.objects.pop((bucket, name), None)
            return answer(200)
        if payload and b":AAAAAA==" in body and "careless" not in self.memory.lies:
            return answer(400, "BadDigest")
        if method == "PUT":
            self.memory.objects[bucket, key] = (body, headers)
            return s3.Response(200, {"etag": f'"{hashlib.md5(body).hexdigest()}"'}, b"")
        if (bucket, key) not in self.memory.objects:
            return answer(404, "NoSuchKey")
        if method == "DELETE":
            if "undead" not in self.memory.lies:
                del self.memory.objects[bucket, key]
            return answer(204)
        return self.object(*self.memory.objects[bucket, key], headers.get("range", ""))

    def listing(self, words: Mapping[str, str]) -> s3.Response:
        if "versions" in words:
            return answer(200)
        found = sorted(key for _bucket, key in self.memory.objects if key.startswith(words.get("prefix", "")))
        found = [key for key in found if key > words.get("continuation-token", "")]
        page = found[: int(words["max-keys"])]
        more = len(page) < len(found)
        keys = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in page if not self.lost(key))
        token = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if more else ""
        return s3.Response(200, {}, f"<R><IsTruncated>{str(more).lower()}</IsTruncated>{token}{keys}</R>".encode())

    def lost(self, key: str) -> bool:
        return "gaps" in self.memory.lies and key.endswith("999")

    def object(self, body: bytes, headers: Mapping[str, str], wanted: str) -> s3.Response:
        if "torn" in self.memory.lies:
            body = body[:-1]
        first, _dash, last = wanted.removeprefix("bytes=").partition("-")
        if wanted and first and int(first) >= len(body):
            return answer(416, "InvalidRange")
        if wanted:
            body = body[int(first) : int(last) + 1 if last else None] if first else body[-int(last) :]
        kept = {name: value for name, value in headers.items() if name.startswith(("content-type", "x-amz-meta"))}
        return s3.Response(206 if wanted else 200, {**kept, "content-length": str(len(body))}, body)

    def close(self) -> None:
        pass


def answer(status: int, code: str = "") -> s3.Response:
    return s3.Response(status, {}, f"<Error><Code>{code}</Code></Error>".encode() if code else b"")


@dataclasses.dataclass
class Store(s3_contract.Store):
    memory: Memory = dataclasses.field(default_factory=Memory)

    def client(self, **different: Any) -> Any:
        return Client(self.memory, different.get("keys", self.keys))


TRIED = [
    "put-get-delete",
    "range",
    "names",
    "checksum-verified",
    "listing",
    "wrong-key",
    "wrong-signature",
    "without-keys",
]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    def tried(*lies: str, **more: Any) -> dict[str, str]:
        cases = {name: s3_contract.FULL[name] for name in [*TRIED, "other-bucket-denied", "object-lock"]}
        monkeypatch.setattr(s3_contract, "FULL", cases)
        store = Store("https://store", KEYS, "dify", listed_keys=2100, other_bucket="plugin", **more)
        store.memory.lies = set(lies)
        results = s3_contract.run(store, quick=False)
        assert store.memory.objects == {} or lies
        return {result.case: result.result for result in results}

    return tried


def test_a_store_that_keeps_its_promises_passes_and_is_left_clean(run: Callable[..., dict[str, str]]) -> None:
    results = run()
    assert results.pop("object-lock") == s3_contract.NOT_OFFERED
    assert set(results.values()) == {s3_contract.PASS}


@pytest.mark.parametrize(
    ("lie", "case"),
    [
        ("torn", "put-get-delete"),
        ("torn", "range"),
        ("undead", "put-get-delete"),
        ("gaps", "listing"),
        ("anybody", "wrong-key"),
        ("anybody", "wrong-signature"),
        ("anybody", "without-keys"),
        ("others", "other-bucket-denied"),
    ],
)
def test_a_broken_promise_fails_its_case(run: Callable[..., dict[str, str]], lie: str, case: str) -> None:
    assert run(lie)[case] == s3_contract.FAIL


def test_what_differs_from_s3_and_harms_nothing_is_a_deviation(run: Callable[..., dict[str, str]]) -> None:
    results = run("careless")
    assert results["checksum-verified"] == s3_contract.DEVIATION
    assert s3_contract.FAIL not in results.values()


def test_a_store_that_is_away_fails_with_the_reason() -> None:
    store = s3_contract.Store("https://127.0.0.1:1", KEYS, "dify", timeout=1)
    results = s3_contract.run(store, quick=True)
    assert {result.result for result in results} == {s3_contract.FAIL}
    assert "Connection refused" in results[0].detail
    # Nothing else can be said once the login has failed.
    assert results[-1].case == "login"


def test_a_waived_case_is_not_tried_and_must_exist(run: Callable[..., dict[str, str]]) -> None:
    store = s3_contract.Store("https://127.0.0.1:1", KEYS, "dify", timeout=1)
    assert s3_contract.run(store, True, ["tls-1.3"])[0].result == s3_contract.NOT_OFFERED
    with pytest.raises(s3.S3Error, match="there is no such case"):
        s3_contract.run(store, False, ["tls"])


def test_a_result_is_one_line() -> None:
    line = s3_contract.Result("range", s3_contract.PASS, "", 0.1).line()
    assert line == "PASS        range"
