"""Small edits in texts of the distribution."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.file_edits import LineWish, set_keys, set_line


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("UMASK\t\t022\nX 1\n", "UMASK 027\nX 1\n"),
        ("UMASK 022\nX 1\nUMASK 077\n", "UMASK 027\nX 1\n"),
        ("#UMASK 022\n", "#UMASK 022\nUMASK 027\n"),
        ("# UMASK is for shells\nUMASKED 1\n", "# UMASK is for shells\nUMASKED 1\nUMASK 027\n"),
        ("UMASK\n", "UMASK 027\n"),
        ("", "UMASK 027\n"),
        ("UMASK 027", "UMASK 027\n"),
    ],
)
def test_a_key_stands_once_with_its_value(before, after):
    assert set_keys(before, {"UMASK": "027"}, " ") == after
    assert set_keys(after, {"UMASK": "027"}, " ") == after


def test_a_key_may_have_an_equals_sign():
    assert set_keys("INACTIVE = -1\n#INACTIVE=5\n", {"INACTIVE": 30}, "=") == "INACTIVE=30\n#INACTIVE=5\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\n# b\nc\n", "a\nB\nc\n"),
        ("a\nb\nb\nc\n", "a\nB\nc\n"),
        ("a\nc\n", "a\nB\nc\n"),
        ("c\n", "c\nB\n"),
    ],
)
def test_a_line_stands_once_in_its_place(before, after):
    assert set_line(before, LineWish("^(# )?[bB]$", "B", "^a$")) == after
    assert set_line(after, LineWish("^(# )?[bB]$", "B", "^a$")) == after


def test_a_line_without_a_place_comes_last():
    assert set_line("a\n", LineWish("^b$", "b")) == "a\nb\n"
