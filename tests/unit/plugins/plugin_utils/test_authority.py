"""The site's own certificate authority: what is due, what is wrong, signing."""

from __future__ import annotations

import base64
import datetime
import ipaddress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from unit.plugins.plugin_utils.authorities import (
    NOW,
    PASSPHRASE,
    Signed,
    authority,
    days,
    leaf,
    pem_of,
    request_for,
    write_authority,
)

from ansible_collections.onprem.dify.plugins.module_utils.certificates import CertificateError, Wish, parse_wishes
from ansible_collections.onprem.dify.plugins.plugin_utils.authority import (
    Internal,
    Settings,
    names_of,
    pem,
    public_pem,
    read_state,
)

NAMES = ["db1.example.internal", "postgres.example.internal", "10.0.3.11", "10.0.3.10"]
SECRETS = {"pki_root_key": PASSPHRASE, "pki_issuing_key": PASSPHRASE}
ROOT = authority("root", path_length=1, end=NOW + days(3650))
ISSUING = authority("issuing 1", ROOT, path_length=0)


def wish(**changes: Any) -> Wish:
    [parsed] = parse_wishes([{"name": "postgresql", "names": NAMES, **changes}])
    return parsed


def settings(directory: Path, **changes: Any) -> Settings:
    values = {"mode": "internal", "directory": directory, "certificate_days": 397, "renew_days": 0, **changes}
    return Settings.parse(values)


def opened(directory: Path, **changes: Any) -> Internal:
    write_authority(directory, ROOT, ISSUING)
    internal = Internal(settings(directory, **changes), read_state(directory))
    internal.unlock(PASSPHRASE)
    return internal


def on_host(internal: Internal, key: ec.EllipticCurvePrivateKey, now: datetime.datetime = NOW) -> dict[str, Any]:
    certificates = internal.sign(request_for(key), wish(), now)
    return {"certificate": pem(certificates), "public_key": public_pem(key.public_key()), "laid_out": True}


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


# Signing


