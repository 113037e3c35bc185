"""A Debian archive of empty packages under the names of the real ones, signed, and an index of Python packages."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from .makers import Makers


def package(folder: Path, name: str, version: str, needs: str = "", data: bytes = b"") -> Path:
    """Make a package that installs one file."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "root")
        (root / "DEBIAN").mkdir(parents=True)
        control = [
            f"Package: {name}",
            f"Version: {version}",
            "Architecture: all",
            "Maintainer: A test <test@example.org>",
            *([f"Depends: {needs}"] if needs else []),
            "Section: misc",
            "Priority: optional",
            "Description: stands for the real one",
        ]
        (root / "DEBIAN/control").write_text("\n".join([*control, ""]))
        content = root / "usr/share" / name
        content.mkdir(parents=True)
        (content / "content").write_bytes(data)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{name}_{version.replace(':', '%3a')}_all.deb"
        command = ["dpkg-deb", "--build", "--root-owner-group", "-Znone", str(root), str(file)]
        subprocess.run(command, check=True, capture_output=True)
    return file


class Archive:
    """An archive as apt reads it: `dists`, `pool`, a signature."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._makers = Makers(folder.parent / f"{folder.name}.key", "Test archive", "ed25519")
        self.keyring = self._makers.keyring

    def close(self) -> None:
        self._makers.close()

    def publish(self, suites: Sequence[str]) -> None:
        """Write the indexes of what is in the pool. All suites offer the first one's packages."""
        files = sorted((self.folder / "pool").rglob("*.deb"))
        stanzas = "\n".join(self._stanza(file) for file in files).encode()
        for suite in suites:
            place = self.folder / "dists" / suite
            shutil.rmtree(place, ignore_errors=True)
            indexes = {}
            for architecture in ("amd64", "arm64"):
                (place / f"main/binary-{architecture}").mkdir(parents=True)
                data = stanzas if suite == suites[0] else b""
                indexes[f"main/binary-{architecture}/Packages"] = data
                indexes[f"main/binary-{architecture}/Packages.gz"] = gzip.compress(data, mtime=0)
            lines = [
                f"Suite: {suite}",
                f"Codename: {suite}",
                "Architectures: amd64 arm64",
                "Components: main",
                "SHA256:",
            ]
            lines.insert(2, "Date: Sun, 01 Nov 2026 00:00:00 UTC")
            for name, data in indexes.items():
                (place / name).write_bytes(data)
                lines.append(f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}")
            (place / "Release").write_text("\n".join([*lines, ""]))
            self._makers.gpg("--yes", "--output", str(place / "InRelease"), "--clearsign", str(place / "Release"))

    def _stanza(self, file: Path) -> str:
        done = subprocess.run(["dpkg-deb", "--field", str(file)], check=True, capture_output=True, text=True)
        data = file.read_bytes()
        place = file.relative_to(self.folder)
        return (
            f"{done.stdout.strip()}\nFilename: {place}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        )


def wheel(folder: Path, name: str, version: str, data: bytes = b"") -> tuple[str, str]:
    """Make a wheel in an index; return its line for a list, and the name of its file."""
    file = folder / name.replace("_", "-") / f"{name}-{version}-py3-none-any.whl"
    file.parent.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    members: Mapping[str, bytes] = {
        f"{name}.py": b"# " + data.hex().encode() + b"\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(file, "w") as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return f"{name}=={version} --hash=sha256:{digest}", file.name
