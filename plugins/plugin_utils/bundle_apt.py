# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of Debian for a bundle: what the wanted ones need, and a signed repository of them.

apt itself works out what is needed, in a state of its own: no root, no package counts as installed, only the
repositories of the wanted system with their own keyrings. The repository has one form in bytes.
"""

from __future__ import annotations

import datetime
import email.utils
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import release_order
from ansible_collections.onprem.dify.plugins.module_utils.package_set import upstream
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_manager
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_fetch import PAUSES
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_program import run
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_systems import System

Notice = Callable[[str], None]

SUITE_COMPONENT = "main"
OWNER = "onprem.dify packages"
# The key is older than every release, so that the signature of any release can carry the day of that release.
KEY_DAY = "20200101T000000"
# How far apt lets an index be ahead of its clock, Acquire::Max-FutureTime.
TOLERANCE = datetime.timedelta(seconds=10)
_URI = re.compile(r"'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")
_FIELD = re.compile(r"(?m)^(?P<name>[A-Za-z0-9-]+):[ \t]*(?P<value>.*(?:\n[ \t].*)*)")
# Fields of the upstream's index that say where it keeps the file, or more of what SHA256 says.
_DROPPED = ("Filename", "MD5sum", "SHA1", "SHA512", "Size", "SHA256")


class AptError(Exception):
    """The packages cannot be had; the text is for the user."""


@dataclass(frozen=True)
class Package(bundle_manager.Package):
    """`control`: what the index of upstream says of it."""

    control: str


class Apt(bundle_manager.Manager):
    """apt for one target."""

    def prepare(self) -> None:
        """Write apt's configuration, and fetch the indexes that changed since the last build."""
        for program in ("apt-get", "apt-cache"):
            if not shutil.which(program):
                raise AptError(f"{program} is missing: packages of {self.target} are fetched on a Debian or Ubuntu")
        for name in ("state/lists/partial", "cache/archives/partial", "etc/parts"):
            (self.work / name).mkdir(parents=True, exist_ok=True)
        (self.work / "state/status").write_text("")
        for keyring in sorted({repository.signed_by for repository in self.repositories}):
            if not Path(keyring).is_file():
                raise AptError(
                    f"{keyring} is missing: it proves the packages of {self.target} (package debian-archive-keyring)"
                )
        (self.work / "sources.list").write_text("".join(f"{line}\n" for line in self._lines()))
        (self.work / "apt.conf").write_text(self._configuration())
        update = ("apt-get", "update", "--quiet", "--option=APT::Update::Error-Mode=any")
        for pause in PAUSES:
            with suppress(AptError):
                self._run(*update)
                return
            self._meter.wait(pause)
        self._run(*update)

    def _lines(self) -> Iterator[str]:
        for repository in self.repositories:
            for suite in repository.suites:
                options = f"[arch={self.target.architecture} signed-by={repository.signed_by}]"
                yield f"deb {options} {self.sources.of(repository.uri + '/')} {suite} {' '.join(repository.components)}"

    def _configuration(self) -> str:
        work = str(self.work)
        values = {
            "Dir": "/",
            "Dir::State": f"{work}/state",
            "Dir::State::status": f"{work}/state/status",
            "Dir::Cache": f"{work}/cache",
            "Dir::Cache::srcpkgcache": "",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": f"{work}/etc/parts",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": f"{work}/etc/parts",
            "Dir::Etc::sourcelist": f"{work}/sources.list",
            "Dir::Etc::sourceparts": f"{work}/etc/parts",
            "Dir::Etc::trusted": "/dev/null",
            "Dir::Etc::trustedparts": f"{work}/etc/parts",
            "APT::Architecture": self.target.architecture,
            "APT::Sandbox::User": "",
            "APT::Install-Recommends": "false",
            "Acquire::Languages": "none",
            "Acquire::GzipIndexes": "true",
            # apt's own attempts wait for each other without an end when a server goes away.
            "Acquire::Retries": "0",
            "Acquire::ForceHash": "SHA256",
            # One place for all logins of the person who builds.
            "Dir::Etc::netrc": str(Path("~/.netrc").expanduser()),
            **({"Acquire::https::CAInfo": self._ca_file} if self._ca_file else {}),
        }
        lines = [f'{name} "{value}";\n' for name, value in values.items()]
        # The machine's own architectures must not come in.
        return "".join([*lines, f'APT::Architectures {{ "{self.target.architecture}"; }};\n'])

    def choose(
        self, wanted: Iterable[str], optional: Iterable[str], pinned: Mapping[str, str]
    ) -> tuple[list[Package], list[str]]:
        offered = self.offered(optional)
        missing = [name for name in sorted(optional) if not offered[name]]
        return self.closure({*wanted, *optional} - set(missing), pinned), missing

    def closure(self, wanted: Iterable[str], pinned: Mapping[str, str]) -> list[Package]:
        """The wanted packages and all that they need. `pinned`: the version of some, in full or that of upstream."""
        words = [
            f"{name}={self._version(name, pinned[name])}" if name in pinned else name for name in sorted(set(wanted))
        ]
        if not words:
            return []
        options = ("--print-uris", "--yes", "--quiet=2", "--no-install-recommends")
        output = self._run("apt-get", *options, "install", *words)
        found = {match["sha256"]: match for match in map(_URI.match, output.splitlines()) if match}
        controls = self._controls([_word(match["file"]) for match in found.values()])
        missing = [match["file"] for sha256, match in found.items() if sha256 not in controls]
        if missing:
            raise AptError(f"{self.target}: apt does not describe {', '.join(sorted(missing))}")
        return sorted(
            (self._package(match, controls[sha256]) for sha256, match in found.items()),
            key=lambda package: (package.name, package.version),
        )

    def offered(self, names: Iterable[str]) -> dict[str, list[str]]:
        """The versions of packages that the repositories have, the newest first."""
        wanted = sorted(set(names))
        versions: dict[str, list[str]] = {name: [] for name in wanted}
        output = self._run("apt-cache", "madison", *wanted) if wanted else ""
        for line in output.splitlines():
            name, _bar, rest = line.strip().partition(" | ")
            version = rest.partition(" | ")[0].strip()
            if version and version not in versions.setdefault(name.strip(), []):
                versions[name.strip()].append(version)
        return versions

    def _version(self, name: str, pinned: str) -> str:
        offered = self.offered([name])[name]
        for version in offered:
            if pinned in (version, upstream(version)):
                return version
        found = ", ".join(offered) or "none"
        raise AptError(
            f"{self.target}: {name} is pinned to {pinned}, and the repositories offer {found}. Pin another version in "
            "site_pins, or let bundle_sources lead to repositories that still have it."
        )

    def _controls(self, words: Sequence[str]) -> dict[str, str]:
        """The stanza of each package by the hash of its file."""
        output = self._run("apt-cache", "show", *words) if words else ""
        found = {}
        for stanza in output.split("\n\n"):
            fields = fields_of(stanza)
            if "SHA256" in fields:
                found[fields["SHA256"]] = stanza.strip("\n")
        return found

    def _package(self, match: re.Match[str], control: str) -> Package:
        fields = fields_of(control)
        architecture = fields["Architecture"]
        return Package(
            name=fields["Package"],
            version=fields["Version"],
            architecture=architecture,
            path=f"packages/{self.target.system.name}/{_pool_path(fields['Filename'])}",
            upstream=self._upstream(match["uri"]),
            size=int(match["size"]),
            digest=f"sha256:{match['sha256']}",
            control=control,
        )

    def _upstream(self, address: str) -> str:
        """The address at its makers of what apt would fetch from the place that a rule names."""
        for repository in self.repositories:
            used = self.sources.of(repository.uri + "/")
            if address.startswith(used):
                path = address.removeprefix(used).lstrip("/")
                # apt writes more signs in the form of addresses than it must. A name that has a percent sign stays so.
                return f"{repository.uri}/{path if '%25' in path else urllib.parse.unquote(path)}"
        raise AptError(f"{self.target}: {address} is of no repository that was asked")

    def _run(self, *words: str) -> str:
        environment = {**os.environ, "APT_CONFIG": str(self.work / "apt.conf"), "LC_ALL": "C.UTF-8"}
        done = run(words, environment, self._meter.check, self._inherit)
        output = done.output.decode()
        if done.code != 0:
            raise AptError(f"{self.target}: {' '.join(words[:2])}: {complaint(done.errors + output)}")
        return output


