"""Certificates of a site: strict clients accept them, and they are renewed and repaired without a hand."""

from __future__ import annotations

import datetime
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit.plugins.plugin_utils.authorities import authority, leaf, pem_of

from lab.scratch import Site

PLAYBOOK = "tests/acceptance/pki.yml"
SERVED = "/etc/onprem-dify/pki/served"
METRIC = "/var/lib/node_exporter/textfile/onprem_dify_certificates.prom"


class Served:
    """One host with a TLS server, and the certificate authority of its site."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.pki = site.lab.state / "pki"

    def play(self, playbook: str = PLAYBOOK, **variables: Any) -> Any:
        run = self.site.play(playbook, extra_vars=variables)
        assert run.status == "successful", run.failures
        return run

    def refused(self, playbook: str = PLAYBOOK, **variables: Any) -> str:
        run = self.site.play(playbook, extra_vars=variables)
        assert run.status == "failed"
        [failure] = run.failures
        return failure.message

    def root(self, command: str) -> str:
        done = self.site.ssh("db1", f"sudo sh -c '{command}'")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def certificate(self) -> str:
        return self.root(f"cat {SERVED}/tls.crt")

    def greet(self, trusted: Path | None = None, name: str = "db1.lab.internal", **limits: Any) -> bytes:
        """The certificate that the server shows to a client as strict as that of Python 3.13."""
        context = ssl.create_default_context(cafile=str(trusted or self.pki / "root.crt"))
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        for limit, value in limits.items():
            setattr(context, limit, value)
        address = self.site.lab.host("db1").address
        with (
            socket.create_connection((str(address), 4433), 10) as plain,
            context.wrap_socket(plain, server_hostname=name) as tls,
        ):
            shown = tls.getpeercert(binary_form=True)
        assert shown
        return shown


@pytest.fixture(scope="module")
def site(start_site: Callable[..., Site]) -> Site:
    return start_site("pki", "83", ["db1"])


@pytest.fixture(scope="module")
def served(site: Site) -> Served:
    served = Served(site)
    served.play()
    return served


def test_a_dry_run_before_everything_else_says_what_would_be_made(site: Site) -> None:
    run = site.play("playbooks/pki.yml", check=True)
    assert run.status == "successful", run.failures
    assert ("db1", "pki: Make its directory") in run.changed
    assert not (site.lab.state / "pki").exists()


def test_strict_clients_accept_every_name_of_the_server(served: Served) -> None:
    assert served.greet() == served.greet(name=str(served.site.lab.host("db1").address))


def test_other_names_other_authorities_and_old_protocols_are_refused(served: Served, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        served.greet(name="db2.lab.internal")
    (tmp_path / "stranger.crt").write_bytes(authority("stranger").pem)
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        served.greet(tmp_path / "stranger.crt")
    with pytest.raises(ssl.SSLError):
        served.greet(maximum_version=ssl.TLSVersion.TLSv1_2)


def test_a_second_run_and_a_renewal_of_nothing_change_nothing(served: Served) -> None:
    assert served.play().changed == set()
    assert served.play("playbooks/pki.yml").changed == set()
    dry = served.site.play(PLAYBOOK, check=True)
    assert (dry.status, dry.changed) == ("successful", set())


def test_keys_stay_on_the_host_and_are_its_services_own(served: Served) -> None:
    assert served.root(f"stat -L -c %U:%a {SERVED}/tls.key {SERVED}/tls.pem").split() == ["nobody:600"] * 2
    assert not [
        path
        for path in served.pki.rglob("*")
        if path.suffix == ".key" and "issuing" not in path.name and path.name != "root.key"
    ]
    for name in ("root.key", "issuing-1.key"):
        assert (served.pki / name).read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert served.pki.stat().st_mode & 0o777 == 0o700
    # Neither in the log of the host nor in the events of the runs.
    key = served.root(f"sed -n 2p {SERVED}/tls.key").strip()
    assert key
    assert key not in served.root("journalctl --no-pager")
    found = subprocess.run(
        ["grep", "-rlF", key, str(served.site.folder / "artifacts")], capture_output=True, check=False
    )
    assert found.stdout == b""


def test_the_end_of_each_certificate_is_a_metric(served: Served) -> None:
    end = ssl.cert_time_to_seconds(
        served.root(f"openssl x509 -in {SERVED}/tls.crt -noout -enddate").strip().partition("=")[2]
    )
    assert f'onprem_dify_certificate_not_after_seconds{{path="{SERVED}/tls.crt"}} {end}' in served.root(f"cat {METRIC}")


def test_a_certificate_that_ends_soon_is_renewed_and_taken_in(served: Served) -> None:
    before = served.greet()
    served.play(site_pki_certificate_days=2)
    assert served.greet() == before, "it has names and authority as wished, and most of its life"
    served.root(f"rm -r {SERVED}")
    served.play(site_pki_certificate_days=2)
    short = served.greet()
    assert short != before
    run = served.play("playbooks/pki.yml", site_pki_renew_days=30)
    assert ("db1", "pki: Renew the certificates that are due") in run.changed
    assert served.greet() not in (before, short)
    assert served.play("playbooks/pki.yml", site_pki_renew_days=30).changed == set()


def test_other_names_bring_a_new_certificate(served: Served) -> None:
    names = ["postgres.lab.internal", "10.83.3.10"]
    dry = served.site.play(PLAYBOOK, check=True, extra_vars={"test_names": names})
    assert {task for _host, task in dry.changed} == {"Give the server its certificates", "Run the server"}
    served.play(test_names=names)
    served.greet(name="10.83.3.10")
    with pytest.raises(ssl.SSLCertVerificationError):
        served.greet()
    served.play()
    served.greet()


@pytest.mark.parametrize(
    "damage",
    [
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {}/tls.key",
        "echo damaged > {}/tls.key",
        "echo damaged > {}/tls.crt",
        "rm {}/current",
    ],
)
def test_a_pair_that_does_not_match_is_repaired(served: Served, damage: str) -> None:
    served.root(damage.format(SERVED))
    served.play()
    key = served.root(f"openssl pkey -in {SERVED}/tls.key -pubout")
    assert key == served.root(f"openssl x509 -in {SERVED}/tls.crt -noout -pubkey")
    assert (
        ssl.PEM_cert_to_DER_cert(served.certificate().partition("-----END")[0] + "-----END CERTIFICATE-----\n")
        == served.greet()
    )
    assert served.play().changed == set()


def test_what_is_wrong_is_said_in_one_message_before_anything_changes(served: Served) -> None:
    before = served.certificate()
    changed = {"test_names": ["other.lab.internal"]}
    wrong = {"pki_root_key": "x" * 32, "pki_issuing_key": "y" * 32}
    assert "site_secrets.pki_issuing_key does not open" in served.refused(**changed, site_secrets=wrong)
    assert "there is no user nobody-yet" in served.refused(**changed, test_owner="nobody-yet")
    assert served.certificate() == before
    dry = served.site.play(PLAYBOOK, check=True, extra_vars={"test_owner": "nobody-yet"})
    assert dry.status == "successful", dry.failures


def test_the_issuing_authority_is_renewed_with_the_root_at_hand_only(served: Served) -> None:
    old, key = served.greet(), served.pki / "root.key"
    away = key.rename(served.pki.parent / "root.key.away")
    assert served.play().changed == set(), "nobody needs it while nothing is due"
    # Loses the issuing authority, which then has to be made again.
    shutil.move(served.pki / "issuing-1.key", served.pki.parent)
    message = served.refused()
    assert f"{key} is missing" in message
    assert "bring root.key back" in message
    away.rename(key)
    message = served.refused(site_secrets={"pki_root_key": "x" * 32, "pki_issuing_key": "y" * 32})
    assert "site_secrets.pki_root_key does not open" in message
    served.play()
    assert (served.pki / "issuing-2.crt").is_file()
    assert served.greet() != old
    assert served.play().changed == set()


def test_a_killed_making_of_the_authority_is_completed(served: Served) -> None:
    (served.pki / "issuing-2.crt").unlink()
    served.play()
    assert (served.pki / "issuing-2.crt").is_file()
    served.greet()


def test_certificates_that_the_site_provides_are_checked_and_used(served: Served, tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    ends = {"begin": now - datetime.timedelta(days=1), "end": now + datetime.timedelta(days=100)}
    root = authority("corporate root", **ends)
    issuing = authority("corporate issuing", root, path_length=0, **ends)
    good = leaf(issuing, ["db1.lab.internal", str(served.site.lab.host("db1").address)], **ends)
    bad = leaf(authority("stranger", **ends), ["db9.lab.internal"], **ends)
    (tmp_path / "db1").mkdir()
    (tmp_path / "ca.crt").write_bytes(root.pem)
    (tmp_path / "db1" / "served.crt").write_bytes(bad.pem)
    (tmp_path / "db1" / "served.key").write_bytes(pem_of(good.key))
    variables = {"site_pki_mode": "provided", "site_pki_directory": str(tmp_path)}
    before = served.certificate()
    message = served.refused(**variables)
    for wanted in ("also db1.lab.internal", "a chain that leads to ca.crt", "the key of served.crt"):
        assert f"wanted {wanted}" in message
    assert served.certificate() == before

    (tmp_path / "db1" / "served.crt").write_bytes(good.pem + issuing.pem)
    served.play(**variables)
    assert served.greet(tmp_path / "ca.crt") == ssl.PEM_cert_to_DER_cert(good.pem.decode())
    assert served.play(**variables).changed == set()
    record = json.loads((tmp_path / "records" / "db1.json").read_text())
    assert record[SERVED]["names"][0] == "db1.lab.internal"
