"""Authorities and certificates for the tests, made in memory."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)


def days(number: float) -> datetime.timedelta:
    return datetime.timedelta(days=number)


BEGIN, END, END_OF_LEAF = NOW - days(10), NOW + days(1000), NOW + days(300)
PASSPHRASE = "a passphrase of the tests"
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def pem_of(key: ec.EllipticCurvePrivateKey, passphrase: str = "") -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def request_for(key: ec.EllipticCurvePrivateKey, *names: str) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name("asked"))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(item) for item in names]), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@dataclass
class Signed:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def authority(
    common_name: str,
    by: Signed | None = None,
    *,
    path_length: int | None = None,
    begin: datetime.datetime = BEGIN,
    end: datetime.datetime = END,
    critical: bool = True,
) -> Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = _builder(common_name, key, by, begin, end)
    builder = builder.add_extension(x509.BasicConstraints(True, path_length), critical).add_extension(usage, True)
    return Signed(builder.sign(by.key if by else key, hashes.SHA256()), key)


def leaf(
    by: Signed,
    names: Sequence[str] = ("db1.example.internal", "10.0.3.11"),
    *,
    begin: datetime.datetime = BEGIN,
    end: datetime.datetime = END_OF_LEAF,
    usages: Sequence[x509.ObjectIdentifier] = (SERVER, CLIENT),
) -> Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(names[0], key, by, begin, end).add_extension(
        x509.SubjectAlternativeName(list(map(_san, names))), False
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), False)
    return Signed(builder.sign(by.key, hashes.SHA256()), key)


def _san(item: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(item))
    except ValueError:
        return x509.DNSName(item)


def _builder(
    common_name: str,
    key: ec.EllipticCurvePrivateKey,
    by: Signed | None,
    begin: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    signer = by.key if by else key
    return (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(by.certificate.subject if by else name(common_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
    )


def write_authority(directory: Path, root: Signed, issuing: Signed | None = None, number: int = 1) -> None:
    (directory / "root.crt").write_bytes(root.pem)
    (directory / "root.key").write_bytes(pem_of(root.key, PASSPHRASE))
    if issuing:
        (directory / f"issuing-{number}.crt").write_bytes(issuing.pem)
        (directory / f"issuing-{number}.key").write_bytes(pem_of(issuing.key, PASSPHRASE))
