# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.kubernetes_forward import ForwardError, forwarded


@pytest.fixture
def kubectl(tmp_path):
    """A program that notes what it was asked and its own number, and says what it is told to."""

    def make(says: str) -> list[str]:
        program = tmp_path / "kubectl"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\necho $$ > {tmp_path}/pid\n{says}\n')
        program.chmod(0o755)
        return [str(program)]

    return make


def test_the_address_is_that_of_this_host_and_the_program_ends_with_the_talk(kubectl, tmp_path):
    program = kubectl("echo 'Forwarding from 127.0.0.1:40123 -> 5001'\nexec sleep 60")
    with forwarded(program, "dify", "deployment/api", 5001) as address:
        assert address == "http://127.0.0.1:40123"
    asked = (tmp_path / "asked").read_text().strip()
    assert asked == "port-forward --namespace=dify --address=127.0.0.1 deployment/api :5001"
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ("echo 'error: unable to forward port because pod is not running' >&2", "error: unable to forward port"),
        ("true", "no answer"),
    ],
)
def test_what_kubectl_says_instead_is_the_reason(kubectl, says, reason):
    refused = pytest.raises(ForwardError, match=f"kubectl port-forward deployment/api: {reason}")
    with refused, forwarded(kubectl(says), "dify", "deployment/api", 5001):
        pass
