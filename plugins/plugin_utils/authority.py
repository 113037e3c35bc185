# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate authority of a site on the controller: what is due, what is wrong, and signing."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ansible_collections.onprem.dify.plugins.module_utils.certificates import (
    CertificateError,
    Wish,
    is_address,
)

# Ansible needs it too, so a controller has it. Sanity tests import this file where it is not.
with suppress(ImportError):
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MODES = ("internal", "provided")
ROOT, ROOT_KEY = "root.crt", "root.key"
# A later issuing authority gets the next number, so that its key and certificate never mix with those of another.
_ISSUING = re.compile(r"issuing-(\d+)\.crt")
# The passphrases of the two keys, as `site_secrets` calls them.
ROOT_SECRET, ISSUING_SECRET = "pki_root_key", "pki_issuing_key"
# Clocks of hosts are not quite equal.
BACKDATED = datetime.timedelta(minutes=5)
# What is left of a life when something is renewed.
LEFT = 3

Certificates: TypeAlias = Sequence["x509.Certificate"]


@dataclass(frozen=True)
class Settings:
    """`site_facts.pki`."""

    mode: str
    directory: Path
    certificate_days: int
    renew_days: int

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Settings:
        missing = [name for name in ("mode", "directory", "certificate_days", "renew_days") if name not in values]
        if missing:
            raise CertificateError(f"authority lacks {', '.join(missing)}: wanted is site_facts.pki")
        settings = cls(
            str(values["mode"]),
            Path(str(values["directory"])).expanduser(),
            int(values["certificate_days"]),
            int(values["renew_days"]),
        )
        if settings.mode not in MODES:
            raise CertificateError(f"site_pki_mode is {settings.mode}, wanted {' or '.join(MODES)}")
        if not settings.directory.is_absolute():
            raise CertificateError(f"site_pki_directory is {settings.directory}, wanted an absolute path")
        if not 0 <= settings.renew_days < settings.certificate_days:
            raise CertificateError(
                f"site_pki_renew_days is {settings.renew_days}, wanted less than the "
                f"{settings.certificate_days} days that a certificate lives (site_pki_certificate_days)"
            )
        return settings

    def due(self, certificate: x509.Certificate, now: datetime.datetime) -> bool:
        """Whether so little of its life is left that it is renewed."""
        days = datetime.timedelta(days=self.renew_days)
        return now >= certificate.not_valid_after_utc - (days or life(certificate) / LEFT)


@dataclass(frozen=True)
class Issuer:
    """An issuing authority as its files are: certificate, key (still encrypted) and the number in their names."""

    number: int
    certificate: x509.Certificate
    key_file: Path


@dataclass(frozen=True)
class State:
    """What stands in the directory of an internal authority. `roots` starts with the one that signs."""

    directory: Path
    roots: Certificates
    issuer: Issuer | None
    highest: int

    @property
    def root(self) -> x509.Certificate | None:
        return self.roots[0] if self.roots else None

    def due(self, now: datetime.datetime) -> list[str]:
        """Which parts have to be made, in order."""
        parts = [] if self.root else ["root"]
        return parts + (["issuing"] if self._issuing_due(now) else [])

    def _issuing_due(self, now: datetime.datetime) -> bool:
        if self.issuer is None or self.root is None or not issued(self.issuer.certificate, self.root):
            return True
        certificate = self.issuer.certificate
        return now >= certificate.not_valid_after_utc - life(certificate) / LEFT

    def next_number(self) -> int:
        return self.highest + 1

    def problems(self, now: datetime.datetime, days: int, secrets: Mapping[str, Any]) -> list[str]:
        """Why the due parts cannot be made; `days` is the life of a new issuing authority."""
        try:
            self._check(now, now + datetime.timedelta(days=days), secrets)
        except CertificateError as error:
            return [str(error)]
        return []

    def _check(self, now: datetime.datetime, end: datetime.datetime, secrets: Mapping[str, Any]) -> None:
        root_file, key_file = self.directory / ROOT, self.directory / ROOT_KEY
        due = self.due(now)
        if self.root is None and self.highest:
            raise CertificateError(
                f"{root_file} is missing, and there is an issuing authority that it signed: bring {ROOT} back"
            )
        if self.root is not None and self.root.not_valid_after_utc <= now:
            raise CertificateError(f"{root_file} has expired on {day(self.root)}: make a new root as docs/pki.md says")
        if not due:
            return
        if self.root is not None and not key_file.is_file():
            raise CertificateError(f"{key_file} is missing, and {self._reason()}: bring {ROOT_KEY} back for this run")
        if self.root is not None and self.root.not_valid_after_utc < end:
            raise CertificateError(
                f"{root_file} ends on {day(self.root)}, before a new issuing authority would: "
                "docs/pki.md says how to replace it"
            )
        # A key of a new part is there already if the run that made it was killed.
        for name, path, certificate in (
            (ROOT_SECRET, key_file, self.root),
            (ISSUING_SECRET, self.directory / f"issuing-{self.next_number()}.key", None),
        ):
            open_key(path, secrets.get(name), name, certificate)

    def _reason(self) -> str:
        """Why an issuing authority is due."""
        if self.issuer is None:
            return "no issuing authority has both its files" if self.highest else "there is no issuing authority yet"
        name = f"issuing-{self.issuer.number}.crt"
        if self.root is not None and not issued(self.issuer.certificate, self.root):
            return f"{name} is not signed by the first certificate of {ROOT}"
        return f"{name} ends on {day(self.issuer.certificate)} and is due for renewal"


