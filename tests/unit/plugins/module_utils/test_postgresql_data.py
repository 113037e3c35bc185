"""Data of PostgreSQL that a run must not touch, and hosts that may begin."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import postgresql_data as data
from ansible_collections.onprem.dify.plugins.module_utils.postgresql_data import Found, Wish

HERE = "/var/lib/postgresql/15/dify"
WISH = Wish("db2", HERE, "15", "dify", ["db1", "db2"])


@pytest.mark.parametrize(
    "found",
    [
        Found(),
        Found(version="15", filled=True, scope="dify", configured=HERE, configured_version="15", holders=["db1"]),
        Found(holders=["db1"], leader="db1", scopes=["dify"]),
        Found(unseen=["db1"], leader="db1", scopes=["dify"]),
        # A copy that is under way.
        Found(filled=True, scope="dify", configured=HERE, holders=["db1"], leader="db1"),
        Found(scope="other", configured="/elsewhere"),
    ],
)
def test_a_host_may_begin_or_go_on(found: Found) -> None:
    assert data.refusal(WISH, found) == ""


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Found(version="14", filled=True), "holds data of PostgreSQL 14, wanted is 15"),
        (
            Found(configured="/var/lib/postgresql/14/dify", configured_version="14"),
            "14/dify holds data of PostgreSQL 14",
        ),
        (Found(configured="/data/pg", configured_version="15"), "A run moves no data"),
        (
            Found(version="15", leader="db3", scopes=["dify"]),
            "db3 leads the cluster and is no host of the group database",
        ),
        (Found(version="15", scope="bank", configured=HERE), "the running cluster is called bank"),
        (Found(scope="bank", configured="/var/lib/postgresql/15/bank", configured_version="15"), "is called bank"),
        (Found(scopes=["bank"], leader="db1"), "the running cluster is called bank"),
        (Found(filled=True), "is not empty and holds no data of PostgreSQL"),
        (Found(holders=["db1"]), "It must not begin a new cluster beside these data"),
        (Found(unseen=["db1"]), "run without --limit"),
    ],
)
def test_what_could_lose_data_is_refused(found: Found, message: str) -> None:
    refusal = data.refusal(WISH, found)
    assert message in refusal
    assert refusal.startswith("db2")


def test_a_host_that_must_copy_waits_for_the_leader() -> None:
    assert data.needs_leader(Found(holders=["db1"]))
    assert not data.needs_leader(Found(version="15", holders=["db1"]))
    assert not data.needs_leader(Found())
