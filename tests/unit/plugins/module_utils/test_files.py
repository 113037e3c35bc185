# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.files import (
    HIDDEN,
    Attributes,
    FileError,
    Found,
    Wish,
    parse_mode,
    plan,
    read,
)

PATH = Path("/etc/chrony.conf")
PLAIN = Attributes("root", "root", 0o644)
CLOSED = Attributes("root", "root", 0o600)
WISH = Wish(PATH, PLAIN, b"new\n")


def test_a_file_as_wished_is_left_alone():
    assert plan(WISH, Found("file", PLAIN, b"new\n")) is None


def test_a_new_file_shows_its_whole_content():
    change = plan(WISH, Found("absent"))
    assert change.action == "write"
    assert change.diff() == [
        {"before_header": f"{PATH} (absent)", "before": "", "after_header": str(PATH), "after": "new\n"}
    ]


def test_a_changed_file_shows_both_texts():
    change = plan(WISH, Found("file", PLAIN, b"old\n"))
    assert [(part["before"], part["after"]) for part in change.diff()] == [("old\n", "new\n")]


def test_a_wider_mode_alone_is_a_change():
    change = plan(WISH, Found("file", Attributes("root", "root", 0o666), b"new\n"))
    assert change.action == "attributes"
    assert [(part["before"], part["after"]) for part in change.diff()] == [("root:root 0666\n", "root:root 0644\n")]


def test_content_and_mode_are_shown_apart():
    change = plan(WISH, Found("file", CLOSED, b"old\n"))
    assert [part["before"] for part in change.diff()] == ["old\n", "root:root 0600\n"]


def test_a_secret_is_not_shown():
    change = plan(dataclasses.replace(WISH, secret=True), Found("file", PLAIN, b"old\n"))
    assert [(part["before"], part["after"]) for part in change.diff()] == [(HIDDEN, HIDDEN)]


def test_an_unwanted_file_is_removed_and_shown():
    change = plan(dataclasses.replace(WISH, present=False, content=None), Found("file", PLAIN, b"old\n"))
    assert change.action == "remove"
    assert change.diff()[0]["before"] == "old\n"


def test_an_unwanted_file_that_is_not_there_is_fine():
    assert plan(dataclasses.replace(WISH, present=False, content=None), Found("absent")) is None


def test_a_link_is_replaced_even_if_its_target_has_the_content():
    change = plan(WISH, Found("link", PLAIN, b"new\n", target="/run/x"))
    assert change.action == "write"
    assert change.diff()[0]["before_header"] == f"{PATH} (link to /run/x)"


@pytest.mark.parametrize("kind", ["directory", "other"])
def test_what_is_not_a_file_is_refused(kind):
    with pytest.raises(FileError, match="a regular file is wanted"):
        plan(WISH, Found(kind, PLAIN))


def test_without_content_only_attributes_are_managed():
    wish = Wish(PATH, CLOSED)
    assert plan(wish, Found("absent")) is None
    assert plan(wish, Found("file", CLOSED)) is None
    assert plan(wish, Found("file", PLAIN)).action == "attributes"


def test_directories():
    wish = Wish(PATH, PLAIN, directory=True)
    assert plan(wish, Found("absent")).action == "create"
    assert plan(wish, Found("directory", PLAIN)) is None
    assert plan(wish, Found("directory", CLOSED)).action == "attributes"
    with pytest.raises(FileError, match="is not a directory"):
        plan(wish, Found("file", PLAIN))


def test_a_directory_that_was_handed_over_belongs_to_who_uses_it():
    wish = Wish(PATH, PLAIN, directory=True, once=True)
    assert plan(wish, Found("absent")).action == "create"
    assert plan(wish, Found("directory", CLOSED)) is None


def test_reading_what_is_there(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"text")
    file.chmod(0o640)
    os.utime(file, ns=(0, 5_000_000_000))
    found = read(Wish(file, PLAIN, b""))
    assert (found.kind, found.content, found.attributes.mode, found.modified) == ("file", b"text", 0o640, 5_000_000)

    link = tmp_path / "link"
    link.symlink_to("nowhere")
    assert (read(Wish(link, PLAIN, b"")).kind, read(Wish(link, PLAIN, b"")).target) == ("link", "nowhere")
    assert read(Wish(tmp_path / "none" / "file", PLAIN, b"")).kind == "absent"
    assert read(Wish(tmp_path, PLAIN, directory=True)).kind == "directory"


def test_a_path_through_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="not a directory"):
        read(Wish(tmp_path / "file" / "below", PLAIN, b""))


def test_modes():
    assert parse_mode("/x", "0640") == 0o640
    assert parse_mode("/x", "1777") == 0o1777
    # 420 is what YAML makes of 0644 without quotes.
    for wrong in ("420", "644", "0888", "u=rw", ""):
        with pytest.raises(FileError, match="four octal digits"):
            parse_mode("/x", wrong)
