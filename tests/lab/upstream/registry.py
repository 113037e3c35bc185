"""A container registry with TLS, a child of the test, and images that are made from scratch."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import io
import ipaddress
import json
import random
import ssl
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..artifacts import laid_out
from ..errors import LabError
from ..system import free_port

DOCKER = {
    "index": "application/vnd.docker.distribution.manifest.list.v2+json",
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "config": "application/vnd.docker.container.image.v1+json",
    "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
OCI = {
    "index": "application/vnd.oci.image.index.v1+json",
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "config": "application/vnd.oci.image.config.v1+json",
    "layer": "application/vnd.oci.image.layer.v1.tar+gzip",
}
SETTINGS = """\
version: 0.1
log: {{level: info, formatter: json, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}/storage}}
http:
  addr: 127.0.0.1:{port}
  tls: {{certificate: {folder}/registry.crt, key: {folder}/registry.key}}
"""


class Registry:
    """docker-registry on 127.0.0.1 with a certificate of an authority of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = folder / "ca.crt"
        _make_certificates(folder)
        self.port = free_port()
        self.log = folder / "registry.log"
        (folder / "registry.yml").write_text(SETTINGS.format(folder=folder, port=self.port))
        self._trust = ssl.create_default_context(cafile=str(self.ca_file))
        self._process: subprocess.Popen[bytes] | None = None
        self.on()

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"

    def on(self) -> None:
        with self.log.open("ab") as log:
            command = ["docker-registry", "serve", str(self.folder / "registry.yml")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                self._ask("GET", "")
                return
            except urllib.error.HTTPError:  # it wants a login
                return
            except OSError:
                time.sleep(0.1)
        raise LabError(f"the registry does not answer, see {self.log}")

    def ask_for_login(self, password_file: Path) -> None:
        """Start again, for those alone whose names and passwords stand in a file of htpasswd."""
        self.off()
        settings = self.folder / "registry.yml"
        settings.write_text(f"{settings.read_text()}auth: {{htpasswd: {{realm: test, path: {password_file}}}}}\n")
        self.on()

    def off(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def sent(self) -> dict[str, int]:
        """Bytes of blobs that were sent, by digest."""
        found: dict[str, int] = {}
        for line in self.log.read_text(errors="replace").splitlines():
            entry = json.loads(line) if line.startswith("{") else {}
            uri = str(entry.get("http.request.uri", ""))
            done = (entry.get("msg"), entry.get("http.request.method")) == ("response completed", "GET")
            if done and "/blobs/sha256:" in uri:
                digest = uri.rpartition("/")[2]
                found[digest] = found.get(digest, 0) + int(entry.get("http.response.written", 0))
        return found

    def push(self, name: str, tag: str, contents: Mapping[str, Sequence[bytes]], kinds: Mapping[str, str] = OCI) -> str:
        """Make an image of layers by architecture; return the digest of its index."""
        manifests = []
        for architecture, files in contents.items():
            layers = [_layer(f"layer{number}", data) for number, data in enumerate(files)]
            config = {
                "architecture": architecture,
                "os": "linux",
                "config": {"Cmd": ["/none"]},
                "history": [{"created_by": "test"} for _ in layers],
                "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
            }
            manifest = {
                "schemaVersion": 2,
                "mediaType": kinds["manifest"],
                "config": self._blob(name, kinds["config"], json.dumps(config).encode()),
                "layers": [self._blob(name, kinds["layer"], gzip.compress(layer, 1, mtime=0)) for layer in layers],
            }
            entry = self._manifest(name, None, kinds["manifest"], manifest)
            manifests.append({**entry, "platform": {"os": "linux", "architecture": architecture}})
        index = {"schemaVersion": 2, "mediaType": kinds["index"], "manifests": manifests}
        return str(self._manifest(name, tag, kinds["index"], index)["digest"])

    def take(self, folder: Path, name: str, tag: str, digest: str) -> None:
        """Take an image over from an OCI layout: all that its manifest leads to, then the manifest itself."""
        for piece in laid_out.pieces(folder, digest):
            data = piece.path.read_bytes()
            if piece.media_type:
                reference = tag if piece.digest == digest else piece.digest
                self._ask("PUT", f"{name}/manifests/{reference}", data, piece.media_type)
            else:
                self._upload(name, piece.digest, data)

    def _blob(self, name: str, kind: str, data: bytes) -> dict[str, Any]:
        digest = _digest(data)
        self._upload(name, digest, data)
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    def _upload(self, name: str, digest: str, data: bytes) -> None:
        place = self._ask("POST", f"{name}/blobs/uploads/", b"").headers["Location"]
        where = f"{place}{'&' if '?' in place else '?'}digest={digest}"
        self._ask("PUT", where, data, "application/octet-stream")

    def _manifest(self, name: str, tag: str | None, kind: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        data = json.dumps(manifest).encode()
        digest = _digest(data)
        self._ask("PUT", f"{name}/manifests/{tag or digest}", data, kind)
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    def _ask(self, method: str, where: str, data: bytes | None = None, kind: str = "") -> Any:
        address = where if where.startswith("https://") else f"https://{self.name}/v2/{where}"
        request = urllib.request.Request(address, data=data, method=method)
        if kind:
            request.add_header("Content-Type", kind)
        return urllib.request.urlopen(request, context=self._trust, timeout=20)


def noise(size: int, seed: str) -> bytes:
    """Bytes that no compression makes smaller, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _layer(name: str, data: bytes) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return raw.getvalue()


def _make_certificates(folder: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("test CA", "127.0.0.1")]

    def certificate(number: int) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(names[number])
            .issuer_name(names[0])
            .public_key(keys[number].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=2))
        )

    authority = certificate(0).add_extension(x509.BasicConstraints(True, None), True).sign(keys[0], hashes.SHA256())
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = certificate(1).add_extension(address, False).sign(keys[0], hashes.SHA256())
    (folder / "ca.crt").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    (folder / "registry.crt").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    (folder / "registry.key").write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
