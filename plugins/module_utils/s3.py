# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small S3 client: signature version 4 over http.client, so that neither hosts nor controller need boto3."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import http.client
import ssl
import time
import urllib.parse
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple
from xml.etree import ElementTree

# Options of modules that ask a store, described in the fragment s3.
STORE_OPTIONS = {
    "endpoint": {"type": "str", "required": True},
    "ca_file": {"type": "path"},
    "region": {"type": "str", "default": "us-east-1"},
}
ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()

Query = Sequence[Tuple[str, str]]


class S3Error(Exception):
    """The store cannot be asked at all; the text is for the user."""


class Keys(NamedTuple):
    access: str
    secret: str


class Response(NamedTuple):
    status: int
    headers: Dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The error code that the store gives, such as NoSuchBucket."""
        return "" if self.status < 300 else text(self.body, "Code")

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return f"{self.status} {self.code}".strip()


class Parts(NamedTuple):
    scheme: str
    host: str
    port: int


def parse_endpoint(url: str) -> Parts:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise S3Error(f"endpoint {url}: found {url!r}, wanted https://ADDRESS:PORT")
    return Parts(parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))


def quote(value: str, safe: str = "-_.~") -> str:
    return urllib.parse.quote(value, safe=safe)


def canonical_query(query: Query) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted((quote(name), quote(value)) for name, value in query))


def signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def signature(
    keys: Keys, region: str, moment: str, method: str, path: str, query: Query, headers: Mapping[str, str], payload: str
) -> str:
    """The signature of a request; all `headers` are signed, their names are in lower case."""
    names = sorted(headers)
    canonical = "\n".join(
        [
            method,
            path,
            canonical_query(query),
            *(f"{name}:{headers[name].strip()}" for name in names),
            "",
            ";".join(names),
            payload,
        ]
    )
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    to_sign = "\n".join([ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    return hmac.new(signing_key(keys.secret, moment[:8], region), to_sign.encode(), hashlib.sha256).hexdigest()


def signed_headers(
    keys: Keys, region: str, moment: str, method: str, path: str, query: Query, headers: Mapping[str, str], payload: str
) -> Dict[str, str]:
    """The headers with what signs them."""
    full = {**headers, "x-amz-date": moment, "x-amz-content-sha256": payload}
    proof = signature(keys, region, moment, method, path, query, full, payload)
    credential = f"{keys.access}/{moment[:8]}/{region}/s3/aws4_request"
    full["authorization"] = (
        f"{ALGORITHM} Credential={credential}, SignedHeaders={';'.join(sorted(full))}, Signature={proof}"
    )
    return full


def presigned_query(
    keys: Keys, region: str, moment: str, method: str, host: str, path: str, seconds: int
) -> List[Tuple[str, str]]:
    """What makes a URL work for some seconds without keys."""
    query = [
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", f"{keys.access}/{moment[:8]}/{region}/s3/aws4_request"),
        ("X-Amz-Date", moment),
        ("X-Amz-Expires", str(seconds)),
        ("X-Amz-SignedHeaders", "host"),
    ]
    proof = signature(keys, region, moment, method, path, query, {"host": host}, UNSIGNED)
    return [*query, ("X-Amz-Signature", proof)]


def text(body: bytes, name: str) -> str:
    """The first element of that name, whatever its namespace."""
    return next(iter(texts(body, name)), "")


def texts(body: bytes, name: str) -> List[str]:
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return []
    return [element.text or "" for element in root.iter() if element.tag.rpartition("}")[2] == name]


def tls_context(ca_file: str = "", authorities: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None, cadata=authorities or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Client:
    """One user of one store. The connection is kept; a request that a stale connection lost is sent once more."""

    def __init__(
        self,
        endpoint: str,
        keys: Optional[Keys],
        *,
        ca_file: str = "",
        region: str = "us-east-1",
        timeout: float = 30,
        context: Optional[ssl.SSLContext] = None,
    ) -> None:
        self.endpoint = endpoint
        self.parts = parse_endpoint(endpoint)
        self.keys = keys
        self.region = region
        self._timeout = timeout
        self._context = context
        self._ca_file = ca_file
        self._connection: Optional[http.client.HTTPConnection] = None

    @property
    def host(self) -> str:
        host = f"[{self.parts.host}]" if ":" in self.parts.host else self.parts.host
        default = 443 if self.parts.scheme == "https" else 80
        return host if self.parts.port == default else f"{host}:{self.parts.port}"

    def request(
        self,
        method: str,
        bucket: str = "",
        key: str = "",
        *,
        query: Query = (),
        headers: Optional[Mapping[str, str]] = None,
        body: bytes = b"",
        checksum: bool = False,
        payload: str = "",
    ) -> Response:
        """`payload` is what stands for the hash of the body where the body is sent in another form."""
        path = "/" + "/".join(part for part in (quote(bucket), quote(key, "/-_.~")) if part)
        plain = {name.lower(): value for name, value in (headers or {}).items()}
        plain["host"] = self.host
        if checksum:
            plain["content-md5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
        if self.keys is not None:
            payload = payload or (hashlib.sha256(body).hexdigest() if body else EMPTY)
            plain = signed_headers(self.keys, self.region, now(), method, path, query, plain, payload)
        target = path + (f"?{canonical_query(query)}" if query else "")
        return self._send(method, target, plain, body)

    def presigned(self, method: str, bucket: str, key: str, seconds: int) -> str:
        """The path and query of a URL that works without keys."""
        if self.keys is None:
            raise S3Error("a URL is signed with keys, and there are none")
        path = "/" + "/".join((quote(bucket), quote(key, "/-_.~")))
        query = presigned_query(self.keys, self.region, now(), method, self.host, path, seconds)
        return f"{path}?{canonical_query(query)}"

    def fetch(self, target: str, method: str = "GET", body: bytes = b"") -> Response:
        """A request without a signature in its headers."""
        return self._send(method, target, {"host": self.host}, body)

    def connect(self) -> http.client.HTTPConnection:
        if self._connection is None:
            connection: http.client.HTTPConnection
            if self.parts.scheme == "https":
                connection = http.client.HTTPSConnection(
                    self.parts.host,
                    self.parts.port,
                    timeout=self._timeout,
                    context=self._context or tls_context(self._ca_file),
                )
            else:
                connection = http.client.HTTPConnection(self.parts.host, self.parts.port, timeout=self._timeout)
            connection.connect()
            self._connection = connection
        return self._connection

    def tls_version(self) -> str:
        sock = self.connect().sock
        return (sock.version() or "") if isinstance(sock, ssl.SSLSocket) else ""

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        again = self._connection is not None
        try:
            return self._once(method, target, headers, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if not again:
                raise S3Error(f"{self.endpoint}: {reason(error)}") from error
        try:
            return self._once(method, target, headers, body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise S3Error(f"{self.endpoint}: {reason(error)}") from error

    def _once(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        connection = self.connect()
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body or method in ("PUT", "POST"):
            connection.putheader("content-length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        content = answer.read()
        found = {name.lower(): value for name, value in answer.getheaders()}
        if answer.will_close:
            self.close()
        return Response(answer.status, found, content)


def reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def patiently(attempt: Callable[[], Response], seconds: float, pause: float = 1.0) -> Response:
    """Ask again while the store cannot be reached or is not ready, for so many seconds at most."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = attempt()
        except S3Error:
            if time.monotonic() >= deadline:
                raise
        else:
            if answer.status < 500 or time.monotonic() >= deadline:
                return answer
        time.sleep(pause)


