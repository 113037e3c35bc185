"""The host that a module runs on: its small text files, and whether it has a kernel of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import host


class Module:
    """What replaces a file atomically."""

    def atomic_move(self, source: str, target: str) -> None:
        shutil.move(source, target)


@pytest.mark.parametrize("sign", host.CONTAINER_SIGNS)
def test_a_container_is_known_by_its_signs(tmp_path: Path, sign: str) -> None:
    assert not host.in_container(tmp_path)
    (tmp_path / sign).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / sign).touch()
    assert host.in_container(tmp_path)


def test_a_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    host.replace(Module(), path, "text\udcff\n", 0o640)
    assert host.text_of(path) == "text\udcff\n"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert host.text_of(tmp_path / "none") == ""


def test_the_diff_names_the_file() -> None:
    assert host.file_diff(Path("/x"), "a", "b") == {
        "before_header": "/x",
        "after_header": "/x",
        "before": "a",
        "after": "b",
    }
