"""Keys and certificates on a host, with the openssl of this machine; killed at every step."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from unit.plugins.plugin_utils.authorities import NOW, PASSPHRASE, authority, days, write_authority

from ansible_collections.onprem.dify.plugins.module_utils.certificates import CertificateError, parse_wishes
from ansible_collections.onprem.dify.plugins.module_utils.certificates_host import Place, present, write_file
from ansible_collections.onprem.dify.plugins.plugin_utils.authority import Internal, Settings, pem, read_state

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("openssl"), reason="files of root, and the program openssl"
)
OTHER = next((user for user in pwd.getpwall() if user.pw_uid not in (0, os.geteuid())), None)
ROOT = authority("root")
ISSUING = authority("issuing 1", ROOT)


def run(command: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


class Host:
    def __init__(self, folder: Path) -> None:
        self.directory = folder / "pki" / "redis"
        (folder / "ca").mkdir()
        write_authority(folder / "ca", ROOT, ISSUING)
        values = {"mode": "internal", "directory": folder / "ca", "certificate_days": 397, "renew_days": 0}
        self.authority = Internal(Settings.parse(values), read_state(folder / "ca"))
        self.authority.unlock(PASSPHRASE)

    def place(self, **changes: Any) -> Place:
        entry = {"directory": str(self.directory), "owner": "root", "group": "root", "combined": True, **changes}
        return Place(entry, run)

    def issue(self, **changes: Any) -> None:
        place = self.place(**changes)
        [wish] = parse_wishes([{"name": "redis", "names": ["db1"]}])
        certificates = self.authority.sign(place.request("db1"), wish, NOW)
        place.install(self.authority.trusted, pem(certificates))

    def pair_matches(self) -> bool:
        key = run(["openssl", "pkey", "-in", str(self.directory / "tls.key"), "-pubout"])[1]
        return (
            key != ""
            and key == run(["openssl", "x509", "-in", str(self.directory / "tls.crt"), "-noout", "-pubkey"])[1]
        )

    def good(self, **changes: Any) -> bool:
        found = self.place(**changes).look()
        return bool(found["laid_out"] and found["public_key"]) and not (found["faults"] or found["leftovers"])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_virgin_host_has_nothing_and_looking_makes_nothing(host: Host) -> None:
    found = host.place(owner="nobody-yet", group="nobody-yet").look()
    assert (found["certificate"], found["public_key"], found["laid_out"]) == ("", "", False)
    assert found["missing"] == ["user nobody-yet", "group nobody-yet"]
    assert not host.directory.exists()


def test_a_pair_is_issued(host: Host) -> None:
    host.issue()
    assert host.pair_matches()
    assert host.good()
    assert mode(host.directory / "tls.key") == mode(host.directory / "tls.pem") == 0o600
    assert mode(host.directory / "tls.crt") == mode(host.directory / "ca.crt") == 0o644
    both = (host.directory / "tls.crt").read_text() + (host.directory / "tls.key").read_text()
    assert (host.directory / "tls.pem").read_text() == both
    assert present([str(host.directory), "/nowhere"]) == [str(host.directory)]


def test_a_new_pair_has_a_new_key_and_leaves_no_old_one(host: Host) -> None:
    host.issue()
    before = (host.directory / "tls.key").read_text()
    host.issue()
    assert (host.directory / "tls.key").read_text() != before
    assert len(list(host.directory.glob("pair-*"))) == 1
    assert host.good()


def test_asking_for_a_certificate_changes_nothing_that_is_in_use(host: Host) -> None:
    host.issue()
    before = {name: (host.directory / name).read_text() for name in ("tls.key", "tls.crt", "tls.pem", "ca.crt")}
    host.place().request("db1")
    assert {name: (host.directory / name).read_text() for name in before} == before
    assert host.place().look()["leftovers"] == ["next"]


def test_a_certificate_of_another_key_is_refused_and_the_old_pair_stays(host: Host) -> None:
    host.issue()
    before = (host.directory / "tls.crt").read_text()
    host.place().request("db1")
    with pytest.raises(CertificateError, match="does not belong to the key; nothing was replaced"):
        host.place().install(host.authority.trusted, before)
    assert (host.directory / "tls.crt").read_text() == before
    assert host.pair_matches()


def test_the_same_certificate_repairs_a_damaged_key(host: Host) -> None:
    host.issue()
    certificate, key = ((host.directory / name).read_text() for name in ("tls.crt", "tls.key"))
    for _time in range(3):
        (host.directory / "tls.key").write_text("damaged")
        assert not host.place().look()["public_key"]
        host.place().install(host.authority.trusted, certificate, key)
        assert host.good()


@pytest.mark.parametrize("how", ["mode", "owner", "link", "unwanted", "pem", "authority"])
def test_what_differs_besides_the_pair_is_seen_and_put_right(host: Host, how: str) -> None:
    host.issue()
    serial = (host.directory / "tls.crt").read_text()
    combined = True
    if how == "mode":
        (host.directory / "tls.key").chmod(0o644)
    elif how == "owner":
        os.chown(host.directory / "tls.key", 12345, 0)
    elif how == "link":
        (host.directory / "tls.pem").unlink()
    elif how == "unwanted":
        combined = False
    elif how == "pem":
        (host.directory / "tls.pem").write_text("another")
    else:
        (host.directory / "ca.crt").chmod(0o600)
    assert host.place(combined=combined).look()["faults"]
    host.place(combined=combined).install(host.authority.trusted)
    assert host.good(combined=combined)
    assert (host.directory / "tls.pem").exists() is combined
    assert (host.directory / "tls.crt").read_text() == serial


@pytest.mark.skipif(OTHER is None, reason="needs a second user")
def test_files_belong_to_the_service_and_the_directory_does_not(host: Host) -> None:
    assert OTHER is not None
    group = grp.getgrgid(OTHER.pw_gid).gr_name
    host.issue(owner=OTHER.pw_name, group=group)
    assert (host.directory / "tls.key").owner() == OTHER.pw_name
    assert host.directory.owner() == "root"
    assert host.good(owner=OTHER.pw_name, group=group)


def test_files_of_somebody_else_are_replaced(host: Host) -> None:
    host.directory.mkdir(parents=True)
    (host.directory / "tls.crt").write_bytes(ISSUING.pem)
    (host.directory / "tls.key").write_text("a key")
    (host.directory / "current").mkdir()
    assert host.place().look()["laid_out"] is False
    host.issue()
    assert host.good()


class Killed(BaseException):
    """What `except Exception` does not hold."""


STEPS = ["rename", "replace", "symlink_to", "unlink", "mkdir", "write_text", "touch", "chmod"]


def test_no_kill_leaves_a_pair_that_does_not_match(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.issue()
    original = {step: getattr(Path, step) for step in STEPS}
    kills = 0
    while True:
        left = [kills]

        def counted(step: str, left: list[int] = left) -> Callable[..., Any]:
            def call(*args: Any, **options: Any) -> Any:
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
                return original[step](*args, **options)

            return call

        with monkeypatch.context() as patch:
            for step in STEPS:
                patch.setattr(Path, step, counted(step))
            try:
                host.issue()
                finished = True
            except Killed:
                finished = False
        assert host.pair_matches(), f"killed before step {kills}"
        if finished:
            break
        kills += 1
        if kills % 5 == 0:
            # The next run repairs what is left.
            host.issue()
            assert host.good()
    assert kills > 10
    host.issue()
    assert host.good()


def test_a_file_is_written_with_the_directories_that_it_needs(tmp_path: Path) -> None:
    file = tmp_path / "node_exporter" / "textfile" / "certificates.prom"
    write_file(file, "metric 1\n")
    write_file(file, "metric 2\n")
    assert file.read_text() == "metric 2\n"
    assert mode(file) == 0o644
    assert mode(file.parent) == 0o755
    assert list(file.parent.iterdir()) == [file]


def test_the_key_and_its_certificate_have_what_was_asked(host: Host) -> None:
    host.issue()
    leaf = x509.load_pem_x509_certificate((host.directory / "tls.crt").read_bytes())
    assert leaf.subject.rfc4514_string() == "CN=db1"
    assert leaf.not_valid_after_utc == NOW + days(397)