# Settings of a bucket, as XML


class Lifecycle(NamedTuple):
    """Days after which old versions and unfinished uploads go; 0 keeps them."""

    noncurrent_days: int = 0
    upload_days: int = 0


def lifecycle_xml(wish: Lifecycle) -> bytes:
    rules = []
    if wish.noncurrent_days:
        days = f"<NoncurrentDays>{wish.noncurrent_days}</NoncurrentDays>"
        rules.append(
            _rule("old-versions", f"<NoncurrentVersionExpiration>{days}</NoncurrentVersionExpiration>"),
        )
    if wish.upload_days:
        days = f"<DaysAfterInitiation>{wish.upload_days}</DaysAfterInitiation>"
        rules.append(
            _rule("unfinished-uploads", f"<AbortIncompleteMultipartUpload>{days}</AbortIncompleteMultipartUpload>"),
        )
    body = "".join(rules)
    return f'<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{body}</LifecycleConfiguration>'.encode()


def _rule(name: str, action: str) -> str:
    return f"<Rule><ID>{name}</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>{action}</Rule>"


def parse_lifecycle(body: bytes) -> Lifecycle:
    def days(name: str) -> int:
        found = text(body, name)
        return int(found) if found.isdigit() else 0

    return Lifecycle(days("NoncurrentDays"), days("DaysAfterInitiation"))


def versioning_xml(enabled: bool) -> bytes:
    status = "Enabled" if enabled else "Suspended"
    return (
        f'<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>{status}</Status>'
        "</VersioningConfiguration>"
    ).encode()


def delete_xml(keys: Sequence[Any]) -> bytes:
    """Keys, or pairs of key and version."""
    objects = []
    for entry in keys:
        key, version = entry if isinstance(entry, tuple) else (entry, "")
        escaped = key.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        tail = f"<VersionId>{version}</VersionId>" if version else ""
        objects.append(f"<Object><Key>{escaped}</Key>{tail}</Object>")
    return f"<Delete><Quiet>true</Quiet>{''.join(objects)}</Delete>".encode()
