# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and certificates on a host: look at them, make a key and a request, put a pair into place.

A key and its certificate stand in a directory of their own, named by the certificate, and one symbolic link, `current`,
leads to it. Replacing that link switches both files at once, so that no service ever finds a key with the certificate
of another, whenever a run is killed. What services read are links through `current`.

    postgresql/ca.crt
    postgresql/tls.crt -> current/tls.crt
    postgresql/tls.key -> current/tls.key
    postgresql/current -> pair-5be8...
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import re
import shutil
import stat
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.certificates import (
    AUTHORITY,
    CERTIFICATE,
    COMBINED,
    KEY,
    MODES,
    CertificateError,
    request_configuration,
)
from ansible_collections.onprem.dify.plugins.module_utils.files import Attributes, group_id, user_id

Run = Callable[[List[str]], Tuple[int, str, str]]

CURRENT, NEXT = "current", "next"
_PAIR = re.compile(r"pair-[0-9a-f]{16}")
_DIRECTORY_MODE = 0o755


def missing_accounts(owner: str, group: str) -> List[str]:
    missing = []
    try:
        user_id(owner)
    except KeyError:
        missing.append(f"user {owner}")
    try:
        group_id(group)
    except KeyError:
        missing.append(f"group {group}")
    return missing


class Place:
    """The directory of one certificate. `run` runs a command and returns its code, output and errors."""

    def __init__(self, wish: Mapping[str, Any], run: Run) -> None:
        self.path = Path(wish["directory"])
        self.owner, self.group = str(wish["owner"]), str(wish["group"])
        self.combined = bool(wish["combined"])
        self._run = run

    @property
    def files(self) -> List[str]:
        """What a pair consists of."""
        return [KEY, CERTIFICATE, *([COMBINED] if self.combined else [])]

    # Look

    def look(self) -> Dict[str, Any]:
        certificate = _text(self.path / CERTIFICATE)
        usable = bool(certificate) and self._laid_out()
        return {
            "certificate": certificate,
            "public_key": self._public_key(self.path / KEY) if usable else "",
            "authority": _text(self.path / AUTHORITY),
            "laid_out": usable,
            "faults": self._faults() if usable else [],
            "leftovers": sorted(path.name for path in self._leftovers()),
            "missing": missing_accounts(self.owner, self.group),
        }

    def _laid_out(self) -> bool:
        links = [(self.path / name, f"{CURRENT}/{name}") for name in (KEY, CERTIFICATE)]
        return self._pair() is not None and all(path.is_symlink() and str(path.readlink()) == to for path, to in links)

    def _pair(self) -> Optional[Path]:
        """The directory with the pair that is in use."""
        link = self.path / CURRENT
        target = str(link.readlink()) if link.is_symlink() else ""
        return self.path / target if _PAIR.fullmatch(target) and link.is_dir() else None

    def _faults(self) -> List[str]:
        """What differs besides the contents of key and certificate."""
        pair = self._pair()
        faults = [] if pair is None else _differences(pair, "root", "root", _DIRECTORY_MODE)
        faults += _differences(self.path, "root", "root", _DIRECTORY_MODE)
        for name in [*self.files, AUTHORITY]:
            faults += _differences(self.path / name, self.owner, self.group, MODES[name])
        link = self.path / COMBINED
        if self.combined and (not link.is_symlink() or _text(link) != self._combined_text(self.path)):
            faults.append(f"{link} is not certificate and key")
        if not self.combined and (link.is_symlink() or link.exists()):
            faults.append(f"{link} is not wanted")
        return faults

    def _leftovers(self) -> Iterator[Path]:
        """Pairs that are not in use: of killed runs, or replaced since."""
        if self.path.is_dir():
            pair = self._pair()
            for path in self.path.iterdir():
                if path != pair and (path.name == NEXT or _PAIR.fullmatch(path.name) or path.name.endswith(".new")):
                    yield path

    # Make

    def request(self, common_name: str) -> str:
        """Make a key that stays here, and return a request that proves that it is here."""
        self._make_directory()
        following = self._fresh_directory()
        key, configuration = following / KEY, following / "request.cnf"
        self._must(
            ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(key)],
            "a key could not be made",
        )
        key.chmod(MODES[KEY])
        configuration.write_text(request_configuration(common_name), encoding="utf-8")
        request = self._must(
            ["openssl", "req", "-new", "-sha256", "-utf8", "-config", str(configuration), "-key", str(key)],
            "a request could not be made",
        )
        configuration.unlink()
        return request

    # Put into place

    def install(self, authority: str, certificate: str = "", key: str = "") -> None:
        """With a new certificate, or only everything besides it. `key` if it does not come from this host."""
        self._make_directory()
        _write(self.path / AUTHORITY, authority, Attributes(self.owner, self.group, MODES[AUTHORITY]))
        if certificate:
            self._switch(self._complete(certificate, key))
        else:
            self._mend()
        self._link()
        for path in list(self._leftovers()):
            _remove(path)

    def _complete(self, certificate: str, key: str) -> Path:
        """The new pair in a directory under its own name, not in use yet."""
        following = self._fresh_directory() if key else self.path / NEXT
        if key:
            (following / KEY).touch(mode=MODES[KEY])
            (following / KEY).write_text(key, encoding="utf-8")
        (following / CERTIFICATE).write_text(certificate, encoding="utf-8")
        if self.combined:
            (following / COMBINED).touch(mode=MODES[COMBINED])
            (following / COMBINED).write_text(self._combined_text(following), encoding="utf-8")
        of_key = self._public_key(following / KEY)
        if not of_key or of_key != self._must(
            ["openssl", "x509", "-in", str(following / CERTIFICATE), "-noout", "-pubkey"],
            f"{self.path}: the new certificate cannot be read",
        ):
            raise CertificateError(f"{self.path}: the new certificate does not belong to the key; nothing was replaced")
        for name in self.files:
            _attributes(following / name, Attributes(self.owner, self.group, MODES[name]))
            _sync(following / name)
        _attributes(following, Attributes("root", "root", _DIRECTORY_MODE))
        digest = hashlib.sha256(certificate.encode()).hexdigest()[:16]
        pair = self.path / f"pair-{digest}"
        if pair == self._pair():
            # The same certificate once more, for a key that was damaged: it gets another name, so that the link moves.
            pair = self.path / f"pair-{hashlib.sha256(digest.encode()).hexdigest()[:16]}"
        _remove(pair)
        following.rename(pair)
        _sync(self.path)
        return pair

    def _switch(self, pair: Path) -> None:
        _replace_link(self.path / CURRENT, pair.name)
        _sync(self.path)

    def _mend(self) -> None:
        pair = self._pair()
        if pair is None:
            raise CertificateError(f"{self.path}: there is no certificate to keep")
        _attributes(pair, Attributes("root", "root", _DIRECTORY_MODE))
        if self.combined:
            _write(pair / COMBINED, self._combined_text(pair), Attributes(self.owner, self.group, MODES[COMBINED]))
        else:
            _remove(pair / COMBINED)
        for name in self.files:
            _attributes(pair / name, Attributes(self.owner, self.group, MODES[name]))

    def _link(self) -> None:
        for name in (KEY, CERTIFICATE, COMBINED):
            link, target = self.path / name, f"{CURRENT}/{name}"
            if name not in self.files:
                _remove(link)
            elif not link.is_symlink() or str(link.readlink()) != target:
                _replace_link(link, target)

    def _make_directory(self) -> None:
        for parent in [*reversed(self.path.parents), self.path]:
            if not parent.exists():
                parent.mkdir()
                parent.chmod(_DIRECTORY_MODE)
        _attributes(self.path, Attributes("root", "root", _DIRECTORY_MODE))

    def _fresh_directory(self) -> Path:
        following = self.path / NEXT
        _remove(following)
        following.mkdir(mode=0o700)
        return following

    def _public_key(self, key: Path) -> str:
        """The public half of a key; empty if there is none that can be read. Never asks for a passphrase."""
        code, out, _err = self._run(["openssl", "pkey", "-in", str(key), "-passin", "pass:", "-pubout"])
        return out if code == 0 else ""

    def _combined_text(self, directory: Path) -> str:
        return _text(directory / CERTIFICATE) + _text(directory / KEY)

    def _must(self, command: List[str], problem: str) -> str:
        code, out, err = self._run(command)
        if code != 0:
            raise CertificateError(f"{problem}: {err.strip() or f'exit code {code}'}")
        return out


