"""The dry run of the stage of Dify tells what it would do, on a control plane that is no cluster yet."""

from __future__ import annotations

import json
from typing import Any

import pytest
from acceptance.test_dify_equipment import site
from unit.plugins.module_utils import difys

__all__ = ["site"]

PINNED = ("dify", "dify-plugin-daemon", "dify-sandbox", "squid")
STEPS = [
    "Keep what is there before a pod",
    "Keep the secrets",
    "Migrate the databases",
    "Run Dify, and let nobody in yet",
    "Create the first administrator",
    "Issue the certificate of the way in",
    "Let users in",
]


@pytest.fixture(scope="module")
def variables() -> dict[str, Any]:
    """Digests, which nobody published, and a way in for a site without a gateway."""
    pins = {name: {"images": difys.pins()[name]["images"]} for name in PINNED}
    pins["nginx"] = {"images": [{"name": "docker.io/nginx", "tag": "1", "digest": difys.DIGEST}]}
    way_in = {"from": "admin", "to": "workers", "port": "30443", "protocol": "tcp", "why": "Dify without a gateway"}
    return {"site_pins": pins, "site_extra_flows": [way_in]}


def test_everything_is_announced_in_the_order_in_which_it_would_come_and_no_secret_is_shown(
    site: Any, variables: dict[str, Any]
) -> None:
    shown: list[str] = []
    run = site.play(
        "playbooks/dify.yml", check=True, extra_vars=variables, show=lambda _stage, task: shown.append(task)
    )
    assert run.status == "successful", run.failures
    assert [task for task in shown if task.removeprefix("dify: ") in STEPS] == [f"dify: {step}" for step in STEPS]
    # Of tasks that have secrets the events say nothing, the recap counts them.
    assert [counts.changed for counts in run.hosts.values() if counts.evaluated] == [len(STEPS)]
    logs = "".join(path.read_text() for path in site.folder.glob("artifacts/*/stdout"))
    assert "PLAY RECAP" in logs
    known = json.loads(site.lab.file_of_site("secrets").read_text())
    assert [name for name, value in known.items() if value in logs] == []
