"""The report of checked controls as files."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.onprem.dify.plugins.modules import control_report


def test_a_report_is_for_its_owner_and_group(tmp_path: Path) -> None:
    folder = tmp_path / "bank" / "20300101T000000Z"
    control_report.write(folder, {"db1.json": json.dumps({"host": "db1"})})
    assert folder.stat().st_mode & 0o7 == 0
    assert (folder / "db1.json").stat().st_mode & 0o137 == 0
    assert json.loads((folder / "db1.json").read_text(encoding="utf-8")) == {"host": "db1"}


def test_latest_leads_to_the_newest_report(tmp_path: Path) -> None:
    for time in ("20300101T000000Z", "20300102T000000Z"):
        control_report.write(tmp_path / time, {"summary.md": time})
        control_report.point_to(tmp_path / time)
    assert (tmp_path / "latest" / "summary.md").read_text(encoding="utf-8") == "20300102T000000Z"
