"""A repository of empty packages of rpm, signed, as createrepo_c makes it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from .makers import Makers

SPEC = """\
Name: {name}
Version: {version}
Release: {release}
Summary: stands for the real one
License: MIT
BuildArch: noarch
{needs}
%description
Stands for the real one.
%install
mkdir -p %{{buildroot}}/usr/share/{name}
cp {content} %{{buildroot}}/usr/share/{name}/content
%files
/usr/share/{name}
"""


class Repository:
    """A repository as dnf reads it, and the key of its makers."""

    def __init__(self, folder: Path, home: Path, owner: str = "Test makers") -> None:
        """`home`: a folder for the key, as `Makers` wants it."""
        self.folder = folder
        self.owner = owner
        folder.mkdir(parents=True)
        self._makers = Makers(home, owner, "rsa2048")
        self.keyring = self._makers.keyring

    def close(self) -> None:
        self._makers.close()

    def package(
        self, name: str, version: str, release: str = "1", needs: str = "", data: bytes = b"", signed: bool = True
    ) -> Path:
        """Make a package that installs one file."""
        with tempfile.TemporaryDirectory() as place:
            content, spec = Path(place, "content"), Path(place, "package.spec")
            content.write_bytes(data)
            lines = f"Requires: {needs}" if needs else ""
            spec.write_text(SPEC.format(name=name, version=version, release=release, needs=lines, content=content))
            command = [
                "rpmbuild",
                "-bb",
                "--quiet",
                "--define",
                f"_topdir {place}",
                "--define",
                f"_rpmdir {place}/made",
            ]
            subprocess.run([*command, str(spec)], check=True, capture_output=True)
            (made,) = Path(place, "made").rglob("*.rpm")
            file = self.folder / made.name
            file.write_bytes(made.read_bytes())
        if signed:
            macros = {"_gpg_name": self.owner, "_gpg_path": str(self._makers.home), "__gpg": "/usr/bin/gpg"}
            words = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
            subprocess.run(["rpmsign", *words, "--addsign", str(file)], check=True, capture_output=True)
        return file

    def publish(self) -> None:
        subprocess.run(["createrepo_c", "--quiet", str(self.folder)], check=True, capture_output=True)
