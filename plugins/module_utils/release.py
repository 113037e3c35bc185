# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A version of a program in a directory of its own, complete or not there at all.

`/opt/onprem-dify/etcd-3.6.14` holds the version, the link `/opt/onprem-dify/etcd` leads to the one in use, and links
such as `/usr/local/bin/etcd` go through it: replacing that one link switches everything.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import stat
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

Run = Callable[[List[str]], Tuple[int, str, str]]
# Opens an address for reading.
Open = Callable[[str], IO[bytes]]

DIRECTORY = "/opt/onprem-dify"
# Written last; without it a directory is a leftover.
RECORD = ".onprem-dify-release.json"
_CHUNK = 1 << 20
_BROKEN = re.compile(r"^Retrying .* broken by '\w+\(.*>: (.*)'\)': \S+$")
# For each page and each wheel: another mirror may answer.
_PATIENCE = ("--timeout", "15", "--retries", "1")


class ReleaseError(Exception):
    """The version cannot be installed; the text is for the user."""


class Wish(NamedTuple):
    """`digest`: of the archive, or of the text that locks the wheels. `links`: path to what it leads to inside."""

    name: str
    version: str
    parent: Path
    digest: str
    links: Mapping[Path, str] = {}
    keep: int = 1

    @property
    def path(self) -> Path:
        return self.parent / f"{self.name}-{self.version}"

    @property
    def current(self) -> Path:
        return self.parent / self.name

    def beside(self, word: str) -> Path:
        return self.parent / f".{self.name}-{self.version}.{word}"

    def wanted_links(self) -> Dict[Path, str]:
        own = {path: str(self.current / target) for path, target in self.links.items()}
        return {self.current: self.path.name, **own}


class Plan(NamedTuple):
    install: bool
    links: Dict[Path, str]
    remove: List[Path]

    def __bool__(self) -> bool:
        return bool(self.install or self.links or self.remove)

    def diff(self, wish: Wish, found: Optional[str]) -> Dict[str, str]:
        before = [f"{wish.path} ({found})"] if self.install and found else []
        before += [f"{path} -> {_target(path)}" for path in self.links if path.is_symlink()]
        before += [str(path) for path in self.remove]
        after = [f"{wish.path} (sha256 {wish.digest})"] if self.install else []
        after += [f"{path} -> {target}" for path, target in self.links.items()]
        return {
            "before_header": wish.name,
            "before": "".join(f"{line}\n" for line in before),
            "after_header": wish.name,
            "after": "".join(f"{line}\n" for line in after),
        }


def digest_of(path: Path) -> str:
    """The digest recorded for a complete version, or an empty text."""
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        return str(record["sha256"])
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return ""


def version_in_use(name: str, parent: Path = Path(DIRECTORY)) -> str:
    """The version that the link of a component leads to; empty if there is none."""
    return _target(parent / name).rpartition(f"{name}-")[2]


def plan(wish: Wish, busy: Callable[[Path], bool]) -> Plan:
    """What must happen. Versions that a process uses stay."""
    for path in wish.wanted_links():
        if path.exists() and not path.is_symlink():
            raise ReleaseError(f"{path} is in the way: a link is wanted there, and something else has the name")
    return Plan(
        install=digest_of(wish.path) != wish.digest,
        links={path: target for path, target in wish.wanted_links().items() if _target(path) != target},
        remove=[path for path in _surplus(wish) if not busy(path)],
    )


def _surplus(wish: Wish) -> List[Path]:
    """Other versions beyond the newest few, and what interrupted runs left of any version."""
    pattern = re.compile(rf"\.?{re.escape(wish.name)}-(\d[\w.+~-]*?)(\.(new|old|download))?")
    others, leftovers = [], []
    for path in sorted(wish.parent.iterdir()) if wish.parent.is_dir() else []:
        match = pattern.fullmatch(path.name)
        if not match or path.is_symlink() or path == wish.path:
            continue
        if path.name.startswith("."):
            leftovers += [path] if match.group(2) else []
        elif digest_of(path):
            others.append(path)
    others.sort(key=lambda path: (path / RECORD).stat().st_mtime, reverse=True)
    return others[max(wish.keep, 0) :] + leftovers


def _target(path: Path) -> str:
    return os.readlink(path) if path.is_symlink() else ""  # noqa: PTH115 (the text as it stands)


