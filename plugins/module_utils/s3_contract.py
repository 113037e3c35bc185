# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Dify and its backups ask of an S3 store, case by case. Each cleans up behind itself."""

from __future__ import annotations

import base64
import concurrent.futures
import datetime
import hashlib
import secrets
import ssl
import time
import zlib
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils import s3

PART = 5 * 1024 * 1024
LISTED_AT_ONCE = 1000
WORKERS = 16

PASS = "pass"
FAIL = "fail"
DEVIATION = "deviation"
NOT_OFFERED = "not offered"


class ContractError(Exception):
    """The store does not keep its promise; the text says what was found."""


class DeviationError(Exception):
    """The store does other than S3 where neither Dify nor its backups rely on it; the text says what was found."""


class NotOfferedError(Exception):
    """The store, or the user that was given, does not have this; the text says which."""


class Result(NamedTuple):
    case: str
    result: str
    detail: str
    seconds: float

    def line(self) -> str:
        return f"{self.result.upper():11} {self.case:24} {self.detail}".rstrip()


@dataclass
class Store:
    """What is tried, and with what."""

    endpoint: str
    keys: s3.Keys
    bucket: str
    ca_file: str = ""
    authorities: str = ""
    region: str = "us-east-1"
    other_bucket: str = ""
    lock_bucket: str = ""
    listed_keys: int = 10_000
    timeout: float = 60
    prefix: str = field(default_factory=lambda: f"onprem-dify-contract/{secrets.token_hex(6)}/")

    def client(self, **different: Any) -> s3.Client:
        settings = {"region": self.region, "timeout": self.timeout, "context": self.tls(), **different}
        return s3.Client(settings.pop("endpoint", self.endpoint), settings.pop("keys", self.keys), **settings)

    def tls(self) -> ssl.SSLContext:
        return s3.tls_context(self.ca_file, self.authorities)