def write_file(path: Path, content: str) -> None:
    """A file that everybody may read, with the directories that it needs, replaced in one step."""
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(_DIRECTORY_MODE)
    _write(path, content, Attributes("root", "root", 0o644))


def read_text(path: Path) -> str:
    return _text(path)


def present(directories: Sequence[str]) -> List[str]:
    """Those of the directories that still hold a certificate."""
    return [directory for directory in directories if (Path(directory) / CERTIFICATE).exists()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ""


def _write(path: Path, content: str, attributes: Attributes) -> None:
    if not path.is_symlink() and _text(path) == content and path.exists():
        _attributes(path, attributes)
        return
    new = path.with_name(f"{path.name}.new")
    _remove(new)
    new.touch(mode=0o600)
    new.write_text(content, encoding="utf-8")
    _attributes(new, attributes)
    _sync(new)
    new.replace(path)


def _differences(path: Path, owner: str, group: str, mode: int) -> List[str]:
    try:
        info = path.stat()
    except FileNotFoundError:
        return [f"{path} is missing"]
    found = Attributes(_name(pwd.getpwuid, info.st_uid), _name(grp.getgrgid, info.st_gid), stat.S_IMODE(info.st_mode))
    wanted = Attributes(_number_as_name(pwd.getpwuid, owner), _number_as_name(grp.getgrgid, group), mode)
    return [] if found == wanted else [f"{path} is {found}, wanted {wanted}"]


def _name(lookup: Callable[[int], Any], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def _number_as_name(lookup: Callable[[int], Any], name: str) -> str:
    return _name(lookup, int(name)) if name.isdecimal() else name


def _attributes(path: Path, attributes: Attributes) -> None:
    owner, group = user_id(attributes.owner), group_id(attributes.group)
    info = path.stat()
    if (info.st_uid, info.st_gid) != (owner, group):
        os.chown(path, owner, group)
    if stat.S_IMODE(path.stat().st_mode) != attributes.mode:
        path.chmod(attributes.mode)


def _replace_link(link: Path, target: str) -> None:
    new = link.with_name(f"{link.name}.new")
    _remove(new)
    new.symlink_to(target)
    if link.is_dir() and not link.is_symlink():
        _remove(link)
    new.replace(link)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
