"""A database is at the head of the release, or what it is at is said."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.dify_revision import problem

HEAD = "c3f1a9b2e6d4"


@pytest.mark.parametrize(
    ("found", "wanted", "said"),
    [
        ([HEAD], HEAD, ""),
        # Nobody has seen the head of this release.
        (["7a1c2d9e4b60"], "", ""),
        (["7a1c2d9e4b60"], HEAD, "is at revision 7a1c2d9e4b60"),
        (None, HEAD, "was never migrated"),
        (None, "", "was never migrated"),
        ([], HEAD, "is at 0 revisions (none)"),
        (["a", HEAD], HEAD, f"is at 2 revisions (a, {HEAD})"),
    ],
)
def test_the_revision_of_a_database_is_judged(found: list[str] | None, wanted: str, said: str) -> None:
    assert problem(found, wanted) == said