class Suite:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.client = store.client()

    # What a person would say

    def expect(self, answer: s3.Response, *statuses: int, what: str) -> s3.Response:
        if answer.status not in (statuses or (200,)):
            wanted = " or ".join(map(str, statuses or (200,)))
            raise ContractError(f"{what}: found {answer}, wanted {wanted}")
        return answer

    def same(self, found: Any, wanted: Any, what: str) -> None:
        if found != wanted:
            raise ContractError(f"{what}: found {_short(found)}, wanted {_short(wanted)}")

    def key(self, name: str) -> str:
        return self.store.prefix + name

    def put(self, name: str, body: bytes, **more: Any) -> s3.Response:
        answer = self.client.request("PUT", self.store.bucket, self.key(name), body=body, **more)
        return self.expect(answer, 200, what=f"put {name}")

    def get(self, name: str, *statuses: int, **more: Any) -> s3.Response:
        answer = self.client.request("GET", self.store.bucket, self.key(name), **more)
        return self.expect(answer, *statuses, what=f"get {name}")

    # Cases

    def tls(self) -> str:
        if self.client.parts.scheme != "https":
            raise ContractError("found http, wanted https")
        version = self.client.tls_version()
        self.same(version, "TLSv1.3", "version of TLS")
        return version

    def tls_old_refused(self) -> str:
        context = self.store.tls()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            self.store.client(context=context).connect()
        except ssl.SSLError as error:
            return s3.reason(error)
        raise ContractError("TLS 1.2 was accepted")

    def unknown_ca_refused(self) -> str:
        # A client that knows no authority at all.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            self.store.client(context=context).connect()
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        raise ContractError("a client without the authority was let through")

    def login(self) -> str:
        answer = self.client.request("GET", self.store.bucket, query=[("list-type", "2"), ("max-keys", "1")])
        if answer.status == 403:
            raise ContractError(f"the keys were refused for bucket {self.store.bucket}: {answer}")
        if answer.status == 404:
            raise ContractError(f"there is no bucket {self.store.bucket}: {answer}")
        self.expect(answer, what=f"list bucket {self.store.bucket}")
        return self.store.bucket

    def put_get_delete(self) -> str:
        body = secrets.token_bytes(4096)
        etag = self.put("object", body, headers={"content-type": "text/plain", "x-amz-meta-purpose": "contract"})
        self.same(etag.headers.get("etag", "").strip('"'), hashlib.md5(body).hexdigest(), "ETag")
        found = self.get("object")
        self.same(found.body, body, "content")
        self.same(found.headers.get("content-type"), "text/plain", "content type")
        self.same(found.headers.get("x-amz-meta-purpose"), "contract", "metadata")
        head = self.expect(self.client.request("HEAD", self.store.bucket, self.key("object")), what="head")
        self.same(head.headers.get("content-length"), "4096", "length")
        self.put("object", b"second")
        self.same(self.get("object").body, b"second", "content after overwriting")
        gone = self.client.request("DELETE", self.store.bucket, self.key("object"))
        self.expect(gone, 204, 200, what="delete")
        self.get("object", 404)
        return ""

    def ranges(self) -> str:
        body = secrets.token_bytes(100_000)
        self.put("ranged", body)
        for header, wanted in (
            ("bytes=0-99", body[:100]),
            ("bytes=99900-", body[99900:]),
            ("bytes=-10", body[-10:]),
        ):
            found = self.get("ranged", 206, headers={"range": header})
            self.same(found.body, wanted, header)
        self.get("ranged", 416, headers={"range": "bytes=200000-200100"})
        return ""

    def names(self) -> str:
        names = ["with space", "plus+and&", "ünïcode/文件.txt", "a=b?c#d", "per%20cent"]
        for name in names:
            self.put(f"names/{name}", name.encode())
            self.same(self.get(f"names/{name}").body, name.encode(), name)
        found = self.listed("names/")
        self.same(sorted(found), sorted(self.key(f"names/{name}") for name in names), "listed names")
        return f"{len(names)} names"

    def checksum_behind_body(self) -> str:
        """Newer clients send the body in chunks with a checksum behind it; the framing must not become content."""
        body = secrets.token_bytes(70_000)
        crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        self.expect(self.put_framed(body, crc), what="put with a checksum behind the body")
        self.same(self.get("chunked").body, body, "content")
        return "crc32"

    def checksum_verified(self) -> str:
        answer = self.put_framed(secrets.token_bytes(70_000), "AAAAAA==")
        if answer.good:
            # A second look at the way, which TLS guards already.
            raise DeviationError("a wrong checksum behind the body is taken")
        return str(self.expect(answer, 400, what="put with a wrong checksum"))

    def put_framed(self, body: bytes, checksum: str) -> s3.Response:
        frames = [f"{len(body):x}\r\n".encode(), body, f"\r\n0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n".encode()]
        return self.client.request(
            "PUT",
            self.store.bucket,
            self.key("chunked"),
            body=b"".join(frames),
            payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            headers={
                "content-encoding": "aws-chunked",
                "x-amz-decoded-content-length": str(len(body)),
                "x-amz-trailer": "x-amz-checksum-crc32",
            },
        )

    def multipart(self) -> str:
        parts = [secrets.token_bytes(PART), secrets.token_bytes(PART), b"the end"]
        upload = self.start_upload("big")
        etags = []
        for number, part in enumerate(parts, 1):
            answer = self.client.request(
                "PUT",
                self.store.bucket,
                self.key("big"),
                query=[("partNumber", str(number)), ("uploadId", upload)],
                body=part,
            )
            etags.append(self.expect(answer, what=f"part {number}").headers["etag"])
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        done = self.client.request("POST", self.store.bucket, self.key("big"), query=[("uploadId", upload)], body=body)
        self.expect(done, what="complete")
        # A store may answer 200 and give the error in the body.
        self.same(s3.text(done.body, "Code"), "", "complete")
        found = self.get("big").body
        self.same(hashlib.sha256(found).hexdigest(), hashlib.sha256(b"".join(parts)).hexdigest(), "content")
        middle = self.get("big", 206, headers={"range": f"bytes={PART - 5}-{PART + 4}"}).body
        self.same(middle, parts[0][-5:] + parts[1][:5], "range over two parts")
        return f"{len(parts)} parts"

    def multipart_aborted(self) -> str:
        upload = self.start_upload("aborted")
        query = [("partNumber", "1"), ("uploadId", upload)]
        self.expect(
            self.client.request("PUT", self.store.bucket, self.key("aborted"), query=query, body=b"x"), what="part"
        )
        self.expect(
            self.client.request("DELETE", self.store.bucket, self.key("aborted"), query=[("uploadId", upload)]),
            204,
            200,
            what="abort",
        )
        self.get("aborted", 404)
        return ""

    def start_upload(self, name: str) -> str:
        answer = self.client.request("POST", self.store.bucket, self.key(name), query=[("uploads", "")])
        upload = s3.text(self.expect(answer, what="start upload").body, "UploadId")
        if not upload:
            raise ContractError("start upload: no UploadId")
        return upload

    def presigned(self) -> str:
        target = self.client.presigned("PUT", self.store.bucket, self.key("presigned"), 60)
        self.expect(self.client.fetch(target, "PUT", b"by url"), what="put by URL")
        target = self.client.presigned("GET", self.store.bucket, self.key("presigned"), 60)
        self.same(self.expect(self.client.fetch(target), what="get by URL").body, b"by url", "content by URL")
        self.expect(self.client.fetch(target.replace("presigned", "presigned2", 1)), 403, what="URL of another object")
        short = self.client.presigned("GET", self.store.bucket, self.key("presigned"), 1)
        time.sleep(2.5)
        self.expect(self.client.fetch(short), 403, what="URL after its time")
        return ""

    def copy(self) -> str:
        self.put("source", b"copied")
        source = "/" + self.store.bucket + "/" + s3.quote(self.key("source"), "/-_.~")
        answer = self.client.request(
            "PUT", self.store.bucket, self.key("target"), headers={"x-amz-copy-source": source}
        )
        self.expect(answer, what="copy")
        self.same(self.get("target").body, b"copied", "copy")
        return ""

    def wrong_key(self) -> str:
        client = self.store.client(keys=s3.Keys("AKIAWRONGWRONGWRONG0", self.store.keys.secret))
        answer = client.request("GET", self.store.bucket, query=[("list-type", "2")])
        return str(self.expect(answer, 403, what="unknown access key"))

    def wrong_signature(self) -> str:
        client = self.store.client(keys=s3.Keys(self.store.keys.access, self.store.keys.secret + "x"))
        answer = client.request("PUT", self.store.bucket, self.key("forged"), body=b"forged")
        found = str(self.expect(answer, 403, what="wrong secret key"))
        self.get("forged", 404)
        return found

    def anonymous(self) -> str:
        client = self.store.client(keys=None)
        self.put("private", b"private")
        answer = client.request("GET", self.store.bucket, self.key("private"))
        self.expect(answer, 403, 401, what="get without keys")
        return str(self.expect(client.request("GET", self.store.bucket), 403, 401, what="list without keys"))

    def other_bucket(self) -> str:
        other = self.store.other_bucket
        if not other:
            raise NotOfferedError("no bucket of another user was given")
        for method, key, body in (("GET", "", b""), ("PUT", "intruder", b"x"), ("GET", "intruder", b"")):
            answer = self.client.request(method, other, key, body=body)
            self.expect(answer, 403, what=f"{method} in bucket {other}")
        return other

    def versioning(self) -> str:
        state = self.client.request("GET", self.store.bucket, query=[("versioning", "")])
        if s3.text(self.expect(state, what="read versioning").body, "Status") != "Enabled":
            raise NotOfferedError(f"versioning of bucket {self.store.bucket} is off")
        first = self.put("versioned", b"first").headers.get("x-amz-version-id", "")
        second = self.put("versioned", b"second").headers.get("x-amz-version-id", "")
        if not first or first == second:
            raise ContractError(f"version ids {first!r} and {second!r}")
        self.client.request("DELETE", self.store.bucket, self.key("versioned"))
        self.get("versioned", 404)
        self.same(self.get("versioned", query=[("versionId", first)]).body, b"first", "first version")
        self.same(self.get("versioned", query=[("versionId", second)]).body, b"second", "second version")
        return ""

    def listing(self) -> str:
        """Names come in order, in pages, and none is lost between two pages."""
        count = self.store.listed_keys
        names = [f"many/{number:06}" for number in range(count)]
        started = time.monotonic()
        self.in_parallel(
            names, lambda client, name: client.request("PUT", self.store.bucket, self.key(name), body=b"x")
        )
        wrote = time.monotonic() - started
        started = time.monotonic()
        found = self.listed("many/")
        listed = time.monotonic() - started
        self.same(len(found), count, "number of keys")
        self.same(found, [self.key(name) for name in names], "keys in order")
        started = time.monotonic()
        self.delete(found)
        self.same(self.listed("many/"), [], "keys after deleting")
        return f"{count} keys: put {wrote:.0f} s, listed {listed:.1f} s, deleted {time.monotonic() - started:.1f} s"

    def folders(self) -> str:
        for name in ("tree/a/1", "tree/a/2", "tree/b/1", "tree/top"):
            self.put(name, b"x")
        query = [("list-type", "2"), ("prefix", self.key("tree/")), ("delimiter", "/")]
        answer = self.expect(self.client.request("GET", self.store.bucket, query=query), what="list with delimiter")
        self.same(s3.texts(answer.body, "Key"), [self.key("tree/top")], "keys")
        prefixes = [prefix for prefix in s3.texts(answer.body, "Prefix") if prefix != self.key("tree/")]
        self.same(prefixes, [self.key("tree/a/"), self.key("tree/b/")], "common prefixes")
        return ""

    def object_lock(self) -> str:
        bucket = self.store.lock_bucket
        if not bucket:
            raise NotOfferedError("no bucket with Object Lock was given")
        state = self.client.request("GET", bucket, query=[("object-lock", "")])
        if s3.text(state.body, "ObjectLockEnabled") != "Enabled":
            raise NotOfferedError(f"bucket {bucket} has no Object Lock: {state}")
        key = self.key("locked")
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=20)
        headers = {
            "x-amz-object-lock-mode": "COMPLIANCE",
            "x-amz-object-lock-retain-until-date": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        answer = self.client.request("PUT", bucket, key, headers=headers, body=b"evidence", checksum=True)
        version = self.expect(answer, what="put with a retention").headers.get("x-amz-version-id", "")
        query = [("versionId", version)]
        sooner = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=5)
        shorter = sooner.strftime("%Y-%m-%dT%H:%M:%SZ")
        retention = f"<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>{shorter}</RetainUntilDate></Retention>"
        attempts: Sequence[Tuple[str, Callable[[], s3.Response]]] = (
            ("delete a locked version", lambda: self.client.request("DELETE", bucket, key, query=query)),
            (
                "delete a locked version with bypass",
                lambda: self.client.request(
                    "DELETE", bucket, key, query=query, headers={"x-amz-bypass-governance-retention": "true"}
                ),
            ),
            (
                "shorten the retention",
                lambda: self.client.request(
                    "PUT", bucket, key, query=[("retention", ""), *query], body=retention.encode(), checksum=True
                ),
            ),
            (
                "suspend versioning",
                lambda: self.client.request(
                    "PUT", bucket, query=[("versioning", "")], body=s3.versioning_xml(False), checksum=True
                ),
            ),
        )
        for what, attempt in attempts:
            self.expect(attempt(), 403, 409, 400, what=what)
        found = self.client.request("GET", bucket, key, query=query)
        self.same(self.expect(found, what="get the locked version").body, b"evidence", "locked version")
        wait = (until - datetime.datetime.now(datetime.timezone.utc)).total_seconds() + 1.5
        time.sleep(max(wait, 0))
        self.expect(
            self.client.request("DELETE", bucket, key, query=query), 204, 200, what="delete after the retention"
        )
        return "COMPLIANCE: kept until its time, deleted afterwards"

    # Helpers

    def in_parallel(self, names: Sequence[str], ask: Callable[[s3.Client, str], s3.Response]) -> None:
        def work(share: Sequence[str]) -> None:
            client = self.store.client()
            try:
                for name in share:
                    self.expect(ask(client, name), what=name)
            finally:
                client.close()

        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for future in [pool.submit(work, names[start::WORKERS]) for start in range(WORKERS)]:
                future.result()

    def listed(self, prefix: str, bucket: str = "") -> List[str]:
        found: List[str] = []
        token = ""
        while True:
            query = [("list-type", "2"), ("prefix", self.key(prefix)), ("max-keys", str(LISTED_AT_ONCE))]
            query += [("continuation-token", token)] if token else []
            answer = self.client.request("GET", bucket or self.store.bucket, query=query)
            body = self.expect(answer, what="list").body
            found += s3.texts(body, "Key")
            token = s3.text(body, "NextContinuationToken")
            if s3.text(body, "IsTruncated") != "true" or not token:
                return found

    def delete(self, keys: Sequence[Any], bucket: str = "") -> None:
        for start in range(0, len(keys), LISTED_AT_ONCE):
            body = s3.delete_xml(keys[start : start + LISTED_AT_ONCE])
            answer = self.client.request(
                "POST", bucket or self.store.bucket, query=[("delete", "")], body=body, checksum=True
            )
            self.expect(answer, what="delete many")

    def clean(self) -> None:
        """Take away what the cases left, old versions as well."""
        for bucket in filter(None, (self.store.bucket, self.store.lock_bucket)):
            query = [("versions", ""), ("prefix", self.store.prefix)]
            for _page in range(100):
                answer = self.client.request("GET", bucket, query=query)
                versions = s3.texts(answer.body, "VersionId")
                pairs = [(key, versions[index]) for index, key in enumerate(s3.texts(answer.body, "Key"))]
                if not answer.good or not pairs:
                    break
                self.delete(pairs, bucket)
            if bucket == self.store.bucket:
                left = self.listed("")
                if left:
                    self.delete(left)