@contextlib.contextmanager
def alone(parent: Path) -> Iterator[None]:
    """Wait for a run whose controller was killed, and which is still at work."""
    handle = os.open(parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Places(NamedTuple):
    """Where something can be had, in the order in which they are asked. `warn` hears of those that failed."""

    urls: Sequence[str]
    warn: Callable[[str], None]

    def first(self, attempt: Callable[[str], None]) -> str:
        """The first place with which an attempt succeeds."""
        failures: List[str] = []
        for url in self.urls:
            try:
                attempt(url)
            except ReleaseError as error:
                failures.append(str(error))
                continue
            for failure in failures:
                self.warn(f"{failure}. It came from {url} instead")
            return url
        raise ReleaseError("; ".join(failures))


class Archive(NamedTuple):
    """A tar archive, its top directories stripped."""

    places: Places
    sha256: str
    strip: int
    opener: Open
    run: Run

    def install(self, wish: Wish) -> None:
        download = wish.beside("download")

        def make(fresh: Path) -> str:
            url = self.places.first(lambda place: fetch(self.opener, place, download, self.sha256))
            unpack(download, fresh, self.strip)
            return url

        try:
            _make_anew(wish, make, self.run)
        finally:
            _remove(download)


class Program(NamedTuple):
    """A single program as its makers publish it, under the name of the component."""

    places: Places
    sha256: str
    opener: Open
    run: Run

    def install(self, wish: Wish) -> None:
        def make(fresh: Path) -> str:
            fresh.mkdir(mode=0o755)
            program = fresh / wish.name
            url = self.places.first(lambda place: fetch(self.opener, place, program, self.sha256))
            program.chmod(0o755)
            return url

        _make_anew(wish, make, self.run)


class Venv(NamedTuple):
    """A virtual environment of wheels. It is not relocatable, so it is built at its place and recorded last."""

    requirements: str
    places: Places
    python: str
    ca_path: str
    run: Run

    def install(self, wish: Wish) -> None:
        aside = wish.beside("old")
        if digest_of(wish.path):
            _remove(aside)
            wish.path.rename(aside)
        _remove(wish.path)
        try:
            self._build(wish)
        except BaseException:
            _remove(wish.path)
            if aside.is_dir():
                aside.rename(wish.path)
            raise
        _remove(aside)

    def _build(self, wish: Wish) -> None:
        _must(self.run, [self.python, "-m", "venv", str(wish.path)])
        lock = wish.path / "requirements.txt"
        lock.write_text(self.requirements, encoding="utf-8")
        links = self.places.first(lambda place: self._install(wish.path, place, lock))
        _complete(wish.path, wish, {"wheels": links}, self.run)

    def _install(self, path: Path, links: str, lock: Path) -> None:
        code, out, err = self.run([*self.pip(path, links), "--requirement", str(lock)])
        if code != 0:
            raise ReleaseError(f"{links}: pip: {complaint(err) or complaint(out) or f'exit code {code}'}")

    def pip(self, path: Path, links: str) -> List[str]:
        command = [str(path / "bin" / "python"), "-m", "pip", "--isolated", "--disable-pip-version-check", "--no-input"]
        command += ["install", "--quiet", "--no-cache-dir", "--no-index", "--find-links", links, *_PATIENCE]
        # A source package would run its own code, before any hash of what that code fetches.
        command += ["--require-hashes", "--only-binary", ":all:"]
        host = re.match(r"http://([^/]+)", links)
        command += ["--trusted-host", host.group(1)] if host else []
        return [*command, "--cert", self.ca_path] if self.ca_path else command


Source = Union[Archive, Program, Venv]


def complaint(output: str) -> str:
    """What pip says is wrong, in one line; why a page could not be read stands there for each attempt."""
    lines = [re.sub(r"^(ERROR|WARNING): ", "", line.strip()) for line in output.splitlines()]
    return "; ".join(dict.fromkeys(_BROKEN.sub(r"\1", line) for line in lines if line))


def bring(wish: Wish, source: Source, busy: Callable[[Path], bool], check_mode: bool) -> Tuple[Plan, Dict[str, str]]:
    """What was done, and the difference."""
    if check_mode:
        wanted = plan(wish, busy)
        return wanted, _diff(wanted, wish)
    wish.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with alone(wish.parent):
        wanted = plan(wish, busy)
        diff = _diff(wanted, wish)
        if wanted.install:
            source.install(wish)
        _check_targets(wish)
        for path, target in wanted.links.items():
            _link(path, target)
        for path in wanted.remove:
            _remove(path)
    return wanted, diff


def _diff(wanted: Plan, wish: Wish) -> Dict[str, str]:
    found = digest_of(wish.path)
    return wanted.diff(wish, f"sha256 {found}" if found else "incomplete" if wish.path.exists() else None)


def fetch(opener: Open, url: str, target: Path, sha256: str) -> None:
    """Download, and keep nothing that has not the wanted digest."""
    digest = hashlib.sha256()
    target.unlink(missing_ok=True)
    try:
        with opener(url) as source, target.open("xb") as file:
            for chunk in iter(lambda: source.read(_CHUNK), b""):
                digest.update(chunk)
                file.write(chunk)
    except (OSError, http.client.HTTPException) as error:
        raise ReleaseError(f"{url}: {error}") from error
    if digest.hexdigest() != sha256:
        raise ReleaseError(f"{url}: found sha256 {digest.hexdigest()}, wanted {sha256}, so nothing of it was used")


def unpack(archive: Path, target: Path, strip: int) -> None:
    """Unpack regular files, directories and links, owned by root; nothing may leave the directory."""
    target.mkdir(mode=0o755)
    links: List[Path] = []
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                place = _place(member, target, strip)
                if place is not None:
                    _unpack_member(tar, member, place, target, links)
    except (tarfile.TarError, EOFError) as error:
        raise ReleaseError(f"{archive.name}: not a tar archive that can be read: {error}") from error
    if not any(target.iterdir()):
        raise ReleaseError(f"nothing is left of the archive without its top {strip} directories")
    inside = Path(os.path.realpath(target))
    for link in links:
        if inside not in Path(os.path.realpath(link)).parents:
            raise ReleaseError(f"link {link.relative_to(target)} in the archive leaves its directory")


def _place(member: tarfile.TarInfo, target: Path, strip: int) -> Optional[Path]:
    pure = PurePosixPath(member.name)
    if pure.is_absolute() or ".." in pure.parts:
        raise ReleaseError(f"{member.name!r} in the archive leaves its directory")
    parts = pure.parts[strip:]
    return target.joinpath(*parts) if parts else None


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path, root: Path, links: List[Path]) -> None:
    for parent in place.parents:
        if parent == root:
            break
        if parent.is_symlink():
            raise ReleaseError(f"{member.name!r} in the archive goes through a link")
    if place.is_symlink() or (place.exists() and not (place.is_dir() and member.isdir())):
        raise ReleaseError(f"{member.name!r} stands twice in the archive")
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if member.isdir():
        place.mkdir(mode=0o755, exist_ok=True)
    elif member.issym():
        place.symlink_to(member.linkname)
        links.append(place)
    elif member.isfile() or member.islnk():
        content = _content(tar, member)
        with place.open("xb") as file:
            shutil.copyfileobj(content, file, _CHUNK)
        place.chmod(0o755 if member.mode & stat.S_IXUSR else 0o644)
    else:
        raise ReleaseError(f"{member.name!r} in the archive is neither a file nor a directory nor a link")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    try:
        content = tar.extractfile(member)  # of a hard link: what it leads to within the archive
    except KeyError:
        content = None
    if content is None:
        raise ReleaseError(f"{member.name!r} in the archive is a link to {member.linkname!r}, which is not in it")
    return content


