"""The bundle is built on a connected machine: from real sources under the upstream names, killed, resumed, refused."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import File, Lock
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import parse_signers
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import verify
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_systems
from lab.processes import kill_tree
from lab.runs import PROJECT
from lab.upstream import packages, pinned
from lab.upstream.registry import noise

KILLS = int(os.environ.get("KILLS", "10"))
SYSTEM = bundle_systems.named("Debian_12")
PINS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((PROJECT / "bundle").glob("*.yml"))}
MEBIBYTE = 1 << 20
# A build takes ten, on a machine that has nothing else to do.
SECONDS = 600
ARCHIVE_BYTES = 2 * MEBIBYTE
# What the connections of a killed build had on the way when it died.
ON_THE_WAY = MEBIBYTE


class Upstream(pinned.Upstream):
    """Everything that the pins name, and the packages of Debian as empty ones."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.archive = packages.Archive(folder / "files/debian/debian")
        self.from_here("pypi.org")

    @property
    def rules(self) -> list[dict[str, str]]:
        return [{"from": "debian://", "to": f"{self.files.address}/debian/"}, *super().rules]

    def close(self) -> None:
        super().close()
        self.archive.close()

    def finished(self, folder: Path) -> set[str]:
        """The paths at upstream of all that stands in a bundle, by the digests of the files here."""
        there = {digest.removeprefix("sha256:") for digest in Store(folder).digests()}
        return {path for digest, path in self._digests().items() if digest in there}

    def _digests(self) -> dict[str, str]:
        paths = (path for path in self.files.folder.rglob("*") if path.is_file() and "/dists/" not in str(path))
        return {
            hashlib.sha256(path.read_bytes()).hexdigest(): str(path.relative_to(self.files.folder)) for path in paths
        }


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    found = Upstream(tmp_path_factory.mktemp("upstream"))
    try:
        found.serve(PINS, lambda url: noise(ARCHIVE_BYTES, url))
        for component, pin in PINS.items():
            if pin.get("requirements"):
                line, _ = packages.wheel(found.files.folder / "pypi.org/simple", component.replace("-", "_"), "1.0")
                found.pins[component]["requirements"] = f"{line}\n"
        _fill(found.archive, found.files.folder / "debian", found.pins)
        yield found
    finally:
        found.close()


def _fill(archive: packages.Archive, root: Path, pins: dict[str, dict[str, Any]]) -> None:
    """Every package that a role or a pin names, and one that they need."""
    pool = archive.folder / "pool/main"
    packages.package(pool, "needed-by-all", "1.0", data=noise(MEBIBYTE, "needed"))
    of_pins = bundle_systems.packages_of_pins(PINS, SYSTEM)
    of_roles = bundle_systems.packages_of_roles(PROJECT / "roles", SYSTEM)
    for name in sorted({*of_pins, *(name for names in of_roles.values() for name in names)}):
        if of_pins.get(name) in ("pgvector", "valkey", "seaweedfs"):
            continue
        version = (PINS.get(of_pins.get(name, ""), {}).get("packages") or {}).get("Debian_12", "1.0")
        packages.package(pool, name, f"{version}-1", "needed-by-all", noise(8192, name))
    archive.publish(["bookworm", "bookworm-updates"])
    security = root / "debian-security"
    security.mkdir()
    (security / "dists").symlink_to(archive.folder / "dists")
    archive.publish(["bookworm", "bookworm-updates", "bookworm-security"])


