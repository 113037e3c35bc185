# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import configure
from ansible_collections.onprem.dify.plugins.module_utils.configure import Configure, ConfigureError
from ansible_collections.onprem.dify.plugins.module_utils.files import FileError


class Killed(BaseException):
    """The run ends here, without any clean-up of the module."""


class Host:
    """What the module sees of AnsibleModule; systemd is a dictionary of units."""

    def __init__(self):
        self.check_mode = False
        self.programs = {"checker"}
        self.refused = b"wrong"
        self.done = []
        self.units = {"a.service": "active"}
        self.enabled = set(self.units)
        self.started = {"a.service": time.time()}
        self.needs_reload = False
        self.kill_at = ""

    def get_bin_path(self, name, required, opt_dirs):
        return name if name in self.programs else None

    def atomic_move(self, source, target, keep_dest_attrs):
        Path(source).replace(target)

    def set_default_selinux_context(self, path, changed):
        return changed

    def run_command(self, command):
        if command[0] == "checker":
            content = Path(command[-1]).read_bytes()
            return (1, "", f"line 1 of {command[-1]}") if self.refused in content else (0, "", "")
        if command[:2] == ["systemctl", "show"]:
            return 0, "\n".join(self._show(name) for name in command[command.index("--") + 1 :]), ""
        if command[0] == "journalctl":
            return 0, "last words", ""
        words = [word for word in command if word != "--"]
        if self.kill_at and self.kill_at in words:
            raise Killed
        self.done.append(" ".join(words[1:] if words[0] == "systemctl" else words))
        if words[1] == "daemon-reload":
            self.needs_reload = False
        for name in words[2:]:
            if words[1] in ("start", "restart", "reload-or-restart") and words[0] == "systemctl":
                self.units[name] = "active"
                self.started[name] = time.time()
            if words[1] == "enable":
                self.enabled.add(name)
        return (1, "", "failed to start") if "broken.service" in words else (0, "", "")

    def _show(self, name):
        moment = datetime.fromtimestamp(self.started.get(name, 0), UTC)
        stamp = f"{moment:%a %Y-%m-%d %H:%M:%S.%f} UTC"
        state = self.units.get(name)
        properties = {
            "Id": name,
            "LoadState": "loaded" if state else "not-found",
            "ActiveState": state or "inactive",
            "UnitFileState": ("enabled" if name in self.enabled else "disabled") if state else "",
            "NeedDaemonReload": "yes" if self.needs_reload else "no",
            "ActiveEnterTimestamp": stamp,
            "StateChangeTimestamp": stamp,
        }
        return "".join(f"{key}={value}\n" for key, value in properties.items())


@pytest.fixture
def host():
    return Host()


def file(path, content="text\n", **options):
    user, group = str(os.getuid()), str(os.getgid())
    return {"path": str(path), "content": content, "owner": user, "group": group, "mode": "0644", **options}


def unit(name="a.service", **options):
    return {"name": name, "enabled": None, "state": None, "on_change": "restart", "command": [], **options}


def run(host, entries, unit_entries=(), directories=()):
    host.done.clear()
    return Configure(host, configure.parse_files(directories, entries), configure.parse_units(unit_entries or [])).run()


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_second_run_changes_nothing(host, tmp_path):
    wish = [file(tmp_path / "a.conf")], [unit()]
    first = run(host, *wish)
    assert first.changed
    assert (tmp_path / "a.conf").read_text() == "text\n"
    assert first.units == [{"name": "a.service", "action": "restart"}]
    second = run(host, *wish)
    assert not second.changed
    assert second.diff == []
    assert host.done == []


def test_check_mode_predicts_the_same_and_touches_nothing(host, tmp_path):
    wish = [file(tmp_path / "a.conf", validate="checker %s")], [unit()]
    host.check_mode = True
    predicted = run(host, *wish)
    assert names(tmp_path) == []
    assert host.done == []
    host.check_mode = False
    assert run(host, *wish) == predicted


def test_check_mode_on_a_host_without_the_package(host, tmp_path):
    host.check_mode = True
    entries = [file(tmp_path / "etc" / "b.conf", validate="b-check %s", owner="b-user")]
    outcome = run(host, entries, [unit("b.service", state="started", enabled=True)])
    assert outcome.units == [
        {"name": "b.service", "action": "enable"},
        {"name": "b.service", "action": "start"},
    ]


def test_one_refused_file_leaves_all_as_they_were(host, tmp_path):
    first, second = tmp_path / "a.conf", tmp_path / "b.conf"
    first.write_text("old")
    with pytest.raises(ConfigureError) as error:
        run(host, [file(first), file(second, "wrong", validate="checker -f %s")], [unit()])
    assert str(error.value) == f"{second} was refused by checker: line 1 of {second}"
    assert first.read_text() == "old"
    assert names(tmp_path) == ["a.conf"]
    assert host.done == []


def test_a_validator_that_is_missing_is_named(host, tmp_path):
    with pytest.raises(ConfigureError, match="b-check is not installed"):
        run(host, [file(tmp_path / "b.conf", validate="b-check %s")])


def test_obstacles_are_named_together(host, tmp_path):
    with pytest.raises(ConfigureError) as error:
        run(host, [file(tmp_path / "none" / "a.conf"), file(tmp_path / "b.conf", owner="nobody-here")])
    assert "the directory" in str(error.value)
    assert "there is no user nobody-here" in str(error.value)
    assert names(tmp_path) == []


def test_directories_are_made_first(host, tmp_path):
    directory = {**file(tmp_path / "new"), "mode": "0750"}
    del directory["content"]
    below = tmp_path / "new" / "a.conf"
    outcome = run(host, [file(below, validate="checker %s")], directories=[directory])
    assert outcome.files == [str(tmp_path / "new"), str(below)]
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o750
    assert not run(host, [file(below)], directories=[directory]).changed