def test_strict_clients_accept_the_chain_for_every_name(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    certificate, *chain = opened(tmp_path).sign(request_for(key), wish(), NOW)
    policy = PolicyBuilder().store(Store([ROOT.certificate])).time(NOW)
    policy.build_server_verifier(x509.DNSName("postgres.example.internal")).verify(certificate, chain)
    policy.build_server_verifier(x509.IPAddress(ipaddress.ip_address("10.0.3.10"))).verify(certificate, chain)
    policy.build_client_verifier().verify(certificate, chain)
    with pytest.raises(VerificationError):
        policy.build_server_verifier(x509.DNSName("db2.example.internal")).verify(certificate, chain)
    other = PolicyBuilder().store(Store([authority("root").certificate])).time(NOW)
    with pytest.raises(VerificationError):
        other.build_server_verifier(x509.DNSName("db1.example.internal")).verify(certificate, chain)


def test_names_come_from_the_wish_and_not_from_the_request(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    certificate = opened(tmp_path).sign(request_for(key, "gateway.example.internal"), wish(), NOW)[0]
    assert names_of(certificate) == set(NAMES)


def test_a_certificate_never_outlives_its_authority(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    internal = opened(tmp_path)
    end = ISSUING.certificate.not_valid_after_utc
    assert internal.sign(request_for(key), wish(), end - days(5))[0].not_valid_after_utc == end
    assert internal.sign(request_for(key), wish(), NOW)[0].not_valid_after_utc == NOW + days(397)


def test_a_request_signed_by_another_key_is_refused(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    der = x509.load_pem_x509_csr(request_for(key).encode()).public_bytes(serialization.Encoding.DER)
    body = base64.b64encode(der[:-4] + bytes(4)).decode()
    forged = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n"
    with pytest.raises(CertificateError, match=r"not signed by the key|not a request"):
        opened(tmp_path).sign(forged, wish(), NOW)


# Opening the key


@pytest.mark.parametrize(
    ("passphrase", "said"),
    [
        (None, "site_secrets.pki_issuing_key is needed for"),
        ("not the passphrase", "site_secrets.pki_issuing_key does not open"),
    ],
)
def test_a_missing_or_wrong_passphrase_is_named(tmp_path: Path, passphrase: str | None, said: str) -> None:
    write_authority(tmp_path, ROOT, ISSUING)
    with pytest.raises(CertificateError) as refused:
        Internal(settings(tmp_path), read_state(tmp_path)).unlock(passphrase)
    assert said in str(refused.value)
    assert "issuing-1.key" in str(refused.value)
    assert "not the passphrase" not in str(refused.value)


def test_a_key_without_passphrase_or_of_another_certificate_is_refused(tmp_path: Path) -> None:
    write_authority(tmp_path, ROOT, ISSUING)
    internal = Internal(settings(tmp_path), read_state(tmp_path))
    (tmp_path / "issuing-1.key").write_bytes(pem_of(ISSUING.key))
    with pytest.raises(CertificateError, match="is not encrypted"):
        internal.unlock(PASSPHRASE)
    (tmp_path / "issuing-1.key").write_bytes(pem_of(ROOT.key, PASSPHRASE))
    with pytest.raises(CertificateError, match=r"is not the key of issuing-1\.crt"):
        internal.unlock(PASSPHRASE)


# When the host needs a new certificate


def test_what_is_in_order_stays(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    internal = opened(tmp_path)
    found = on_host(internal, key)
    assert internal.reason(wish(), found, NOW) == ""
    assert internal.reason(wish(names=[*reversed(NAMES)], common_name=NAMES[0]), found, NOW) == ""


def test_it_is_renewed_when_a_third_of_its_life_is_left(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    internal = opened(tmp_path, certificate_days=90)
    found = on_host(internal, key)
    assert internal.reason(wish(), found, NOW + days(59)) == ""
    assert internal.reason(wish(), found, NOW + days(60.1)).startswith("it ends on")
    assert internal.reason(wish(), found, NOW + days(91)).startswith("it has expired on")


def test_the_site_may_say_when_it_is_renewed(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    internal = opened(tmp_path, certificate_days=90, renew_days=10)
    found = on_host(internal, key)
    assert internal.reason(wish(), found, NOW + days(79)) == ""
    assert internal.reason(wish(), found, NOW + days(81)) != ""


def test_it_is_replaced_for_these_reasons(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    internal = opened(tmp_path)
    found = on_host(internal, key)
    other = leaf(authority("other"), NAMES)
    foreign = {"certificate": other.pem.decode(), "public_key": public_pem(other.key.public_key()), "laid_out": True}
    p384 = ec.generate_private_key(ec.SECP384R1())
    cases = {
        "there is none yet": (wish(), {"certificate": ""}),
        "its files were put there by somebody else": (wish(), {**found, "laid_out": False}),
        "it is damaged": (wish(), {**found, "certificate": "-----BEGIN CERTIFICATE-----\n"}),
        "its key is another one or damaged": (wish(), {**found, "public_key": ""}),
        "it comes from another authority": (wish(), foreign),
        "its key is of another kind": (wish(), on_host(internal, p384)),
        "its names are to be others": (wish(names=NAMES[:3]), found),
    }
    assert {internal.reason(*case, NOW) for case in cases.values()} == set(cases)


def test_a_new_issuing_authority_takes_over_from_the_old_one(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    found = on_host(opened(tmp_path), key)
    write_authority(tmp_path, ROOT, authority("issuing 2", ROOT, path_length=0), number=2)
    renewed = Internal(settings(tmp_path), read_state(tmp_path))
    assert renewed.reason(wish(), found, NOW) == "it comes from another authority"
    # Until it is replaced, the old certificate is as good as before: hosts trust the root.
    certificate, *chain = x509.load_pem_x509_certificates(found["certificate"].encode())
    trusted = x509.load_pem_x509_certificates(renewed.trusted.encode())
    PolicyBuilder().store(Store(trusted)).time(NOW).build_client_verifier().verify(certificate, chain)


# The authority itself


def files(directory: Path, root: Signed, issuing: Signed | None, *, without: str = "") -> Path:
    write_authority(directory, root, issuing)
    for name in without.split():
        (directory / name).unlink()
    return directory


def test_an_empty_directory_needs_both_parts(tmp_path: Path) -> None:
    state = read_state(tmp_path / "none")
    assert state.due(NOW) == ["root", "issuing"]
    assert state.problems(NOW, 1095, SECRETS) == []
    assert state.next_number() == 1


def test_a_killed_run_is_completed(tmp_path: Path) -> None:
    assert read_state(files(tmp_path, ROOT, None, without="root.crt")).due(NOW) == ["root", "issuing"]
    (tmp_path / "root.crt").write_bytes(ROOT.pem)
    (tmp_path / "issuing-1.key").write_bytes(pem_of(ISSUING.key, PASSPHRASE))
    state = read_state(tmp_path)
    assert (state.due(NOW), state.next_number()) == (["issuing"], 1)


def test_a_complete_authority_needs_nothing_even_without_the_key_of_the_root(tmp_path: Path) -> None:
    state = read_state(files(tmp_path, ROOT, ISSUING, without="root.key"))
    assert state.due(NOW) == []
    assert state.problems(NOW, 1095, SECRETS) == []


def test_the_issuing_authority_is_renewed_when_a_third_of_its_life_is_left(tmp_path: Path) -> None:
    issuing = authority("issuing 1", ROOT, begin=NOW - days(700), end=NOW + days(300))
    state = read_state(files(tmp_path, ROOT, issuing))
    assert (state.due(NOW), state.problems(NOW, 1095, SECRETS), state.next_number()) == (["issuing"], [], 2)


def test_the_message_names_the_file_to_bring(tmp_path: Path) -> None:
    issuing = authority("issuing 1", ROOT, begin=NOW - days(700), end=NOW + days(300))
    [problem] = read_state(files(tmp_path, ROOT, issuing, without="root.key")).problems(NOW, 1095, SECRETS)
    assert f"{tmp_path}/root.key is missing" in problem
    assert "issuing-1.crt ends on 2027-10-28" in problem


def test_a_lost_root_is_not_replaced_silently(tmp_path: Path) -> None:
    [problem] = read_state(files(tmp_path, ROOT, ISSUING, without="root.crt")).problems(NOW, 1095, SECRETS)
    assert "bring root.crt back" in problem


def test_an_issuing_authority_does_not_outlive_the_root(tmp_path: Path) -> None:
    root = authority("root", end=NOW + days(500))
    [problem] = read_state(files(tmp_path, root, None)).problems(NOW, 1095, SECRETS)
    assert "before a new issuing authority would" in problem


def test_a_root_is_replaced_in_steps(tmp_path: Path) -> None:
    new = authority("root 2", path_length=1, end=NOW + days(3650))
    write_authority(tmp_path, ROOT, ISSUING)
    (tmp_path / "root.crt").write_bytes(ROOT.pem + new.pem)
    assert read_state(tmp_path).due(NOW) == []
    (tmp_path / "root.crt").write_bytes(new.pem + ROOT.pem)
    (tmp_path / "root.key").write_bytes(pem_of(new.key, PASSPHRASE))
    state = read_state(tmp_path)
    assert (state.due(NOW), state.problems(NOW, 1095, SECRETS), state.next_number()) == (["issuing"], [], 2)


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ({}, "site_secrets.pki_root_key is needed for"),
        ({**SECRETS, "pki_root_key": "another"}, "site_secrets.pki_root_key does not open"),
        ({**SECRETS, "pki_issuing_key": ""}, "site_secrets.pki_issuing_key is needed for"),
    ],
)
def test_passphrases_are_tried_before_they_are_used(tmp_path: Path, secrets: dict[str, str], said: str) -> None:
    assert said in read_state(files(tmp_path, ROOT, None)).problems(NOW, 1095, secrets)[0]
    assert read_state(files(tmp_path, ROOT, ISSUING)).problems(NOW, 1095, secrets) == []


def test_the_key_of_another_root_is_refused(tmp_path: Path) -> None:
    directory = files(tmp_path, ROOT, None)
    (directory / "root.key").write_bytes(pem_of(ISSUING.key, PASSPHRASE))
    assert read_state(directory).problems(NOW, 1095, SECRETS) == [f"{directory}/root.key is not the key of root.crt"]


def test_roots_of_a_change_are_all_trusted(tmp_path: Path) -> None:
    write_authority(tmp_path, ROOT, ISSUING)
    old = authority("old root")
    (tmp_path / "root.crt").write_bytes(ROOT.pem + old.pem)
    internal = Internal(settings(tmp_path), read_state(tmp_path))
    assert internal.trusted.count("BEGIN CERTIFICATE") == 2


@pytest.mark.parametrize(
    "values",
    [{"mode": "acme"}, {"renew_days": 397}, {"renew_days": -1}, {"directory": "pki"}],
    ids=["mode", "too early", "never", "relative"],
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    with pytest.raises(CertificateError, match="site_pki_"):
        settings(**{"directory": tmp_path, **values})
