# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that the site gets from elsewhere: find them, say everything that is wrong with them, hand them on."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.certificates import CertificateError, Wish, is_address
from ansible_collections.onprem.dify.plugins.plugin_utils.authority import (
    Certificates,
    Settings,
    common_name_of,
    day,
    issued,
    load_certificates,
    names_of,
    pem,
    public_pem,
)

with suppress(ImportError):
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUTHORITY = "ca.crt"
RSA_BITS = 2048
# Extended key usages, as X.509 numbers them.
_USAGES = {"1.3.6.1.5.5.7.3.1": "serverAuth", "1.3.6.1.5.5.7.3.2": "clientAuth"}
_ANY_USAGE = "2.5.29.37.0"

# Reads a file of the controller, decrypted if it is vaulted.
Read = Callable[[Path], bytes]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a file, as the user is told."""

    host: str
    file: Path
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"host {self.host}: {self.file}: found {self.found}; wanted {self.wanted}"


@dataclass(frozen=True)
class Pair:
    chain: Certificates
    key: str

    @property
    def text(self) -> str:
        return pem(self.chain)


def problems(directory: Path) -> list[str]:
    """What is wrong with the directory, whatever its certificates are."""
    try:
        load_certificates(directory / AUTHORITY)
    except CertificateError as error:
        return [f"{error}: wanted is {AUTHORITY} with the authorities that the site trusts (site_pki_mode: provided)"]
    return []


class Provided:
    """The certificates of one host as the site provides them, checked before anything is changed."""

    def __init__(
        self, settings: Settings, host: str, wishes: Sequence[Wish], read: Read, now: datetime.datetime
    ) -> None:
        self._directory, self._host, self._read, self._now = settings.directory, host, read, now
        self._roots = load_certificates(settings.directory / AUTHORITY)
        self.trusted = pem(self._roots)
        self._pairs: dict[str, Pair] = {}
        findings = list(self._check_roots())
        for wish in wishes:
            findings += self._take(wish)
        if findings:
            raise CertificateError("\n".join(["certificates of the site cannot be used:", *map(str, findings)]))

    def pair(self, wish: Wish) -> Pair:
        return self._pairs[wish.name]

    def reason(self, wish: Wish, found: Mapping[str, Any], now: datetime.datetime) -> str:
        """Why the host gets the site's certificate; empty if it has it."""
        del now
        pair = self.pair(wish)
        if not found["certificate"]:
            return "there is none yet"
        if not found["laid_out"]:
            return "its files were put there by somebody else"
        if found["certificate"] != pair.text:
            return "the site gave another one"
        if found["public_key"].strip() != public_pem(pair.chain[0].public_key()).strip():
            return "its key is another one or damaged"
        return ""

    def _files(self, wish: Wish) -> tuple[Path, Path]:
        """Files of the certificate, or those that the host has for everything."""
        own = self._directory / self._host / wish.name
        common = self._directory / self._host
        base = own if _with(own, ".crt").exists() or not _with(common, ".crt").exists() else common
        return _with(base, ".crt"), _with(base, ".key")

    def _check_roots(self) -> Iterator[Finding]:
        path = self._directory / AUTHORITY
        for root in self._roots:
            if problem := _not_an_authority(root, self._now):
                yield Finding(self._host, path, problem, "certificates of authorities")

    def _take(self, wish: Wish) -> list[Finding]:
        certificate_file, key_file = self._files(wish)
        missing = [path for path in (certificate_file, key_file) if not path.is_file()]
        if missing:
            wanted = f"the certificate {wish.name} of this host, here or as {self._host}{missing[0].suffix}"
            return [Finding(self._host, path, "nothing", wanted) for path in missing]
        try:
            chain = x509.load_pem_x509_certificates(self._read(certificate_file))
        except ValueError:
            return [Finding(self._host, certificate_file, "no certificate in PEM", "the certificate and its chain")]
        findings = list(self._check_chain(certificate_file, chain, wish))
        try:
            key: Any = serialization.load_pem_private_key(self._read(key_file), None)
        except TypeError:
            findings.append(
                Finding(self._host, key_file, "a key with a passphrase", "one without, protected by ansible-vault")
            )
            return findings
        except ValueError:
            findings.append(Finding(self._host, key_file, "no private key in PEM", "the key of the certificate"))
            return findings
        findings += self._check_key(certificate_file, key_file, chain[0], key)
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        # The root is trusted by its own file and does not belong into the chain.
        self._pairs[wish.name] = Pair([item for item in chain if item not in self._roots], text.decode())
        return findings

    def _check_key(self, certificate_file: Path, key_file: Path, leaf: x509.Certificate, key: Any) -> Iterator[Finding]:
        if isinstance(key, rsa.RSAPrivateKey) and key.key_size < RSA_BITS:
            yield Finding(self._host, key_file, f"RSA with {key.key_size} bits", f"RSA with {RSA_BITS} bits or P-256")
        elif not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
            yield Finding(self._host, key_file, f"a key of the kind {type(key).__name__}", "RSA or an elliptic curve")
        if public_pem(key.public_key()) != public_pem(leaf.public_key()):
            yield Finding(self._host, key_file, "another key", f"the key of {certificate_file.name}")

    def _check_chain(self, path: Path, chain: Certificates, wish: Wish) -> Iterator[Finding]:
        leaf = chain[0]
        if leaf.not_valid_after_utc <= self._now:
            yield Finding(self._host, path, f"expired on {day(leaf)}", "a certificate that is valid")
        if leaf.not_valid_before_utc > self._now:
            begin = leaf.not_valid_before_utc.isoformat()
            yield Finding(self._host, path, f"not valid before {begin}", "a certificate that is valid")
        uncovered = [name for name in wish.names if not covers(leaf, name)]
        if uncovered:
            found = ", ".join(sorted(names_of(leaf))) or "no names"
            yield Finding(self._host, path, found, f"also {', '.join(uncovered)}")
        if not wish.names and common_name_of(leaf) != wish.common_name:
            yield Finding(self._host, path, f"common name {common_name_of(leaf)}", wish.common_name)
        usages = _usages(leaf)
        if usages is not None and not set(_USAGES) <= usages:
            found = ", ".join(sorted(_USAGES.get(usage, usage) for usage in usages))
            yield Finding(self._host, path, f"usage {found}", f"usage {' and '.join(_USAGES.values())}")
        if problem := self._chain_problem(chain):
            yield Finding(self._host, path, problem, f"a chain that leads to {AUTHORITY}")

    def _chain_problem(self, chain: Certificates) -> str:
        """Why the certificates do not lead to one that is trusted, in the way that strict clients follow them."""
        current, others = chain[0], list(chain[1:])
        for depth in range(len(chain) + 1):
            root = next((root for root in self._roots if issued(current, root)), None)
            issuer = root or next((other for other in others if issued(current, other)), None)
            if issuer is None:
                return f"{current.subject.rfc4514_string()}, whose issuer {current.issuer.rfc4514_string()} is missing"
            if not _has(current, x509.AuthorityKeyIdentifier):
                return f"{current.subject.rfc4514_string()} without an authority key identifier"
            if problem := _not_an_authority(issuer, self._now, depth):
                return problem
            if root is not None:
                return ""
            others.remove(issuer)
            current = issuer
        return "a circle"


