# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dead man's switch on the host: what a risky change replaces comes back by itself unless it is disarmed in time.

Everything lives below /run, so a reboot ends a rollback that was not needed any more. The copies and the script are
complete before the timer starts, and the timer runs before the caller changes anything: a run killed at any moment
leaves either nothing, or a rollback that restores exactly what was there.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, List, Sequence, Tuple

Run = Callable[[List[str]], Tuple[int, str, str]]

BASE = "/run/onprem-dify/rollback"

_SCRIPT = """#!/bin/sh
# Puts back what was there before the last change of {name}, once.
umask 077
directory={directory}
[ -e "$directory/armed" ] || exit 0
exec 9>>"$directory/lock"
flock 9
[ -e "$directory/armed" ] || exit 0
failed=0

restore() {{
    mkdir -p -- "$(dirname -- "$2")" &&
    rm -rf -- "$2.rollback" &&
    cp -a -- "$1" "$2.rollback" &&
    {{ [ -L "$2" ] || [ ! -d "$2" ] || rm -rf -- "$2"; }} &&
    mv -fT -- "$2.rollback" "$2" || failed=1
    if command -v restorecon >/dev/null 2>&1; then restorecon -R -- "$2"; fi
}}

remove() {{
    rm -rf -- "$1" || failed=1
}}

{steps}
# A rollback that could not finish stays armed: the next run tries it again before it does anything else.
[ "$failed" = 0 ] || exit 1
rm -rf -- "$directory"
"""


class RollbackError(Exception):
    """The switch could not be armed, or what it had to put back is not back."""


class Rollback:
    """The rollback of one subject (`name`); `run` takes an argument list and returns (rc, stdout, stderr)."""

    def __init__(self, run: Run, name: str, base: str = BASE) -> None:
        if not re.fullmatch(r"[a-z0-9_-]+", name):
            raise RollbackError(f"{name!r} is not a usable name for a rollback")
        self._run = run
        self.name = name
        self.unit = f"onprem-dify-rollback-{name}"
        self.directory = Path(base) / name
        self._armed = self.directory / "armed"
        self._script = self.directory / "restore.sh"

    def pending(self) -> bool:
        """Whether a change was made that nobody has confirmed yet."""
        return self._armed.exists()

    def arm(self, paths: Sequence[str], commands: Sequence[Sequence[str]], seconds: int) -> None:
        """Save `paths` and have them restored, and `commands` run, in `seconds` from now."""
        if self.pending():
            raise RollbackError(f"a rollback of {self.name} is pending already")
        self._forget()
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        self.directory.mkdir(mode=0o700)
        steps = [self._save(number, path) for number, path in enumerate(paths)]
        steps += [f"{shlex.join(command)} || failed=1" for command in commands]
        directory = shlex.quote(str(self.directory))
        text = _SCRIPT.format(name=self.name, directory=directory, steps="\n".join(steps))
        self._script.write_text(text, encoding="utf-8")
        # A unit of an earlier rollback that failed would keep its name.
        self._run(["systemctl", "reset-failed", f"{self.unit}.timer", f"{self.unit}.service"])
        self._armed.touch()
        try:
            self._must(
                [
                    "systemd-run",
                    "--quiet",
                    "--collect",
                    f"--unit={self.unit}",
                    f"--description=Put back {self.name} unless the change is confirmed",
                    f"--on-active={int(seconds)}s",
                    "--timer-property=AccuracySec=1s",
                    "/bin/sh",
                    str(self._script),
                ]
            )
        except RollbackError:
            self._forget()
            raise

    def run_now(self) -> None:
        """Put everything back at once."""
        self._stop_timer()
        self._must(["/bin/sh", str(self._script)])
        if self.pending():
            raise RollbackError(f"the rollback of {self.name} ran and left {self._armed}")

    def disarm(self) -> bool:
        """Keep the change. False if there was nothing to disarm: the old state is back, or was never replaced."""
        self._stop_timer()
        if not self.pending():
            return False
        with self._locked():
            if not self.pending():
                return False
            self._forget()
        return True

    def _save(self, number: int, path: str) -> str:
        if not os.path.lexists(path):
            return f"remove {shlex.quote(path)}"
        copy = str(self.directory / f"saved-{number}")
        self._must(["cp", "-a", "--", path, copy])
        return f"restore {shlex.quote(copy)} {shlex.quote(path)}"

    def _forget(self) -> None:
        # First the mark: a removal that is interrupted must not leave something that looks armed.
        self._armed.unlink(missing_ok=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _stop_timer(self) -> None:
        self._run(["systemctl", "stop", f"{self.unit}.timer"])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Wait for a rollback that is running at this moment."""
        with (self.directory / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _must(self, command: List[str]) -> None:
        code, out, err = self._run(command)
        if code != 0:
            raise RollbackError(f"{shlex.join(command)}: {(err or out).strip() or f'exit code {code}'}")
