# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where apt looks for a repository that stands in one place, in several, in none."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.filter.apt_places import HEAD, apt_places


@pytest.mark.parametrize("uris", ["https://a/debian", ["https://a/debian"]])
def test_one_place_is_asked_itself(uris: str | list[str]) -> None:
    assert apt_places([{"name": "debian", "uris": uris}], "/lists") == {
        "uris": {"debian": "https://a/debian"},
        "files": [],
    }


def test_several_places_are_a_list_of_which_one_is_enough() -> None:
    places = ["https://a/debian", "https://b/debian"]
    found = apt_places([{"name": "own", "uris": "https://c/own"}, {"name": "debian", "uris": places}], "/lists")
    assert found["uris"] == {"own": "https://c/own", "debian": "mirror+file:/lists/debian.list"}
    assert found["files"] == [{"path": "/lists/debian.list", "content": f"{HEAD}https://a/debian\nhttps://b/debian\n"}]


def test_a_repository_of_another_kind_has_no_place() -> None:
    assert apt_places([{"name": "baseos", "baseurl": "https://a"}], "/lists") == {"uris": {"baseos": ""}, "files": []}
