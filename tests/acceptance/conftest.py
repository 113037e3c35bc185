"""Lab sites for the acceptance tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".ansible/collections"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab import scratch


@pytest.fixture(scope="module")
def start_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., scratch.Site]]:
    """Start a fresh site: ``start_site("lockout", "88", ["db1", "worker1"])``; it is gone after the module."""
    with ExitStack() as stack:

        def start(name: str, network: str, keep: list[str] | None = None) -> scratch.Site:
            folder = scratch.copy_of_example(tmp_path_factory.mktemp(name), name, network, keep or ())
            return stack.enter_context(scratch.running(folder))

        yield start