def covers(certificate: x509.Certificate, name: str) -> bool:
    names = names_of(certificate)
    wildcard = "" if is_address(name) else "*." + name.partition(".")[2]
    return name in names or wildcard in names


def _with(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _usages(certificate: x509.Certificate) -> set[str] | None:
    """None if the certificate may be used for everything."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return None
    usages = {usage.dotted_string for usage in extension.value}
    return None if _ANY_USAGE in usages else usages


def _has(certificate: x509.Certificate, extension: type[x509.ExtensionType]) -> bool:
    try:
        certificate.extensions.get_extension_for_class(extension)
    except x509.ExtensionNotFound:
        return False
    return True


def _not_an_authority(certificate: x509.Certificate, now: datetime.datetime, depth: int = 0) -> str:
    """Why strict clients, such as Python 3.13, do not accept it above a certificate with `depth` authorities below."""
    name = certificate.subject.rfc4514_string()
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return f"{name}, which is not an authority"
    length = constraints.value.path_length
    if not constraints.value.ca:
        return f"{name}, which is not an authority"
    if not constraints.critical:
        return f"{name}, whose basic constraints are not critical"
    if length is not None and length < depth:
        return f"{name}, below which only {length} authorities may stand"
    if not _has(certificate, x509.SubjectKeyIdentifier):
        return f"{name} without a subject key identifier"
    try:
        if not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign:
            return f"{name}, which may not sign certificates"
    except x509.ExtensionNotFound:
        return f"{name} without a key usage"
    if certificate.not_valid_after_utc <= now:
        return f"{name}, expired on {day(certificate)}"
    return ""