def complaint(output: str) -> str:
    """The first errors of apt, and what it says of unmet needs, in one line."""
    lines = [line.strip() for line in output.splitlines()]
    errors = [line.removeprefix("E:").strip() for line in lines if line.startswith("E:")]
    needs = [line for line in lines if re.search(r" : (Depends|Conflicts|PreDepends|Breaks):", line)]
    return "; ".join([*needs[:4], *errors[:3]]) or (lines[-1] if lines else "it failed and did not say why")


def fields_of(stanza: str) -> dict[str, str]:
    return {match["name"]: match["value"].strip() for match in _FIELD.finditer(stanza)}


def _word(file: str) -> str:
    """`name=version` of the name that apt gives a file: `name_1%3a2-3_amd64.deb`."""
    name, version, _architecture = file.split("_", 2)
    return f"{name}={urllib.parse.unquote(version)}"


def _pool_path(filename: str) -> str:
    return filename if filename.startswith("pool/") else f"pool/other/{filename.rpartition('/')[2]}"


# The repository


def index(packages: Iterable[Package], system: System) -> bytes:
    """The file Packages: the stanzas of upstream, with the places of this repository."""
    prefix = f"packages/{system.name}/"
    stanzas = []
    for package in sorted(packages, key=lambda one: (one.name, one.version, one.architecture)):
        kept = [match[0] for match in _FIELD.finditer(package.control) if match["name"] not in _DROPPED]
        own = [
            f"Filename: {package.path.removeprefix(prefix)}",
            f"Size: {package.size}",
            f"SHA256: {package.digest.removeprefix('sha256:')}",
        ]
        stanzas.append("\n".join([*kept, *own]) + "\n")
    return "\n".join(stanzas).encode()


