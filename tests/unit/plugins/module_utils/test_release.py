"""A version is there as a whole or not at all, whatever the archive holds and whenever the run dies."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import release
from ansible_collections.onprem.dify.plugins.module_utils.release import (
    Archive,
    Places,
    ReleaseError,
    Venv,
    Wish,
    bring,
    complaint,
    digest_of,
    in_use,
    parse_links,
    plan,
)

Pack = Callable[..., Path]


def idle(_path: Path) -> bool:
    return False


def run_nothing(command: list[str]) -> tuple[int, str, str]:
    return 0, "", ""


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o755) -> Any:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = kind, link, mode, len(content)
    return info, content


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    def write(*members: Any, name: str = "etcd.tar.gz") -> Path:
        path = tmp_path / name
        with tarfile.open(path, "w:gz") as tar:
            for info, content in members:
                tar.addfile(info, io.BytesIO(content))
        return path

    return write


@pytest.fixture
def good(pack: Pack) -> Path:
    return pack(
        member("etcd-v3/", kind=tarfile.DIRTYPE),
        member("etcd-v3/etcd", b"#!/bin/sh\necho 3\n"),
        member("etcd-v3/doc/README", b"read", mode=0o600),
        member("etcd-v3/etcd-link", kind=tarfile.SYMTYPE, link="etcd"),
        member("etcd-v3/doc/same", kind=tarfile.LNKTYPE, link="etcd-v3/doc/README"),
    )


def source(path: Path, strip: int = 1, opener: Any = None, sha256: str = "") -> Archive:
    digest = sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
    return Archive(places(f"file://{path}"), digest, strip, opener or (lambda _url: path.open("rb")), run_nothing)


def places(*urls: str, warn: Callable[[str], None] = pytest.fail) -> Places:
    return Places(urls, warn)


class Mirrors:
    """Answers for some addresses, with the bytes that stand there."""

    def __init__(self, **there: bytes) -> None:
        self.there, self.asked, self.warned = there, [], []

    def places(self, *names: str) -> Places:
        return Places([f"https://{name}/x" for name in names], self.warned.append)

    def open(self, url: str) -> Any:
        name = url.split("/")[2]
        self.asked.append(name)
        if name not in self.there:
            raise ConnectionRefusedError(111, "Connection refused")
        return io.BytesIO(self.there[name])


def wish(tmp_path: Path, archive: Archive, version: str = "3.6.14", **options: Any) -> Wish:
    links = {tmp_path / "bin/etcd": "etcd"}
    return Wish("etcd", version, tmp_path / "opt", archive.sha256, **{"links": links, **options})


def install(tmp_path: Path, archive: Archive, check_mode: bool = False, **options: Any) -> Any:
    return bring(wish(tmp_path, archive, **options), archive, idle, check_mode)


def entries(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "opt").iterdir())


def test_an_archive_is_installed_and_linked(tmp_path: Path, good: Path) -> None:
    done, diff = install(tmp_path, source(good))
    assert done.install
    assert entries(tmp_path) == ["etcd", "etcd-3.6.14"]
    program = tmp_path / "bin/etcd"
    assert program.resolve() == tmp_path / "opt/etcd-3.6.14/etcd"
    assert os.access(program, os.X_OK)
    assert (tmp_path / "opt/etcd/etcd-link").read_bytes() == program.read_bytes()
    assert (tmp_path / "opt/etcd/doc/same").read_bytes() == b"read"
    assert "etcd-3.6.14 (sha256 " in diff["after"]


def test_users_other_than_root_can_read_it(tmp_path: Path, good: Path) -> None:
    install(tmp_path, source(good))
    assert (tmp_path / "opt/etcd/doc/README").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "opt/etcd/doc").stat().st_mode & 0o777 == 0o755


def test_the_second_run_changes_nothing_and_asks_no_network(tmp_path: Path, good: Path) -> None:
    install(tmp_path, source(good))

    def unreachable(url: str) -> Any:
        raise AssertionError(url)

    done, diff = install(tmp_path, source(good, opener=unreachable))
    assert not done
    assert diff["before"] == diff["after"] == ""


def test_check_mode_predicts_without_network_and_writes_nothing(tmp_path: Path, good: Path) -> None:
    done, diff = install(tmp_path, source(good, opener=None), check_mode=True)
    assert done.install
    assert f"{tmp_path}/bin/etcd -> {tmp_path}/opt/etcd/etcd" in diff["after"]
    assert not (tmp_path / "opt").exists()


def test_another_checksum_is_refused_before_unpacking(tmp_path: Path, good: Path) -> None:
    with pytest.raises(ReleaseError, match=r"found sha256 [0-9a-f]{64}, wanted 0{64}, so nothing of it was used"):
        install(tmp_path, source(good, sha256="0" * 64))
    assert entries(tmp_path) == []


def test_an_unreachable_address_is_named(tmp_path: Path, good: Path) -> None:
    def refused(url: str) -> Any:
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(ReleaseError, match=r"file://.*: .*Connection refused"):
        install(tmp_path, source(good, opener=refused))
    assert entries(tmp_path) == []


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("../evil", b"x")], "leaves its directory"),
        ([member("a/../../evil", b"x")], "leaves its directory"),
        ([member("/etc/evil", b"x")], "leaves its directory"),
        ([member("out", kind=tarfile.SYMTYPE, link="/etc")], "link out in the archive leaves"),
        ([member("a/out", kind=tarfile.SYMTYPE, link="../../x")], "link a/out in the archive leaves"),
        ([member("a", kind=tarfile.SYMTYPE, link="/tmp"), member("a/evil", b"x")], "goes through a link"),
        (
            [
                member("sub/up", kind=tarfile.SYMTYPE, link=".."),
                member("out", kind=tarfile.SYMTYPE, link="sub/up/.."),
            ],
            "link (sub/up|out) in the archive leaves",
        ),
        ([member("disk", kind=tarfile.BLKTYPE)], "neither a file nor"),
        ([member("pipe", kind=tarfile.FIFOTYPE)], "neither a file nor"),
        ([member("hard", kind=tarfile.LNKTYPE, link="/etc/shadow")], "which is not in it"),
        ([member("a", b"1"), member("a", b"2")], "stands twice"),
        ([], "nothing is left"),
    ],
)
def test_what_leaves_the_directory_is_refused(tmp_path: Path, pack: Pack, members: list[Any], message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        install(tmp_path, source(pack(*members), strip=0), links={})
    assert entries(tmp_path) == []
    assert not (tmp_path / "evil").exists()


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<html>Sign in</html>")
    with pytest.raises(ReleaseError, match="not a tar archive"):
        install(tmp_path, source(page))
    assert entries(tmp_path) == []


@pytest.mark.parametrize("step", ["fetch", "unpack", "_complete", "_move_in", "_check_targets", "_link"])
def test_a_run_that_dies_leaves_nothing_that_counts(
    tmp_path: Path, good: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_words: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(release, step, die)
        # A kill gives no time to clean up.
        patch.setattr(release, "_remove", lambda path: None)
        with pytest.raises(KeyboardInterrupt):
            install(tmp_path, source(good))
    assert not (tmp_path / "bin/etcd").exists()
    install(tmp_path, source(good))
    assert entries(tmp_path) == ["etcd", "etcd-3.6.14"]
    assert (tmp_path / "bin/etcd").exists()


def test_a_directory_without_its_record_is_replaced(tmp_path: Path, good: Path) -> None:
    half = tmp_path / "opt/etcd-3.6.14"
    half.mkdir(parents=True)
    (half / "etcd").write_text("half")
    install(tmp_path, source(good))
    assert (half / "etcd").read_text().startswith("#!")


def test_the_same_version_from_another_archive_replaces_it(tmp_path: Path, good: Path, pack: Pack) -> None:
    install(tmp_path, source(good))
    other = source(pack(member("e/etcd", b"other"), name="other.tar.gz"))
    done, _ = install(tmp_path, other)
    assert done.install
    assert (tmp_path / "bin/etcd").read_bytes() == b"other"
    assert entries(tmp_path) == ["etcd", "etcd-3.6.14"]


def versions(tmp_path: Path, good: Path, *names: str, **options: Any) -> Any:
    for number, name in enumerate(names):
        done, _ = install(tmp_path, source(good), version=name, **options)
        os.utime(tmp_path / f"opt/etcd-{name}" / release.RECORD, (number, number))
    return done


def test_a_new_version_takes_over_and_the_oldest_go(tmp_path: Path, good: Path) -> None:
    versions(tmp_path, good, "1.0", "1.1", "1.2", keep=9)
    done = versions(tmp_path, good, "1.3", keep=1)
    assert [path.name for path in done.remove] == ["etcd-1.1", "etcd-1.0"]
    assert entries(tmp_path) == ["etcd", "etcd-1.2", "etcd-1.3"]
    assert (tmp_path / "opt/etcd").resolve().name == "etcd-1.3"


def test_a_version_in_use_stays(tmp_path: Path, good: Path) -> None:
    versions(tmp_path, good, "1.0", "1.1", keep=9)
    archive = source(good)
    wanted = wish(tmp_path, archive, version="1.1", keep=0)
    assert [path.name for path in plan(wanted, idle).remove] == ["etcd-1.0"]
    assert plan(wanted, lambda path: path.name == "etcd-1.0").remove == []


def test_other_components_and_foreign_directories_are_left_alone(tmp_path: Path, good: Path) -> None:
    for name in ("etcd-backup-1.0", "etcdctl-1.0", ".etcd-1.0.save", "etcd-0.9"):
        (tmp_path / "opt" / name).mkdir(parents=True)
    done = versions(tmp_path, good, "1.1", keep=0)
    assert done.remove == []


def test_what_is_in_the_way_of_a_link_is_named(tmp_path: Path, good: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/etcd").write_text("mine")
    with pytest.raises(ReleaseError, match="bin/etcd is in the way"):
        install(tmp_path, source(good))


def test_a_link_to_nothing_is_refused_and_the_version_in_use_stays(tmp_path: Path, good: Path) -> None:
    versions(tmp_path, good, "1.0")
    with pytest.raises(ReleaseError, match="has no bin/etcd"):
        install(tmp_path, source(good), version="1.1", links={tmp_path / "bin/etcd": "bin/etcd"})
    assert (tmp_path / "opt/etcd").resolve().name == "etcd-1.0"


def test_processes_are_asked_for_program_and_arguments(tmp_path: Path) -> None:
    process = tmp_path / "7"
    process.mkdir()
    (process / "maps").write_text("7f00-7f01 r-xp 0 fe:00 1 /opt/onprem-dify/etcd-1.0/etcd\n")
    (process / "cmdline").write_bytes(b"/opt/onprem-dify/patroni-4.1/bin/python\0-m\0patroni\0")
    busy = in_use(tmp_path)
    found = [name for name in ("etcd-1.0", "etcd-1", "patroni-4.1", "x-1") if busy(Path("/opt/onprem-dify") / name)]
    assert found == ["etcd-1.0", "patroni-4.1"]


@pytest.mark.parametrize("altered", [None, b"altered"])
def test_an_archive_comes_from_the_next_mirror_and_the_one_that_failed_is_named(
    tmp_path: Path, good: Path, altered: Any
) -> None:
    content = good.read_bytes()
    mirrors = Mirrors(**({"one": altered} if altered else {}), two=content, three=content)
    archive = source(good)._replace(places=mirrors.places("one", "two", "three"), opener=mirrors.open)
    assert install(tmp_path, archive)[0].install
    assert mirrors.asked == ["one", "two"]
    (warning,) = mirrors.warned
    why = "found sha256 [0-9a-f]{64}, wanted" if altered else r"\[Errno 111\] Connection refused"
    assert re.match(rf"https://one/x: {why}.*\. It came from https://two/x instead$", warning)
    assert '"url": "https://two/x"' in (tmp_path / "opt/etcd" / release.RECORD).read_text()


def test_a_mirror_that_answers_is_the_only_one_that_is_asked(tmp_path: Path, good: Path) -> None:
    mirrors = Mirrors(one=good.read_bytes())
    archive = source(good)._replace(places=mirrors.places("one", "two"), opener=mirrors.open)
    assert install(tmp_path, archive)[0].install
    assert (mirrors.asked, mirrors.warned) == (["one"], [])


def test_with_no_mirror_left_all_are_named_and_nothing_is_kept(tmp_path: Path, good: Path) -> None:
    mirrors = Mirrors(two=b"altered")
    archive = source(good)._replace(places=mirrors.places("one", "two"), opener=mirrors.open)
    with pytest.raises(ReleaseError, match=r"https://one/x: .*refused; https://two/x: found sha256 .*, wanted "):
        install(tmp_path, archive)
    assert (entries(tmp_path), mirrors.warned) == ([], [])


LOCK = f"patroni==4.1.5 --hash=sha256:{'a' * 64}\n"


class Machine:
    """Makes what `python -m venv` and pip make, and fails where it is told to."""

    def __init__(self, *fail: str) -> None:
        self.fail, self.asked = fail, []

    def __call__(self, command: list[str]) -> tuple[int, str, str]:
        self.asked.append(command)
        for word in self.fail:
            if word in command:
                return 1, "", f"ERROR: no {word}"
        if "venv" in command:
            (Path(command[-1]) / "bin").mkdir(parents=True)
        if "pip" in command:
            (Path(command[0]).parent / "patroni").write_text("#!python")
        return 0, "", ""


FIRST, SECOND = "http://10.0.0.1:8000/wheels/", "http://10.0.0.2:8000/wheels/"


def build(tmp_path: Path, machine: Machine, lock: str = LOCK, version: str = "4.1.5", links: Any = None) -> Any:
    venv = Venv(lock, links or places(FIRST, SECOND), "/usr/bin/python3", "", machine)
    digest = hashlib.sha256(lock.encode()).hexdigest()
    own = {tmp_path / "bin/patroni": "bin/patroni"}
    return bring(Wish("patroni", version, tmp_path / "opt", digest, own), venv, idle, check_mode=False)[0]


def test_wheels_are_installed_with_hashes_and_from_one_place_only(tmp_path: Path) -> None:
    machine = Machine()
    assert build(tmp_path, machine).install
    assert (tmp_path / "bin/patroni").resolve() == tmp_path / "opt/patroni-4.1.5/bin/patroni"
    pip = next(command for command in machine.asked if "pip" in command)
    assert pip[0] == f"{tmp_path}/opt/patroni-4.1.5/bin/python"
    assert {"--require-hashes", "--no-index", "--only-binary", "--isolated"} <= set(pip)
    assert pip[pip.index("--trusted-host") + 1] == "10.0.0.1:8000"
    assert not build(tmp_path, Machine())


def test_wheels_come_from_the_next_mirror_where_one_does_not_answer(tmp_path: Path) -> None:
    warned: list[str] = []
    machine = Machine(FIRST)
    assert build(tmp_path, machine, links=places(FIRST, SECOND, warn=warned.append)).install
    assert warned == [f"{FIRST}: pip: no {FIRST}. It came from {SECOND} instead"]
    tried = [command[command.index("--find-links") + 1] for command in machine.asked if "pip" in command]
    assert tried == [FIRST, SECOND]
    assert SECOND in (tmp_path / "opt/patroni" / release.RECORD).read_text()


def test_with_no_mirror_of_wheels_left_all_are_named_and_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=f"{FIRST}: pip: .*; {SECOND}: pip: "):
        build(tmp_path, Machine(FIRST, SECOND))
    assert entries(tmp_path) == []


def test_what_pip_complains_of_is_one_line_that_says_why() -> None:
    error = "'NewConnectionError('<pip.HTTPConnection object at 0x7f>: Failed to connect: [Errno 111] Refused')'"
    broken = f"WARNING: Retrying (Retry(total=0, read=None)) after connection broken by {error}: /wheels/x/\n"
    lacking = "ERROR: Could not find a version\n\nERROR: No matching distribution found for patroni==4.1.5\n"
    assert complaint(broken * 2 + lacking) == (
        "Failed to connect: [Errno 111] Refused; Could not find a version; "
        "No matching distribution found for patroni==4.1.5"
    )
    assert complaint("No module named\n pip\n") == "No module named; pip"


@pytest.mark.parametrize("step", ["venv", "pip", "sync"])
def test_an_environment_that_failed_leaves_nothing(tmp_path: Path, step: str) -> None:
    with pytest.raises(ReleaseError, match=f"no {step}"):
        build(tmp_path, Machine(step))
    assert entries(tmp_path) == []


def test_an_environment_that_cannot_be_replaced_comes_back(tmp_path: Path) -> None:
    build(tmp_path, Machine())
    other = f"patroni==4.1.5 --hash=sha256:{'b' * 64}\n"
    with pytest.raises(ReleaseError):
        build(tmp_path, Machine("pip"), lock=other)
    assert digest_of(tmp_path / "opt/patroni-4.1.5") == hashlib.sha256(LOCK.encode()).hexdigest()
    assert build(tmp_path, Machine(), lock=other).install
    assert entries(tmp_path) == ["patroni", "patroni-4.1.5"]


def test_an_environment_that_was_cut_off_is_built_again(tmp_path: Path) -> None:
    (tmp_path / "opt/patroni-4.1.5/bin").mkdir(parents=True)
    (tmp_path / "opt/.patroni-4.1.5.old").mkdir()
    assert build(tmp_path, Machine()).install
    assert entries(tmp_path) == ["patroni", "patroni-4.1.5"]


def test_links_to_what_is_no_path_within_are_refused() -> None:
    bin_directory = Path("/usr/local/bin")
    assert parse_links({"etcd": "bin/etcd", "/usr/bin/x": "x"}, bin_directory) == {
        Path("/usr/local/bin/etcd"): "bin/etcd",
        Path("/usr/bin/x"): "x",
    }
    for target in ("/etc/passwd", "../x", ""):
        with pytest.raises(ReleaseError, match="not a path within"):
            parse_links({"x": target}, bin_directory)


def test_a_single_program_comes_from_the_next_mirror(tmp_path: Path) -> None:
    mirrors = Mirrors(two=b"ELF")
    digest = hashlib.sha256(b"ELF").hexdigest()
    program = release.Program(mirrors.places("one", "two"), digest, mirrors.open, run_nothing)
    assert bring(Wish("kubelet", "1.36.4", tmp_path / "opt", digest), program, idle, check_mode=False)[0].install
    assert (tmp_path / "opt/kubelet/kubelet").read_bytes() == b"ELF"
    assert len(mirrors.warned) == 1


def install_program(tmp_path: Path, content: bytes, sha256: str = "", **options: Any) -> Any:
    digest = sha256 or hashlib.sha256(content).hexdigest()
    program = release.Program(places("https://mirror/kubelet"), digest, lambda _url: io.BytesIO(content), run_nothing)
    links = {tmp_path / "bin/kubelet": "kubelet"}
    return bring(Wish("kubelet", "1.36.4", tmp_path / "opt", digest, links=links), program, idle, **options)


def test_a_single_program_is_installed_under_the_name_of_the_component(tmp_path: Path) -> None:
    done, _diff = install_program(tmp_path, b"ELF", check_mode=False)
    assert done.install
    assert entries(tmp_path) == ["kubelet", "kubelet-1.36.4"]
    assert (tmp_path / "bin/kubelet").read_bytes() == b"ELF"
    assert os.access(tmp_path / "bin/kubelet", os.X_OK)
    assert not install_program(tmp_path, b"ELF", check_mode=False)[0]


def test_nothing_is_left_of_a_program_that_is_not_the_pinned_one(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="found sha256"):
        install_program(tmp_path, b"ELF", sha256="0" * 64, check_mode=False)
    assert entries(tmp_path) == []