def _complete(path: Path, wish: Wish, origin: Mapping[str, str], run: Run) -> None:
    """Record the version as complete, when all of it is on the disk."""
    _must(run, ["sync", "--file-system", str(path)])
    record = {"name": wish.name, "version": wish.version, "sha256": wish.digest, **origin}
    beside = path / f"{RECORD}.new"
    beside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    beside.chmod(0o644)
    beside.replace(path / RECORD)
    _must(run, ["sync", "--file-system", str(path)])


def _make_anew(wish: Wish, make: Callable[[Path], str], run: Run) -> None:
    """Let `make` fill a folder and say where from: once complete it takes its place, a failed one goes."""
    fresh = wish.beside("new")
    _remove(fresh)
    try:
        url = make(fresh)
        _complete(fresh, wish, {"url": url}, run)
        _move_in(fresh, wish)
    finally:
        _remove(fresh)


def _move_in(fresh: Path, wish: Wish) -> None:
    aside = wish.beside("old")
    _remove(aside)
    if wish.path.exists():
        wish.path.rename(aside)
    fresh.rename(wish.path)
    _remove(aside)


def _check_targets(wish: Wish) -> None:
    missing = [target for target in wish.links.values() if not (wish.path / target).exists()]
    if missing:
        raise ReleaseError(f"{wish.path} has no {', '.join(missing)}, to which links were to lead")


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.onprem-dify")
    _remove(beside)
    beside.symlink_to(target)
    beside.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        # A version must not look complete while it goes.
        (path / RECORD).unlink(missing_ok=True)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def in_use(proc: Path = Path("/proc")) -> Callable[[Path], bool]:
    """Tell whether a process runs from a directory, by its program, its arguments or what it has mapped."""

    def busy(path: Path) -> bool:
        inside = f"{path}/"
        for process in proc.glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if inside in (process / "maps").read_text(errors="replace"):
                    return True
                if inside.encode() in (process / "cmdline").read_bytes():
                    return True
        return False

    return busy


def parse_links(links: Mapping[str, Any], directory: Path) -> Dict[Path, str]:
    parsed = {}
    for name, target in links.items():
        inside = PurePosixPath(str(target))
        if inside.is_absolute() or ".." in inside.parts or not inside.parts:
            raise ReleaseError(f"link {name}: {target} is not a path within the version")
        parsed[directory / name] = str(inside)
    return parsed


def _must(run: Run, command: Sequence[str]) -> str:
    code, out, err = run(list(command))
    if code != 0:
        raise ReleaseError(f"{' '.join(command[:4])} ...: {err.strip() or out.strip() or f'exit code {code}'}")
    return out