@dataclass
class Builder:
    """Somebody with a connected machine."""

    upstream: Upstream
    collections: str
    home: Path

    def start(
        self, folder: Path, pins: dict[str, Any] | None = None, within: Sequence[str] = (), **variables: Any
    ) -> subprocess.Popen[str]:
        """`within`: words before the command, for a process that can write to this home alone."""
        values = {
            "bundle_directory": str(folder),
            "bundle_release": "2026.11.25",
            "bundle_sources": self.upstream.rules,
            "bundle_keyrings": {"Debian_12": str(self.upstream.archive.keyring)},
            "bundle_ca_file": str(self.upstream.registry.ca_file),
            "bundle_signing_key": str(self.home / "signer"),
            "bundle_repository_key": str(self.home / "packages-key"),
            "site_pins": {**self.upstream.pins, **(pins or {})},
            **variables,
        }
        file = self.home / f"{folder.name}.json"
        file.write_text(json.dumps(values))
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(self.home / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": self.collections,
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "HOME": str(self.home),
            "PIP_CONFIG_FILE": os.devnull,
            **({"TMPDIR": str(self.home)} if within else {}),
        }
        # With the memory that the largest of its processes took, as the last line.
        measured = (
            "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
        )
        command = [*within, sys.executable, "-c", measured, "ansible-playbook", "onprem.dify.bundle", "-e", f"@{file}"]
        return subprocess.Popen(
            command,
            cwd=self.home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def build(self, folder: Path, pins: dict[str, Any] | None = None, **variables: Any) -> Run:
        process = self.start(folder, pins, **variables)
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            kill_tree(process.pid)
            raise
        return Run(process.returncode, output)

    @property
    def signers(self) -> list[str]:
        return [f"builder {(self.home / 'signer.pub').read_text()}"]


@dataclass
class Run:
    code: int
    output: str

    @property
    def kibibytes(self) -> int:
        return int(self.output.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def builder(upstream: Upstream, installed_collections: str, tmp_path_factory: pytest.TempPathFactory) -> Builder:
    home = tmp_path_factory.mktemp("home")
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "signer")]
    subprocess.run(command, check=True)
    (home / "ansible.cfg").touch()
    return Builder(upstream, installed_collections, home)