def repository(system: System, release: str, by_architecture: Mapping[str, Iterable[Package]]) -> dict[str, bytes]:
    """The files of a repository below the folder of its suite, without the signature, by path."""
    files: dict[str, bytes] = {}
    for architecture, packages in sorted(by_architecture.items()):
        # Not compressed: the same bytes compressed differ from one machine to another.
        files[f"{SUITE_COMPONENT}/binary-{architecture}/Packages"] = index(packages, system)
    lines = [
        "Origin: onprem.dify",
        "Label: onprem.dify",
        f"Suite: {system.codename}",
        f"Codename: {system.codename}",
        f"Version: {release}",
        f"Date: {email.utils.format_datetime(day_of(release), usegmt=True)}",
        f"Architectures: {' '.join(sorted(by_architecture))}",
        f"Components: {SUITE_COMPONENT}",
        f"Description: Packages of bundle {release} for {system.title}",
        "SHA256:",
    ]
    lines += [f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}" for name, data in sorted(files.items())]
    files["Release"] = "".join(f"{line}\n" for line in lines).encode()
    return files


def refuse_day_to_come(release: str, systems: Iterable[System], now: datetime.datetime) -> None:
    """apt takes no index that is dated later than its clock says."""
    affected = [system for system in systems if not system.uses_rpm]
    if affected and day_of(release) > now + TOLERANCE:
        index = f"packages/{affected[0].name}/dists/{affected[0].codename}/InRelease"
        raise AptError(
            f"bundle_release {release} is a day to come: the clock of this machine says {now:%Y-%m-%d %H:%M} UTC. "
            f"Until that day apt of the hosts would refuse {index}. Take today, or set the clock if it is wrong"
        )


def day_of(release: str) -> datetime.datetime:
    year, month, day, _number = release_order(release)
    return datetime.datetime(year, month, day, tzinfo=datetime.UTC)


def _at(day: datetime.datetime) -> tuple[str, ...]:
    return ("--faked-system-time", f"{day:%Y%m%dT%H%M%S}!", "--digest-algo", "SHA512", "--no-emit-version")


class Signer:
    """The key of the repositories, made once and kept beside the configuration of who builds."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def public_key(self) -> bytes:
        """The key that hosts trust. Made if there is none."""
        with self._gpg() as gpg:
            if not gpg("--list-secret-keys", "--with-colons").strip():
                made = ("--faked-system-time", f"{KEY_DAY}!", "--passphrase", "", "--quick-generate-key")
                gpg(*made, OWNER, "ed25519", "sign", "never")
            return gpg("--armor", "--export-options", "export-minimal", "--no-emit-version", "--export")

    def sign(self, release: bytes, day: datetime.datetime) -> dict[str, bytes]:
        """The signed forms of a file Release."""
        with self._gpg() as gpg:
            return {
                "InRelease": gpg(*_at(day), "--clearsign", data=release),
                "Release.gpg": gpg(*_at(day), "--armor", "--detach-sign", data=release),
            }

    def signature(self, data: bytes, day: datetime.datetime) -> bytes:
        with self._gpg() as gpg:
            return gpg(*_at(day), "--armor", "--detach-sign", data=data)

    @contextmanager
    def _gpg(self) -> Iterator[Callable[..., bytes]]:
        """gpg with the home of this key. Its path to the agent must be short, so it goes over a link."""
        if not shutil.which("gpg"):
            raise AptError("gpg is missing: it signs the packages' repositories (package gnupg)")
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="gpg-") as folder:
            link = Path(folder, "home")
            link.symlink_to(self.home.resolve())

            def gpg(*words: str, data: bytes = b"") -> bytes:
                command = [
                    "gpg",
                    "--homedir",
                    str(link),
                    "--batch",
                    "--quiet",
                    "--no-tty",
                    "--pinentry-mode",
                    "loopback",
                ]
                done = subprocess.run([*command, *words], input=data, capture_output=True, check=False)
                if done.returncode != 0:
                    reason = done.stderr.decode(errors="replace").strip().splitlines()
                    raise AptError(f"gpg in {self.home}: {reason[-1] if reason else 'it failed and did not say why'}")
                return done.stdout

            try:
                yield gpg
            finally:
                if shutil.which("gpgconf"):
                    subprocess.run(
                        ["gpgconf", "--homedir", str(link), "--kill", "all"], capture_output=True, check=False
                    )
