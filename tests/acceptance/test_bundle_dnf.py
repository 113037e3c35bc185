"""Packages of the RHEL family in a bundle: chosen by dnf, proved by their makers, installed from the bundle alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from unit.roles import rendering

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import Lock
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import parse_signers
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import verify
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_plan, bundle_systems
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_builder import Build, BuildError, Result, Settings
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Sources
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_systems import Repository
from lab.runs import PROJECT
from lab.upstream import rpms
from lab.upstream.files import Files

SYSTEM = bundle_systems.named("Rocky_9")
INFO = {"namespace": "onprem", "name": "dify", "version": "0.1.0", "license": ["GPL-3.0-or-later"]}
OF_ROLES = bundle_systems.packages_of_roles(PROJECT / "roles", SYSTEM)
NAMES = sorted({name for names in OF_ROLES.values() for name in names})
# Pinned here to a version that is not the newest.
HAPROXY = {**yaml.safe_load((PROJECT / "bundle/haproxy.yml").read_text()), "packages": {"Rocky_9": "2.4.22"}}
UPSTREAM = "dl.rockylinux.org/pub/rocky/9"


class Upstream:
    """BaseOS has everything that the roles install, AppStream one package that one of them needs."""

    def __init__(self, folder: Path) -> None:
        place = folder / "files" / UPSTREAM
        self.files = Files(folder / "files")
        self.makers = rpms.Repository(place / "BaseOS/x86_64/os", folder / "1")
        self.others = rpms.Repository(place / "AppStream/x86_64/os", folder / "2", "Makers of AppStream")
        for name in NAMES:
            self.makers.package(name, "2.4.22" if name == "haproxy" else "1.0", needs="needed" * (name == "haproxy"))
        self.makers.package("haproxy", "2.4.23", needs="needed")
        self.others.package("needed", "1.0^git1")
        self.others.package("not-wanted", "1.0")
        self.publish()

    def publish(self) -> None:
        for repository in (self.makers, self.others):
            repository.publish()

    def close(self) -> None:
        self.files.off()
        for repository in (self.makers, self.others):
            repository.close()

    def repositories(self, *keyrings: Path) -> list[Repository]:
        keys = keyrings or (self.makers.keyring, self.others.keyring)
        return [Repository(one.uri, signed_by=str(key)) for one, key in zip(SYSTEM.repositories, keys, strict=True)]


BuildOf = Callable[..., Result]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    found = Upstream(tmp_path_factory.mktemp("upstream"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def build(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> BuildOf:
    home = tmp_path_factory.mktemp("home")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "key")], check=True)
    (home / "own").mkdir()
    (home / "own/FILES.json").write_text('{"files": [], "format": 1}')
    (home / "own/MANIFEST.json").write_text(json.dumps({"collection_info": INFO}))

    def run(folder: Path, repositories: list[Repository] | None = None, more: list[str] | None = None) -> Result:
        settings = Settings(
            directory=folder,
            work=folder.with_name(f"{folder.name}.work"),
            release="2026.11.25",
            architectures=("amd64",),
            sources=Sources.parse([{"from": "https://", "to": f"{upstream.files.address}/"}]),
            repositories={SYSTEM.name: repositories or upstream.repositories()},
            repository_key=home / "packages-key",
            signing_key=home / "key",
            earlier=(),
            wheel_links=(),
            ca_file="",
            parallel=4,
        )
        wishes = bundle_plan.plan({"haproxy": HAPROXY}, ["amd64"], [SYSTEM], {SYSTEM.name: OF_ROLES}, more or [])
        return Build(settings, wishes, {"haproxy": HAPROXY}, home / "own", lambda _name: None, None, print).run()

    return run


@pytest.fixture(scope="module")
def bundle(build: BuildOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    build(folder)
    return folder


@pytest.fixture
def served(bundle: Path, tmp_path: Path) -> Path:
    """The files of the bundle under their names, as a mirror has them."""
    for file in lock_of(bundle).files:
        place = tmp_path / "served" / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(Store(bundle).path(file.digest).read_bytes())
    return tmp_path / "served"


def lock_of(folder: Path) -> Lock:
    return Lock.parse((folder / "lock.json").read_bytes())


def install(served: Path, root: Path, *names: str, mirrors: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Install as a host of the site: both signatures are checked, and only its mirrors are asked, or its own disk."""
    places = [f"{mirror}/packages/Rocky_9" for mirror in mirrors or [f"file://{served}"]]
    keys = [f"file://{served}/keys/{name}.asc" for name in ("packages", "Rocky_9")]
    repository = {"name": "mirror", "baseurl": places, "gpgkey": keys, "repo_gpgcheck": True}
    settings = rendering.template("packages", "yum.repo.j2", packages_repositories=[repository])
    for name in ("cache", "log"):
        (root.parent / name).mkdir()
    (root.parent / "dnf.conf").write_text(f"[main]\nreposdir=/nowhere\n{settings}")
    command = [*([] if mirrors else ["unshare", "--net"]), "dnf", f"--config={root.parent}/dnf.conf"]
    command += [f"--installroot={root}", "--releasever=9", "--disableplugin=*"]
    command += [f"--setopt=cachedir={root.parent}/cache", f"--setopt=logdir={root.parent}/log"]
    return subprocess.run([*command, "--assumeyes", "install", *names], capture_output=True, text=True, check=False)


