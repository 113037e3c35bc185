"""Certificates that the site gets from elsewhere are checked before anything is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unit.plugins.plugin_utils.authorities import CLIENT, NOW, SERVER, Signed, authority, days, leaf, pem_of

from ansible_collections.onprem.dify.plugins.module_utils.certificates import CertificateError, parse_wishes
from ansible_collections.onprem.dify.plugins.plugin_utils.authority import Settings, public_pem
from ansible_collections.onprem.dify.plugins.plugin_utils.provided import Provided, problems

ROOT = authority("corporate root")
ISSUING = authority("corporate issuing", ROOT, path_length=0)
WISHES = parse_wishes([{"name": "redis", "names": ["db1.example.internal", "10.0.3.11"]}])


def put(directory: Path, signed: Signed, *chain: Signed, key: bytes | None = None, name: str = "db1/redis") -> None:
    (directory / "ca.crt").write_bytes(ROOT.pem)
    base = directory / name
    base.parent.mkdir(exist_ok=True)
    Path(f"{base}.crt").write_bytes(b"".join(item.pem for item in (signed, *chain)))
    Path(f"{base}.key").write_bytes(pem_of(signed.key) if key is None else key)


def provided(directory: Path) -> Provided:
    values = {"mode": "provided", "directory": directory, "certificate_days": 397, "renew_days": 0}
    return Provided(Settings.parse(values), "db1", WISHES, Path.read_bytes, NOW)


def findings(directory: Path) -> str:
    with pytest.raises(CertificateError) as refused:
        provided(directory)
    return str(refused.value)


def test_a_good_certificate_is_taken_with_its_chain(tmp_path: Path) -> None:
    good = leaf(ISSUING)
    put(tmp_path, good, ISSUING, ROOT)
    pair = provided(tmp_path).pair(WISHES[0])
    assert list(pair.chain) == [good.certificate, ISSUING.certificate]
    assert "BEGIN PRIVATE KEY" in pair.key


def test_one_certificate_may_serve_everything_on_a_host(tmp_path: Path) -> None:
    put(tmp_path, leaf(ISSUING), ISSUING, name="db1")
    assert provided(tmp_path).pair(WISHES[0])


def test_a_wildcard_covers_one_label(tmp_path: Path) -> None:
    put(tmp_path, leaf(ISSUING, ["*.example.internal", "10.0.3.11"]), ISSUING)
    assert provided(tmp_path)
    put(tmp_path, leaf(ISSUING, ["*.internal", "10.0.3.11"]), ISSUING)
    assert "also db1.example.internal" in findings(tmp_path)


def test_it_is_installed_once(tmp_path: Path) -> None:
    good = leaf(ISSUING)
    put(tmp_path, good, ISSUING)
    site = provided(tmp_path)
    host: dict[str, Any] = {
        "certificate": site.pair(WISHES[0]).text,
        "public_key": public_pem(good.key.public_key()),
        "laid_out": True,
    }
    assert site.reason(WISHES[0], host, NOW) == ""
    assert site.reason(WISHES[0], {**host, "certificate": ""}, NOW) == "there is none yet"
    assert site.reason(WISHES[0], {**host, "certificate": ISSUING.pem.decode()}, NOW) == "the site gave another one"
    assert site.reason(WISHES[0], {**host, "public_key": ""}, NOW) == "its key is another one or damaged"


@pytest.mark.parametrize(
    ("signed", "chain", "said"),
    [
        (
            leaf(ISSUING, end=NOW - days(1)),
            [ISSUING],
            "found expired on 2026-12-31; wanted a certificate that is valid",
        ),
        (leaf(ISSUING, begin=NOW + days(1)), [ISSUING], "found not valid before 2027-01-02"),
        (leaf(ISSUING, ["db2.example.internal"]), [ISSUING], "wanted also db1.example.internal, 10.0.3.11"),
        (leaf(ISSUING, usages=[SERVER]), [ISSUING], "found usage serverAuth; wanted usage serverAuth and clientAuth"),
        (leaf(ISSUING), [], "whose issuer CN=corporate issuing is missing; wanted a chain that leads to ca.crt"),
        (leaf(authority("stranger")), [], "whose issuer CN=stranger is missing"),
    ],
    ids=["expired", "early", "names", "usage", "chain", "stranger"],
)
def test_each_finding_names_host_file_found_and_wanted(
    tmp_path: Path, signed: Signed, chain: list[Signed], said: str
) -> None:
    put(tmp_path, signed, *chain)
    text = findings(tmp_path)
    assert f"host db1: {tmp_path}/db1/redis.crt: found" in text
    assert said in text
    assert len(text.splitlines()) == 2


def test_authorities_that_strict_clients_refuse_are_found(tmp_path: Path) -> None:
    lax = authority("lax", ROOT, critical=False)
    put(tmp_path, leaf(lax), lax)
    assert "CN=lax, whose basic constraints are not critical" in findings(tmp_path)
    above = authority("above", ROOT, path_length=0)
    below = authority("below", above)
    put(tmp_path, leaf(below), below, above)
    assert "CN=above, below which only 0 authorities may stand" in findings(tmp_path)
    expired = authority("expired", ROOT, end=NOW - days(1))
    put(tmp_path, leaf(expired), expired)
    assert "CN=expired, expired on" in findings(tmp_path)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (pem_of(ROOT.key), "db1/redis.key: found another key; wanted the key of redis.crt"),
        (pem_of(ROOT.key, "secret"), "found a key with a passphrase"),
        (b"nothing", "found no private key in PEM"),
    ],
    ids=["another", "passphrase", "none"],
)
def test_the_key_is_checked(tmp_path: Path, key: bytes, said: str) -> None:
    put(tmp_path, leaf(ISSUING), ISSUING, key=key)
    assert said in findings(tmp_path)


def test_a_directory_without_authorities_is_refused_early(tmp_path: Path) -> None:
    assert "ca.crt is missing: wanted is ca.crt with the authorities" in problems(tmp_path)[0]
    (tmp_path / "ca.crt").write_text("nothing")
    assert "holds no certificate in PEM" in problems(tmp_path)[0]
    (tmp_path / "ca.crt").write_bytes(ROOT.pem)
    assert problems(tmp_path) == []


def test_missing_files_are_named(tmp_path: Path) -> None:
    assert "ca.crt is missing" in findings(tmp_path)
    (tmp_path / "ca.crt").write_bytes(ROOT.pem)
    for file in ("redis.crt", "redis.key"):
        assert f"host db1: {tmp_path}/db1/{file}: found nothing; wanted the certificate redis" in findings(tmp_path)


def test_the_use_of_usages_is_optional(tmp_path: Path) -> None:
    put(tmp_path, leaf(ISSUING, usages=[]), ISSUING)
    assert provided(tmp_path)
    put(tmp_path, leaf(ISSUING, usages=[CLIENT, SERVER]), ISSUING)
    assert provided(tmp_path)
