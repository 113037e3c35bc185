# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program beside the transfers of a build, look at it meanwhile, and end it when one of them failed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

# How often a running program is looked at.
GLANCE = 0.3


@dataclass(frozen=True)
class Ended:
    code: int
    output: bytes
    errors: str


def run(
    words: Sequence[str],
    environment: Mapping[str, str],
    glance: Callable[[], None],
    inherit: Sequence[int] = (),
    question: IO[str] | None = None,
) -> Ended:
    """`glance`: what looks at it while it runs, and raises to end it.

    `inherit`: open files that the program keeps open, so that it counts as the build that started it.
    """
    with subprocess.Popen(
        words,
        env=environment,
        stdin=question or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=tuple(inherit),
    ) as process:
        try:
            while True:
                try:
                    output, errors = process.communicate(timeout=GLANCE)
                    return Ended(process.returncode, output, errors.decode(errors="replace"))
                except subprocess.TimeoutExpired:
                    glance()
        except BaseException:
            process.kill()
            raise