def test_a_bundle_has_what_the_roles_install_and_what_that_needs(bundle: Path) -> None:
    lock = lock_of(bundle)
    packages = {file.path.rpartition("/")[2]: file for file in lock.files if file.kind == "package"}
    names = {name.rsplit("-", 2)[0] for name in packages}
    assert names == {*NAMES, "needed"}
    # A sign that no path of a bundle has.
    assert "needed-1.0_git1-1.noarch.rpm" in packages
    assert packages["haproxy-2.4.22-1.noarch.rpm"].component == "haproxy"
    assert packages["haproxy-2.4.22-1.noarch.rpm"].source.startswith(f"https://{UPSTREAM}/BaseOS/x86_64/os/haproxy-")
    assert verify(bundle, parse_signers([f"me {signer(bundle)}"])).good


def signer(bundle: Path) -> str:
    home = next(bundle.parent.parent.glob("home*"))
    return (home / "key.pub").read_text()


def test_hosts_install_from_the_repository_of_the_bundle_alone(served: Path, tmp_path: Path) -> None:
    done = install(served, tmp_path / "root", "haproxy", "firewalld")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("haproxy", "firewalld", "needed"):
        assert (tmp_path / f"root/usr/share/{name}/content").is_file()
    command = ["rpm", "--root", str(tmp_path / "root"), "-q", "haproxy"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "haproxy-2.4.22-1.noarch\n"


@pytest.mark.parametrize("lost", [0, 1])
def test_hosts_install_from_the_mirror_that_is_left(served: Path, tmp_path: Path, lost: int) -> None:
    mirrors = [Files(served), Files(served)]
    mirrors[lost].off()
    try:
        done = install(served, tmp_path / "root", "haproxy", mirrors=[mirror.address for mirror in mirrors])
    finally:
        mirrors[1 - lost].off()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "root/usr/share/needed/content").is_file()
    assert mirrors[1 - lost].total > 0


@pytest.mark.parametrize("name", ["repodata/repomd.xml", "repodata/primary.xml", "repodata/repomd.xml.asc"])
def test_hosts_refuse_an_index_that_was_altered(served: Path, tmp_path: Path, name: str) -> None:
    file = served / "packages/Rocky_9" / name
    text = file.read_bytes()
    file.write_bytes(text.replace(b"2", b"3", 1) if name.endswith(".xml") else text[:-60] + b"A" + text[-59:])
    done = install(served, tmp_path / "root", "haproxy")
    assert done.returncode != 0
    assert "Failed to download metadata for repo 'mirror'" in done.stderr, done.stdout + done.stderr
    assert not (tmp_path / "root/usr/share/haproxy").exists()


def test_hosts_refuse_a_package_that_was_altered(served: Path, tmp_path: Path) -> None:
    file = served / "packages/Rocky_9/Packages/needed-1.0_git1-1.noarch.rpm"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    done = install(served, tmp_path / "root", "haproxy")
    assert done.returncode != 0
    assert "needed-1.0" in done.stderr
    assert "incorrect checksum" in done.stderr
    assert not (tmp_path / "root/usr/share/needed").exists()


def test_a_second_build_fetches_no_package_and_changes_nothing(
    bundle: Path, build: BuildOf, upstream: Upstream
) -> None:
    before = (bundle / "lock.json").read_bytes()
    upstream.files.forget()
    again = build(bundle)
    assert (again.changed, again.fetched) == (False, 0)
    assert [path for path in upstream.files.sent if path.endswith(".rpm")] == []
    assert (bundle / "lock.json").read_bytes() == before


def test_the_same_pins_give_the_same_lock_in_another_folder(bundle: Path, build: BuildOf, tmp_path: Path) -> None:
    build(tmp_path / "another")
    assert (tmp_path / "another/lock.json").read_bytes() == (bundle / "lock.json").read_bytes()


def test_a_package_that_its_makers_did_not_sign_is_refused(build: BuildOf, upstream: Upstream, tmp_path: Path) -> None:
    file = upstream.makers.package("stranger", "1.0", signed=False)
    upstream.publish()
    try:
        with pytest.raises(BuildError, match=r"none of the keys .* has signed stranger 1\.0-1\. "):
            build(tmp_path / "bundle", more=["stranger"])
    finally:
        file.unlink()
        upstream.publish()
    assert not (tmp_path / "bundle/lock.json").exists()


def test_packages_of_makers_whose_key_is_not_given_are_refused(
    build: BuildOf, upstream: Upstream, tmp_path: Path
) -> None:
    only = upstream.repositories(upstream.makers.keyring, upstream.makers.keyring)
    with pytest.raises(BuildError, match=r"has signed needed 1\.0\^git1-1\. Name those of their makers in bundle_key"):
        build(tmp_path / "bundle", only)


def test_a_key_that_is_missing_is_asked_for(build: BuildOf, upstream: Upstream, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"BaseOS/\$basearch/os: no key is no file .* bundle_keyrings\.Rocky_9"):
        build(tmp_path / "bundle", [Repository(SYSTEM.repositories[0].uri, signed_by="")])


def test_a_package_that_no_repository_has_is_named(build: BuildOf, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="Rocky Linux 9 on amd64: no repository has nowhere"):
        build(tmp_path / "bundle", more=["nowhere"])


def test_a_pinned_version_that_is_gone_is_named_with_what_there_is(
    build: BuildOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HAPROXY, "packages", {"Rocky_9": "2.4.21"})
    wanted = r"haproxy is pinned to 2\.4\.21, and the repositories offer 2\.4\.23-1, 2\.4\.22-1\."
    with pytest.raises(BuildError, match=wanted):
        build(tmp_path / "bundle")


def test_what_upstream_is_asked_for_goes_with_a_login(
    build: BuildOf, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setattr(upstream.files, "login", "Basic bWU6c2VjcmV0")
    build(tmp_path / "bundle")
    kept: list[Any] = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".netrc"]
    assert [path for path in kept if b"secret" in path.read_bytes()] == []
