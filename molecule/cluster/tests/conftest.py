"""The cluster of the scenario, as an operator on a control plane sees it."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from traffic import NAMESPACE, OBJECTS, Traffic

from lab import scratch
from lab.cluster import KUBECTL, Cluster

INVENTORY = Path(__file__).resolve().parents[1] / "inventory"


class Site(scratch.Site):
    def root(self, host: str, command: str) -> str:
        done = self.try_root(host, command)
        assert done.returncode == 0, f"{host}: {command}: {done.stdout}{done.stderr}"
        return str(done.stdout).strip()

    def try_root(self, host: str, command: str) -> Any:
        return Cluster(self.lab).run(self.lab.host(host), command)

    def kubectl(self, words: str, data: str = "") -> str:
        return self.root("cp1", _kubectl(words, data))

    def try_kubectl(self, words: str, data: str = "") -> Any:
        return self.try_root("cp1", _kubectl(words, data))

    def objects(self, words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.kubectl(f"get {words} --output=json"))["items"]
        return found


def _kubectl(words: str, data: str) -> str:
    given = f"echo {shlex.quote(data)} | " if data else ""
    return f"{given}{KUBECTL} {words}"


@pytest.fixture(scope="session")
def site() -> Site:
    return Site(INVENTORY)


@pytest.fixture(scope="session")
def endpoint() -> str:
    return f"{scratch.load(INVENTORY / 'group_vars/all/site.yml')['site_endpoints']['kube-api']}:8443"


@pytest.fixture(scope="session")
def proxy() -> str:
    """What services are made with, as the inventory asks for it."""
    return os.environ.get("CLUSTER_PROXY") or "iptables"


@pytest.fixture(scope="session")
def traffic(site: Site) -> Iterator[Traffic]:
    """A server and a client on each node."""
    site.kubectl("apply --filename=-", json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    try:
        site.kubectl(f"wait pod --all --namespace={NAMESPACE} --for=condition=Ready --timeout=120s")
        yield Traffic(site)
    finally:
        site.kubectl(f"delete namespace {NAMESPACE} --timeout=60s")