Case = Callable[[Suite], str]

QUICK: Dict[str, Case] = {
    "tls-1.3": Suite.tls,
    "tls-1.2-refused": Suite.tls_old_refused,
    "unknown-ca-refused": Suite.unknown_ca_refused,
    "login": Suite.login,
    "put-get-delete": Suite.put_get_delete,
    "wrong-key": Suite.wrong_key,
    "wrong-signature": Suite.wrong_signature,
}
FULL: Dict[str, Case] = {
    **QUICK,
    "without-keys": Suite.anonymous,
    "other-bucket-denied": Suite.other_bucket,
    "range": Suite.ranges,
    "names": Suite.names,
    "checksum-behind-body": Suite.checksum_behind_body,
    "checksum-verified": Suite.checksum_verified,
    "multipart": Suite.multipart,
    "multipart-aborted": Suite.multipart_aborted,
    "presigned": Suite.presigned,
    "copy": Suite.copy,
    "folders": Suite.folders,
    "versioning": Suite.versioning,
    "listing": Suite.listing,
    "object-lock": Suite.object_lock,
}


def run(store: Store, quick: bool, waived: Sequence[str] = (), suite: Optional[Suite] = None) -> List[Result]:
    """All results, in order. What cannot be reached fails with the reason."""
    suite = suite or Suite(store)
    cases = QUICK if quick else FULL
    unknown = sorted(set(waived) - set(cases))
    if unknown and not quick:
        raise s3.S3Error(f"waived: {', '.join(unknown)}: there is no such case, only {', '.join(FULL)}")
    results: List[Result] = []
    for name, case in cases.items():
        if name in waived:
            results.append(Result(name, NOT_OFFERED, "waived by the site", 0.0))
            continue
        results.append(_one(name, case, suite))
        if results[-1].result == FAIL and name == "login":
            # Nothing else can be said.
            return results
    try:
        suite.clean()
    except (s3.S3Error, ContractError, OSError) as error:
        results.append(Result("clean", FAIL, s3.reason(error), 0.0))
    return results


def _one(name: str, case: Case, suite: Suite) -> Result:
    started = time.monotonic()
    try:
        result, detail = PASS, case(suite)
    except DeviationError as error:
        result, detail = DEVIATION, str(error)
    except NotOfferedError as error:
        result, detail = NOT_OFFERED, str(error)
    except (ContractError, s3.S3Error) as error:
        result, detail = FAIL, str(error)
    except (OSError, KeyError, ValueError) as error:
        result, detail = FAIL, f"{suite.store.endpoint}: {s3.reason(error)}"
    return Result(name, result, detail, round(time.monotonic() - started, 2))


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 120 else f"{shown[:117]}..."
