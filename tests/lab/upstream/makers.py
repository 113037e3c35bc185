"""Those who sign what is at upstream: a key of gpg in a folder of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Makers:
    def __init__(self, home: Path, name: str, kind: str) -> None:
        """`home`: a new folder of a short name, since gpg has a socket there."""
        self.home = home
        home.mkdir(mode=0o700, parents=True)
        self.keyring = home / "makers.asc"
        self.gpg("--passphrase", "", "--quick-generate-key", name, kind, "sign", "never")
        self.gpg("--armor", "--yes", "--output", str(self.keyring), "--export")

    def close(self) -> None:
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False, capture_output=True)

    def gpg(self, *words: str) -> None:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--no-tty", *words]
        subprocess.run(command, check=True, capture_output=True)