@pytest.fixture(scope="module")
def bundle(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    done = builder.build(folder)
    assert done.code == 0, done.output
    return folder


def lock_of(folder: Path) -> Lock:
    return Lock.parse((folder / "lock.json").read_bytes())


def files_of(lock: Lock, kind: str) -> list[File]:
    return [file for file in lock.files if file.kind == kind]


def test_a_bundle_has_what_the_pins_and_the_roles_name(bundle: Path, builder: Builder) -> None:
    lock = lock_of(bundle)
    archives = {file.component for file in files_of(lock, "archive")}
    assert archives == {name for name, pin in builder.upstream.pins.items() if "archives" in pin}
    names = {file.path.rpartition("/")[2].split("_")[0] for file in files_of(lock, "package")}
    wanted = {name for names in bundle_systems.packages_of_roles(PROJECT / "roles", SYSTEM).values() for name in names}
    assert wanted | {"needed-by-all"} <= names
    assert len(files_of(lock, "wheel")) == 1
    collections = {file.component for file in files_of(lock, "collection")}
    assert {"onprem.dify", "community.general", "ansible.posix"} <= collections
    images = {image.reference for image in lock.images}
    assert {"registry.k8s.io/pause:3.10.2", "registry.k8s.io/kube-apiserver:v1.36.4"} <= images


def test_a_bundle_says_the_upstream_names_and_nothing_of_where_it_was_built(bundle: Path, builder: Builder) -> None:
    text = (bundle / "lock.json").read_text()
    for trace in ("127.0.0.1", str(bundle.parent), str(builder.home)):
        assert trace not in text
    assert "https://github.com/etcd-io/etcd/" in text
    assert "debian://debian/pool/main/" in text


def test_a_finished_bundle_is_accepted_by_who_trusts_its_builder(bundle: Path, builder: Builder) -> None:
    verdict = verify(bundle, parse_signers(builder.signers))
    assert verdict.good, verdict.message()


def test_images_hold_the_wanted_architecture_alone(bundle: Path) -> None:
    store = Store(bundle)
    for image in lock_of(bundle).images:
        index = json.loads(store.path(image.digest).read_bytes())
        there = {
            entry["platform"]["architecture"] for entry in index["manifests"] if store.path(entry["digest"]).exists()
        }
        assert there == {"amd64"}, image.reference


def test_a_bundle_is_for_all_architectures_that_were_asked_for(builder: Builder, tmp_path: Path) -> None:
    both = {"amd64", "arm64"}
    pins = {}
    for name, pin in PINS.items():
        if "arm64" in (pin.get("archives") or {}):
            url = pin["archives"]["arm64"]["url"]
            own = builder.upstream.pins[name]
            pins[name] = {**own, "archives": {**own["archives"], "arm64": builder.upstream.put(url, noise(1024, url))}}
    done = builder.build(tmp_path / "both", pins, bundle_architectures=sorted(both))
    assert done.code == 0, done.output
    lock, store = lock_of(tmp_path / "both"), Store(tmp_path / "both")
    assert set(lock.architectures) == both
    archives = [(file.component, file.architecture) for file in files_of(lock, "archive")]
    assert sorted(archives) == sorted((name, architecture) for name in pins for architecture in both)
    assert both == {path.split("binary-")[1].split("/")[0] for file in lock.files if "binary-" in (path := file.path)}
    for image in lock.images:
        entries = json.loads(store.path(image.digest).read_bytes())["manifests"]
        assert both == {one["platform"]["architecture"] for one in entries if store.path(one["digest"]).exists()}
    verdict = verify(tmp_path / "both", parse_signers(builder.signers))
    assert verdict.good, verdict.message()


def test_hosts_install_from_the_repository_of_the_bundle_alone(bundle: Path, tmp_path: Path) -> None:
    lock = lock_of(bundle)
    for file in lock.files:
        if file.path.startswith(("packages/", "keys/")):
            place = tmp_path / file.path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(Store(bundle).path(file.digest))
    for name in ("state/lists/partial", "cache/archives/partial"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "status").touch()
    key = tmp_path / "keys/packages.asc"
    (tmp_path / "sources.list").write_text(f"deb [signed-by={key}] file:{tmp_path}/packages/Debian_12 bookworm main\n")
    settings = {
        "Dir::State": f"{tmp_path}/state",
        "Dir::State::status": f"{tmp_path}/status",
        "Dir::Cache": f"{tmp_path}/cache",
        "Dir::Etc::sourcelist": f"{tmp_path}/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::trustedparts": "/dev/null",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "",
    }
    options = [f"--option={name}={value}" for name, value in settings.items()]
    for words in (
        ["update", "--option=APT::Update::Error-Mode=any"],
        ["install", "--simulate", "haproxy", "firewalld"],
    ):
        done = subprocess.run(["apt-get", *options, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Inst needed-by-all" in done.stdout


def test_the_controller_installs_the_collections_of_a_bundle(bundle: Path, tmp_path: Path) -> None:
    tarballs = []
    for file in files_of(lock_of(bundle), "collection"):
        tarballs.append(tmp_path / file.path.rpartition("/")[2])
        tarballs[-1].symlink_to(Store(bundle).path(file.digest))
    command = [
        "ansible-galaxy",
        "collection",
        "install",
        "--offline",
        "-p",
        str(tmp_path / "there"),
        *map(str, tarballs),
    ]
    (tmp_path / "ansible.cfg").touch()
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "there"),
    }
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "there/ansible_collections/onprem/dify/playbooks/bundle.yml").is_file()


def test_a_second_build_fetches_nothing_and_changes_nothing(bundle: Path, builder: Builder) -> None:
    before, images = (bundle / "lock.json").read_bytes(), builder.upstream.registry.sent()
    signature = (bundle / "lock.json.sig").read_bytes()
    builder.upstream.files.forget()
    again = builder.build(bundle)
    assert again.code == 0, again.output
    assert "changed=0" in again.output
    assert builder.upstream.files.total == 0, dict(builder.upstream.files.sent)
    assert builder.upstream.registry.sent() == images
    assert (bundle / "lock.json").read_bytes() == before
    assert (bundle / "lock.json.sig").read_bytes() == signature


def test_the_same_pins_give_the_same_lock_in_another_folder(bundle: Path, builder: Builder, tmp_path: Path) -> None:
    other = tmp_path / "another place"
    done = builder.build(other)
    assert done.code == 0, done.output
    assert (other / "lock.json").read_bytes() == (bundle / "lock.json").read_bytes()
    assert (other / "index.json").read_bytes() == (bundle / "index.json").read_bytes()