def open_key(
    path: Path, passphrase: Any, secret: str, certificate: x509.Certificate | None
) -> ec.EllipticCurvePrivateKey | None:
    """The key in a file, which must be that of the certificate; None if there is no file."""
    name = f"site_secrets.{secret}"
    if not passphrase:
        raise CertificateError(f"{name} is needed for {path}: playbooks/secrets.yml makes it for a new site")
    if not path.is_file():
        return None
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), str(passphrase).encode())
    except ValueError as error:
        raise CertificateError(f"{name} does not open {path}: it is another one, or the file is damaged") from error
    except TypeError as error:
        raise CertificateError(f"{path} is not encrypted: wanted is PKCS 8 with {name} as its passphrase") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{path} is not the key of an elliptic curve")
    if certificate is not None and public_pem(key.public_key()) != public_pem(certificate.public_key()):
        raise CertificateError(f"{path} is not the key of {path.with_suffix('.crt').name}")
    return key


def life(certificate: x509.Certificate) -> datetime.timedelta:
    return certificate.not_valid_after_utc - certificate.not_valid_before_utc


def day(certificate: x509.Certificate) -> str:
    return certificate.not_valid_after_utc.date().isoformat()


def read_state(directory: Path) -> State:
    """The newest issuing authority of which both files are there counts; a killed run leaves the key alone."""
    roots = load_certificates(directory / ROOT) if (directory / ROOT).is_file() else []
    numbers = sorted(
        int(match[1]) for path in directory.glob("issuing-*.crt") if (match := _ISSUING.fullmatch(path.name))
    )
    issuer = None
    for number in numbers:
        key_file = directory / f"issuing-{number}.key"
        if key_file.is_file():
            issuer = Issuer(number, load_certificates(directory / f"issuing-{number}.crt")[0], key_file)
    return State(directory, roots, issuer, numbers[-1] if numbers else 0)


def load_certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except FileNotFoundError as error:
        raise CertificateError(f"{path} is missing") from error
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CertificateError(f"{path} holds no certificate in PEM") from error


def leaf_of(text: str) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificates(text.encode())[0] if text else None
    except ValueError:
        return None


def pem(certificates: Iterable[x509.Certificate]) -> str:
    return "".join(certificate.public_bytes(serialization.Encoding.PEM).decode() for certificate in certificates)


def public_pem(key: Any) -> str:
    text: bytes = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def names_of(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    return addresses | {name.lower().rstrip(".") for name in names.get_values_for_type(x509.DNSName)}


def common_name_of(certificate: x509.Certificate) -> str:
    attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attributes[0].value) if attributes else ""


class Internal:
    """The site's own authority, with what it takes to sign."""

    def __init__(self, settings: Settings, state: State) -> None:
        if state.root is None or state.issuer is None:
            raise CertificateError(f"{state.directory} holds no certificate authority yet: role pki makes it")
        self._settings = settings
        self._issuer = state.issuer
        self._key: ec.EllipticCurvePrivateKey | None = None
        # What hosts trust. The issuing certificate comes with each leaf, so that it can be renewed.
        self.trusted = pem(state.roots)

    def reason(self, wish: Wish, found: Mapping[str, Any], now: datetime.datetime) -> str:
        """Why the host needs a new certificate; empty if it does not."""
        if not found["certificate"]:
            return "there is none yet"
        if not found["laid_out"]:
            return "its files were put there by somebody else"
        try:
            leaf, *chain = x509.load_pem_x509_certificates(found["certificate"].encode())
        except ValueError:
            return "it is damaged"
        issuing = self._issuer.certificate
        key = leaf.public_key()
        if found["public_key"].strip() != public_pem(key).strip():
            return "its key is another one or damaged"
        if list(chain) != [issuing] or not issued(leaf, issuing):
            return "it comes from another authority"
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            return "its key is of another kind"
        if common_name_of(leaf) != wish.common_name or names_of(leaf) != set(wish.names):
            return "its names are to be others"
        if leaf.not_valid_after_utc <= now:
            return f"it has expired on {day(leaf)}"
        if self._settings.due(leaf, now):
            return f"it ends on {day(leaf)}"
        return ""

    def unlock(self, passphrase: str | None) -> None:
        """Open the key, before any host is asked for a request."""
        self._key = open_key(self._issuer.key_file, passphrase, ISSUING_SECRET, self._issuer.certificate)

    def sign(self, request: str, wish: Wish, now: datetime.datetime) -> list[x509.Certificate]:
        """The certificate and its chain. Of the request only the key counts: names come from the wish."""
        if self._key is None:
            raise CertificateError(f"{self._issuer.key_file} was not opened")
        try:
            asked = x509.load_pem_x509_csr(request.encode())
        except ValueError as error:
            raise CertificateError(f"certificate {wish.name}: the host's request is not a request in PEM") from error
        key = asked.public_key()
        if not asked.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
            raise CertificateError(f"certificate {wish.name}: the host's request is not signed by the key it names")
        issuing = self._issuer.certificate
        end = min(now + datetime.timedelta(days=self._settings.certificate_days), issuing.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wish.common_name)]))
            .issuer_name(issuing.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - BACKDATED, issuing.not_valid_before_utc))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_leaf_usage(), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(_authority_identifier(issuing), critical=False)
        )
        if wish.names:
            names = [_general_name(name) for name in wish.names]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return [builder.sign(self._key, hashes.SHA256()), issuing]


def _leaf_usage() -> x509.KeyUsage:
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign")
    unset = dict.fromkeys([*others, "crl_sign", "encipher_only", "decipher_only"], False)
    return x509.KeyUsage(digital_signature=True, **unset)


def _authority_identifier(issuing: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuing.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _general_name(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name)
