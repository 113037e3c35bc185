# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway of the bundled store for the moment, on loopback, with keys that nobody else ever learns.

The gateways that serve the site know no administrator. What an administrator must do is done through this one, which
ends with the task.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Dict, List, Optional, Sequence, Type

from ansible_collections.onprem.dify.plugins.module_utils import s3

READY_SECONDS = 60.0


def identities(keys: Dict[str, s3.Keys]) -> str:
    """The configuration of the gateway: every user of a bucket, as an administrator."""
    return json.dumps(
        {
            "identities": [
                {
                    "name": user,
                    "credentials": [{"accessKey": pair.access, "secretKey": pair.secret}],
                    "actions": ["Admin"],
                }
                for user, pair in keys.items()
            ]
        }
    )


class Gateway:
    """`command` starts a gateway; where it listens and who may use it is added."""

    def __init__(self, command: Sequence[str], user: str, users: Sequence[str]) -> None:
        self._command = list(command)
        self._user = user
        self.keys = {name: s3.Keys(secrets.token_hex(10).upper(), secrets.token_hex(20)) for name in users}
        self._folder: Optional[tempfile.TemporaryDirectory[str]] = None
        self._process: Optional[subprocess.Popen[bytes]] = None
        self.endpoint = ""

    def __enter__(self) -> Gateway:
        self._folder = tempfile.TemporaryDirectory(prefix="onprem-dify-")
        folder = Path(self._folder.name)
        configuration = folder / "s3.json"
        configuration.touch(mode=0o600)
        configuration.write_text(identities(self.keys), encoding="utf-8")
        owner = pwd.getpwnam(self._user)
        for path in (configuration, folder):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        port, grpc = _free_ports(2)
        self.endpoint = f"http://127.0.0.1:{port}"
        arguments = [
            "-ip.bind=127.0.0.1",
            f"-port={port}",
            f"-port.grpc={grpc}",
            f"-config={configuration}",
            f"-localSocket={folder}/s3.sock",
        ]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*self._command, *arguments],
                cwd=folder,
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "TMPDIR": str(folder)},
                user=owner.pw_uid,
                group=owner.pw_gid,
                extra_groups=[],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            s3.patiently(lambda: s3.Client(self.endpoint, None, timeout=5).fetch("/healthz"), READY_SECONDS, 0.2)
        except s3.S3Error as error:
            said = (folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
            self.__exit__(None, None, None)
            why = " / ".join(said) or str(error)
            raise s3.S3Error(f"the gateway for the moment does not start: {why}") from error
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._folder is not None:
            self._folder.cleanup()


def _free_ports(count: int) -> List[int]:
    sockets = [socket.socket() for _number in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()
