# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A port of a pod on this host, as long as somebody talks to it."""

from __future__ import annotations

import contextlib
import subprocess
from typing import Iterator, Sequence

# Forwarding from 127.0.0.1:40123 -> 5001
_SAID = "Forwarding from "


class ForwardError(Exception):
    """kubectl forwards nothing; the text is for the user."""


@contextlib.contextmanager
def forwarded(kubectl: Sequence[str], namespace: str, target: str, port: int) -> Iterator[str]:
    """The address on this host behind which `port` of a pod of `target` is, such as `deployment/api`."""
    words = ["port-forward", f"--namespace={namespace}", "--address=127.0.0.1", target, f":{port}"]
    with subprocess.Popen(
        [*kubectl, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    ) as process:
        try:
            said = process.stdout.readline().strip() if process.stdout else ""
            if not said.startswith(_SAID):
                raise ForwardError(f"kubectl port-forward {target}: {said or 'no answer'}")
            yield f"http://{said.split()[2]}"
        finally:
            process.terminate()