def test_a_build_needs_no_root_and_writes_nothing_but_what_is_its_own(bundle: Path, builder: Builder) -> None:
    """As somebody who is not root and has no capability, on a machine of which all but this home is read only."""
    home = shlex.quote(str(builder.home))
    alone = f"mount --bind {home} {home} && mount -o remount,ro,bind / && cd {home}"
    user = 'exec unshare --user --map-user=1000 --map-group=1000 -- "$@"'
    within = ("unshare", "--mount", "--", "bash", "-c", f"{alone} && {user}", "bash")
    probe = subprocess.run(
        [*within, "sh", "-c", "id -u; touch /etc/written"], capture_output=True, text=True, check=False
    )
    assert (probe.stdout, probe.returncode) == ("1000\n", 1), probe.stderr
    done = builder.build(builder.home / "plain", within=within)
    assert done.code == 0, done.output
    assert (builder.home / "plain/lock.json").read_bytes() == (bundle / "lock.json").read_bytes()


def test_a_patch_of_one_component_is_a_small_delta(bundle: Path, builder: Builder, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    url = PINS["crictl"]["archives"]["amd64"]["url"].replace(PINS["crictl"]["version"], "1.36.1")
    pin = {"version": "1.36.1", "archives": {"amd64": builder.upstream.put(url, noise(ARCHIVE_BYTES, url))}}
    done = builder.build(newer, {"crictl": pin}, bundle_release="2026.11.26")
    assert done.code == 0, done.output
    lock = lock_of(newer)
    carried, all_of_it = sum(lock.missing_in(lock_of(bundle)).values()), sum(lock.blobs().values())
    print(f"delta: {carried} of {all_of_it} bytes, {100 * carried / all_of_it:.1f} %")
    assert 0 < carried < 0.15 * all_of_it


def test_a_wrong_checksum_is_refused_by_the_name_of_the_artefact(builder: Builder, tmp_path: Path) -> None:
    wrong = {"archives": {"amd64": {"url": PINS["etcd"]["archives"]["amd64"]["url"], "sha256": "0" * 64}}}
    done = builder.build(tmp_path / "wrong", {"etcd": wrong})
    assert done.code != 0
    assert "The bundle was not built. etcd 3.6.14 for amd64: what came from" in flat(done.output)
    assert not (tmp_path / "wrong/lock.json").exists()
    assert not (tmp_path / "wrong/blobs/sha256" / ("0" * 64)).exists()


def test_a_release_of_a_day_to_come_is_refused_before_anything_is_fetched(builder: Builder, tmp_path: Path) -> None:
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    builder.upstream.files.forget()
    done = builder.build(tmp_path / "early", bundle_release=f"{tomorrow:%Y.%m.%d}")
    assert done.code != 0
    assert f"bundle_release {tomorrow:%Y.%m.%d} is a day to come: the clock of this machine says " in flat(done.output)
    assert "packages/Debian_12/dists/bookworm/InRelease" in flat(done.output)
    assert builder.upstream.files.total == 0
    assert not (tmp_path / "early/lock.json").exists()


def test_an_image_that_is_not_there_is_refused_by_its_name(builder: Builder, tmp_path: Path) -> None:
    pin = {"images": [{"name": "registry.k8s.io/pause", "tag": "3.10.2", "digest": f"sha256:{'0' * 64}"}]}
    done = builder.build(tmp_path / "wrong", {"pause": pin})
    assert done.code != 0
    assert "The bundle was not built. image registry.k8s.io/pause:3.10.2: " in flat(done.output)


def test_a_registry_of_a_strange_authority_is_not_trusted(builder: Builder, tmp_path: Path) -> None:
    done = builder.build(tmp_path / "strange", bundle_ca_file="")
    assert done.code != 0
    assert "x509: certificate signed by unknown authority" in flat(done.output)


def test_upstream_goes_away_and_comes_back(builder: Builder, tmp_path: Path) -> None:
    files = builder.upstream.files
    files.forget()
    files.rate = 8 * MEBIBYTE
    try:
        process = builder.start(tmp_path / "resumed")
        wait_for(lambda: files.total > 4 * MEBIBYTE, 60)
        files.off()
        output, _ = process.communicate(timeout=120)
    finally:
        files.rate = 0
        if not files.running:
            files.on()
    assert process.returncode != 0
    assert output.count("The bundle was not built.") >= 1
    assert "127.0.0.1" in output
    assert output.count("Connection refused") + output.count("closed") + output.count("Could not connect") >= 1, output
    finished = builder.upstream.finished(tmp_path / "resumed")
    files.forget()
    again = builder.build(tmp_path / "resumed")
    assert again.code == 0, again.output
    assert {path: files.sent[path] for path in finished if files.sent.get(path)} == {}


def test_a_killed_build_goes_on_and_fetches_nothing_finished_again(
    bundle: Path, builder: Builder, tmp_path: Path
) -> None:
    files, registry, line = builder.upstream.files, builder.upstream.registry, builder.upstream.line
    folder = tmp_path / "killed"
    files.forget()
    first_images = registry.sent()
    # Slow enough that no build comes to its end before it is killed.
    files.rate, line.rate = 80 * 1024, 8 * MEBIBYTE
    again = 0
    started = time.monotonic()
    for number in range(KILLS):
        finished, before = builder.upstream.finished(folder), dict(files.sent)
        layers, layers_before = set(Store(folder).digests()) & set(first_images), registry.sent()
        process = builder.start(folder)
        quiet = files.total + line.passed
        wait_for(lambda quiet=quiet: files.total + line.passed > quiet, 60)
        time.sleep(random.Random(number).uniform(0.0, 3.0))
        assert process.poll() is None
        kill_tree(process.pid)
        process.communicate()
        now, layers_now = dict(files.sent), registry.sent()
        again += sum(now.get(path, 0) - before.get(path, 0) for path in finished)
        again += sum(layers_now.get(one, 0) - layers_before.get(one, 0) for one in layers)
    files.rate = line.rate = 0
    done = builder.build(folder)
    assert done.code == 0, done.output
    assert (folder / "lock.json").read_bytes() == (bundle / "lock.json").read_bytes()
    verdict = verify(folder, parse_signers(builder.signers))
    assert verdict.good, verdict.message()
    wanted = sum(
        path.stat().st_size
        for path in files.folder.rglob("*")
        if path.is_file() and str(path.relative_to(files.folder)) in files.sent
    )
    print(
        f"{KILLS} kills in {time.monotonic() - started:.0f} s: {again} bytes of finished artefacts were fetched twice, "
        f"{files.total} bytes were sent for files of {wanted}, {len(layers)} layers were whole before the last kill"
    )
    assert again == 0
    assert files.total - wanted < KILLS * ON_THE_WAY


def test_memory_does_not_grow_with_the_bundle(builder: Builder, tmp_path: Path) -> None:
    url = "https://github.com/example/large/releases/download/v1/large"
    file = builder.upstream.files.put(url.removeprefix("https://"), b"")
    size = 400 * MEBIBYTE
    with file.open("wb") as large:
        large.truncate(size)
    digest = hashlib.sha256()
    for _ in range(400):
        digest.update(bytes(MEBIBYTE))
    few: dict[str, Any] = {"bundle_systems": [], "bundle_keyrings": {}}
    small = builder.build(tmp_path / "small", **few)
    pin = {"seaweedfs": {"archives": {"amd64": {"url": url, "sha256": digest.hexdigest()}}}}
    large_one = builder.build(tmp_path / "large", pin, **few)
    file.unlink()
    assert (small.code, large_one.code) == (0, 0), small.output + large_one.output
    print(f"memory: {small.kibibytes} KiB without, {large_one.kibibytes} KiB with an artefact of 400 MiB")
    assert large_one.kibibytes < small.kibibytes + 30 * 1024


def flat(output: str) -> str:
    """The output without the line breaks of Ansible."""
    return " ".join(output.split())


def wait_for(condition: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
