"""The repository for dnf: what it keeps of upstream, and that it has one form. dnf itself is tested with a real one."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_dnf, bundle_systems
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_dnf import Dnf, DnfError, Package
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_manager import Target
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Rule, Sources

ROCKY = bundle_systems.named("Rocky_9")


def primary(name: str, sha256: str, location: str = "Packages/x.rpm") -> str:
    return (
        f'<package type="rpm"><name>{name}</name>'
        f'<checksum type="sha256" pkgid="YES">{sha256}</checksum><time file="1700000000" build="1600000000"/>'
        f'<location xml:base="https://elsewhere/" href="{location}"/><format><rpm:license>MIT</rpm:license></format>'
        "</package>"
    )


def package(name: str, version: str = "1.0-1") -> Package:
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    return Package(name, version, "amd64", "p", "u", 1, f"sha256:{sha256}", primary(name, sha256), f"<package {name}/>")


def zst(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("ending", "pack"), [("xml", bytes), ("xml.gz", gzip.compress), ("xml.xz", lzma.compress), ("xml.zst", zst)]
)
def test_an_index_is_read_in_pieces_however_it_is_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(bundle_dnf, "CHUNK", 7)
    one, two = primary("one", "1" * 64), primary("two", "2" * 64)
    index = tmp_path / f"primary.{ending}"
    index.write_bytes(pack(f'<?xml version="1.0"?>\n<metadata packages="2">\n{one}\n{two}\n</metadata>\n'.encode()))
    wanted = {f"sha256:{'2' * 64}"}
    assert dict(bundle_dnf._stanzas(index, "primary", wanted)) == {f"sha256:{'2' * 64}": two}


def test_a_stanza_gets_the_place_of_this_repository_and_keeps_the_rest() -> None:
    placed = bundle_dnf._placed(primary("one", "1" * 64), "Packages/one.rpm")
    assert '<location href="Packages/one.rpm"/>' in placed
    assert "elsewhere" not in placed
    assert '<time file="0" build="1600000000"/>' in placed
    assert "<rpm:license>MIT</rpm:license>" in placed


def test_the_repository_has_one_form_whatever_the_order() -> None:
    packages = [package("b"), package("a"), package("a", "0.9-1")]
    files = bundle_dnf.repository("2026.11.25", packages)
    assert files == bundle_dnf.repository("2026.11.25", reversed(packages))
    text = files["repodata/repomd.xml"].decode()
    for kind in ("primary", "filelists"):
        content = files[f"repodata/{kind}.xml"]
        assert hashlib.sha256(content).hexdigest() in text
        assert f"<size>{len(content)}</size>" in text
    assert re.findall(r"<name>(\w)</name>", files["repodata/primary.xml"].decode()) == ["a", "a", "b"]
    assert b'packages="3"' in files["repodata/filelists.xml"]


def test_rules_and_logins_hold_for_the_address_of_the_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine nexus login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    sources = Sources([Rule("https://dl.rockylinux.org/", "https://nexus/rocky/")])
    dnf = Dnf(Target(ROCKY, "arm64"), ROCKY.repositories, sources, tmp_path, "", ())
    assert dnf._repository(0, ROCKY.repositories[0]) == {
        "id": "0",
        "uri": "https://nexus/rocky/pub/rocky/9/BaseOS/aarch64/os/",
        "user": "me",
        "password": "secret",
    }


def test_a_repository_without_a_key_is_refused_with_the_variable(tmp_path: Path) -> None:
    dnf = Dnf(Target(ROCKY, "amd64"), ROCKY.repositories, Sources(), tmp_path, "", ())
    with pytest.raises(DnfError, match=r"BaseOS/\$basearch/os: no key is no file .* in bundle_keyrings\.Rocky_9"):
        dnf.prepare()


def test_each_key_is_in_the_bundle_once(tmp_path: Path) -> None:
    for name, text in (("a", b"key A"), ("b", b"key B\n\n"), ("c", b"key A\n")):
        (tmp_path / name).write_bytes(text)
    repositories = [bundle_systems.Repository("https://x", signed_by=str(tmp_path / name)) for name in "bacb"]
    assert bundle_dnf.keys_of(repositories) == b"key A\nkey B\n"
