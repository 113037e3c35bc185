# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.rollback import Rollback, RollbackError


class Host:
    """Runs everything for real, except systemd: what would reach it is written down."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.broken: list[str] = []

    def __call__(self, command: list[str]) -> tuple[int, str, str]:
        if command[0] in self.broken:
            return 1, "", f"{command[0]} is broken"
        if command[0] in ("systemctl", "systemd-run"):
            self.asked.append(command)
            return 0, "", ""
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def timer(self) -> list[str]:
        return next(command for command in self.asked if command[0] == "systemd-run")


@pytest.fixture
def host():
    return Host()


@pytest.fixture
def rollback(host, tmp_path):
    return Rollback(host, "firewall", base=str(tmp_path / "run" / "rollback"))


def test_the_timer_runs_the_script_when_nobody_confirms(host, rollback, tmp_path):
    file = tmp_path / "zone.xml"
    file.write_text("old")
    file.chmod(0o640)
    rollback.arm([str(file)], [], 60)
    file.write_text("new")
    file.chmod(0o600)

    timer = host.timer()
    assert "--on-active=60s" in timer
    assert "--unit=onprem-dify-rollback-firewall" in timer
    assert rollback.pending()
    subprocess.run(timer[-2:], check=True)

    assert file.read_text() == "old"
    assert file.stat().st_mode & 0o777 == 0o640
    assert not rollback.pending()
    assert not Path(rollback.directory).exists()


def test_a_file_that_did_not_exist_is_gone_again(rollback, tmp_path):
    file = tmp_path / "new.conf"
    rollback.arm([str(file)], [], 60)
    file.write_text("new")
    rollback.run_now()
    assert not file.exists()


def test_a_file_that_was_removed_with_its_directory_is_back(rollback, tmp_path):
    file = tmp_path / "conf.d" / "a.conf"
    file.parent.mkdir()
    file.write_text("old")
    rollback.arm([str(file)], [], 60)
    file.unlink()
    file.parent.rmdir()
    rollback.run_now()
    assert file.read_text() == "old"


def test_a_directory_comes_back_without_what_was_added(rollback, tmp_path):
    zones = tmp_path / "zones"
    zones.mkdir()
    (zones / "a.xml").write_text("old")
    rollback.arm([str(zones)], [], 60)
    (zones / "a.xml").write_text("new")
    (zones / "b.xml").write_text("new")
    rollback.run_now()
    assert sorted(path.name for path in zones.iterdir()) == ["a.xml"]
    assert (zones / "a.xml").read_text() == "old"


def test_a_symbolic_link_comes_back_as_a_link(rollback, tmp_path):
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    rollback.arm([str(link)], [], 60)
    link.unlink()
    link.write_text("new")
    rollback.run_now()
    assert str(link.readlink()) == "nowhere"


def test_commands_run_after_the_files_are_back(rollback, tmp_path):
    file = tmp_path / "file"
    seen = tmp_path / "seen"
    file.write_text("old")
    rollback.arm([str(file)], [["cp", str(file), str(seen)]], 60)
    file.write_text("new")
    rollback.run_now()
    assert seen.read_text() == "old"


@pytest.mark.parametrize(
    "name", ["two words", "it's", 'say "hi"', "$(touch owned)", "`touch owned`", "-n", "a;b", "new\nline", "*", "öäü"]
)
def test_every_path_is_quoted(rollback, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    old, new = tmp_path / name, tmp_path / f"{name} new"
    old.write_text("old")
    rollback.arm([str(old), str(new)], [["test", name, "=", name]], 60)
    old.write_text("new")
    new.write_text("new")
    rollback.run_now()
    assert old.read_text() == "old"
    assert not new.exists()
    assert not (tmp_path / "owned").exists()


def test_a_confirmed_change_stays(host, rollback, tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    rollback.arm([str(file)], [], 60)
    file.write_text("new")
    assert rollback.disarm() is True
    assert ["systemctl", "stop", "onprem-dify-rollback-firewall.timer"] in host.asked
    assert not rollback.pending()
    assert file.read_text() == "new"
    assert not Path(rollback.directory).exists()


def test_a_confirmation_that_comes_too_late_is_told_so(rollback, tmp_path):
    file = tmp_path / "file"
    rollback.arm([str(file)], [], 60)
    rollback.run_now()
    assert rollback.disarm() is False


def test_a_rollback_that_fails_stays_armed_and_says_so(rollback, tmp_path):
    rollback.arm([], [["false"]], 60)
    with pytest.raises(RollbackError):
        rollback.run_now()
    assert rollback.pending()


def test_a_second_rollback_is_not_armed_over_a_pending_one(rollback):
    rollback.arm([], [], 60)
    with pytest.raises(RollbackError, match="pending already"):
        rollback.arm([], [], 60)


def test_nothing_is_armed_when_a_copy_cannot_be_made(host, rollback, tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    host.broken = ["cp"]
    with pytest.raises(RollbackError, match="cp is broken"):
        rollback.arm([str(file)], [], 60)
    assert not rollback.pending()
    host.broken = []
    rollback.arm([str(file)], [], 60)
    assert rollback.pending()


def test_nothing_is_armed_when_the_timer_cannot_be_started(host, rollback):
    host.broken = ["systemd-run"]
    with pytest.raises(RollbackError, match="systemd-run is broken"):
        rollback.arm([], [], 60)
    assert not rollback.pending()


def test_a_late_timer_does_nothing(host, rollback, tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    rollback.arm([str(file)], [], 60)
    script = Path(rollback.directory, "restore.sh").read_text(encoding="utf-8")
    file.write_text("new")
    rollback.disarm()
    assert subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=False).returncode == 0
    assert file.read_text() == "new"


@pytest.mark.parametrize("name", ["", "../x", "a b", "UPPER"])
def test_a_name_that_would_not_make_a_unit_is_refused(host, name):
    with pytest.raises(RollbackError):
        Rollback(host, name)