def test_killed_between_file_and_restart(host, tmp_path):
    wish = [file(tmp_path / "a.conf")], [unit()]
    host.kill_at = "restart"
    with pytest.raises(Killed):
        run(host, *wish)
    host.kill_at = ""
    again = run(host, *wish)
    assert again.files == []
    assert again.units == [{"name": "a.service", "action": "restart"}]
    assert not run(host, *wish).changed


def test_killed_between_removal_and_restart(host, tmp_path):
    path = tmp_path / "a.conf"
    path.write_text("old")
    os.utime(path, (0, 0))
    wish = [file(path, None, state="absent")], [unit()]
    host.kill_at = "restart"
    with pytest.raises(Killed):
        run(host, *wish)
    assert not path.exists()
    host.kill_at = ""
    assert run(host, *wish).units == [{"name": "a.service", "action": "restart"}]
    assert names(tmp_path) == []
    assert not run(host, *wish).changed


def test_what_a_killed_run_left_beside_the_file_is_taken_away(host, tmp_path):
    (tmp_path / ".a.conf.onprem-dify").write_text("half")
    run(host, [file(tmp_path / "a.conf")])
    assert names(tmp_path) == ["a.conf"]


def test_a_mode_that_drifted_restarts_too(host, tmp_path):
    wish = [file(tmp_path / "a.conf")], [unit()]
    run(host, *wish)
    (tmp_path / "a.conf").chmod(0o666)
    outcome = run(host, *wish)
    assert outcome.files == [str(tmp_path / "a.conf")]
    assert outcome.units == [{"name": "a.service", "action": "restart"}]


def test_a_file_from_the_future_restarts_once(host, tmp_path):
    path = tmp_path / "a.conf"
    wish = [file(path)], [unit()]
    run(host, *wish)
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    host.check_mode = True
    assert run(host, *wish).units == [{"name": "a.service", "action": "restart"}]
    host.check_mode = False
    assert run(host, *wish).units == [{"name": "a.service", "action": "restart"}]
    assert not run(host, *wish).changed


def test_a_unit_that_does_not_start_is_quoted(host, tmp_path):
    host.units["broken.service"] = "inactive"
    with pytest.raises(ConfigureError, match=r"(?s)failed to start.*last words"):
        run(host, [], [unit("broken.service", state="started")])


def test_a_unit_that_is_not_installed_is_an_error(host):
    with pytest.raises(ConfigureError, match=r"not installed on this host: b\.service"):
        run(host, [], [unit("b.service", state="started")])


def test_daemon_reload_when_systemd_asks_or_a_unit_file_changes(host, tmp_path):
    host.needs_reload = True
    assert run(host, [], [unit()]).units == [{"name": "systemd", "action": "daemon-reload"}]
    assert not run(host, [], [unit()]).changed

    drop_in = tmp_path / "systemd" / "system" / "a.service.d" / "x.conf"
    drop_in.parent.mkdir(parents=True)
    run(host, [file(drop_in)], [unit()])
    assert host.done == ["daemon-reload", "restart a.service"]


def test_daemon_reload_without_units(host, tmp_path):
    file_of_a_unit = tmp_path / "systemd" / "system" / "x.service"
    file_of_a_unit.parent.mkdir(parents=True)
    run(host, [file(file_of_a_unit)])
    assert host.done == ["daemon-reload"]


def test_an_own_command_must_do_what_it_is_there_for(host, tmp_path):
    wish = [file(tmp_path / "a.conf")], [unit(command=["service", "restart", "a.service"])]
    with pytest.raises(ConfigureError, match="has not taken in its files"):
        run(host, *wish)
    assert host.done == ["service restart a.service"]


def test_a_link_is_replaced_or_followed(host, tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    run(host, [file(link, follow=True)])
    assert link.is_symlink()
    assert target.read_text() == "text\n"
    run(host, [file(link, "own\n")])
    assert not link.is_symlink()
    assert (link.read_text(), target.read_text()) == ("own\n", "text\n")


def test_a_dangling_link_can_be_removed(host, tmp_path):
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    assert run(host, [file(link, None, state="absent")], [unit()]).changed
    assert names(tmp_path) == []


def test_a_directory_that_holds_the_wished_files_only(host, tmp_path):
    directory = tmp_path / "sources"
    (directory / "below").mkdir(parents=True)
    mine, other = directory / "site.sources", directory / "other.sources"
    other.write_text("other")
    wish = {**file(directory), "mode": "0755", "others": "empty"}
    del wish["content"]
    directory.chmod(0o755)
    assert run(host, [file(mine)], directories=[wish]).files == [str(mine), str(other)]
    assert other.read_text() == ""
    assert not run(host, [file(mine)], directories=[wish]).changed

    wish["others"] = "remove"
    assert run(host, [file(mine)], directories=[wish]).files == [str(other)]
    assert names(directory) == ["below", "site.sources"]
    assert not run(host, [file(mine)], directories=[wish]).changed

    (directory / ".gone.sources.onprem-dify").write_text("left by a killed run")
    run(host, [file(mine)], directories=[wish])
    assert names(directory) == ["below", "site.sources"]


def test_wishes_that_cannot_be_meant(tmp_path):
    for entries, said in (
        ([file("relative")], "not an absolute path"),
        ([file(tmp_path / "a"), file(tmp_path / "a")], "listed twice"),
        ([file(tmp_path / "a", validate="checker")], "has no %s"),
    ):
        with pytest.raises(FileError, match=said):
            configure.parse_files([], entries)
