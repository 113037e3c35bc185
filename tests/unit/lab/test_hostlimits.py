"""A lab that the host cannot carry is refused before it starts."""

import pytest

from lab.errors import LabError
from lab.hostlimits import check, in_use
from lab.topology import Host


def nodes(count, group="database", **variables):
    return [Host(f"node{number}", f"10.77.3.{number + 1}", (group,), variables) for number in range(count)]


@pytest.fixture
def setting(tmp_path):
    file = tmp_path / "max_user_instances"
    file.write_text("128\n")
    return file


def test_a_lab_that_fits_is_fine(setting):
    check(nodes(20), 0, setting)
    check(nodes(3, "control_plane", lab_kubernetes=True) + nodes(2, "workers", lab_kubernetes=True), 0, setting)
    check([], 200, setting)


def test_a_lab_that_does_not_fit_is_told_what_is_missing(setting):
    with pytest.raises(LabError, match=r"22 nodes need 132 inotify instances; this machine allows 128 .* 0 are in use"):
        check(nodes(22), 0, setting)


def test_other_labs_count(setting):
    with pytest.raises(LabError, match=r"3 nodes need 45 .* 85 are in use"):
        check(nodes(3, "workers", lab_kubernetes=True), 85, setting)


def test_what_is_in_use_is_found_at_the_processes(tmp_path):
    (tmp_path / "17/fd").mkdir(parents=True)
    (tmp_path / "17/fd/3").symlink_to("anon_inode:inotify")
    (tmp_path / "17/fd/4").symlink_to("/dev/null")
    assert in_use(tmp_path) == 1


def test_a_process_that_ends_while_it_is_looked_at_is_no_reason_to_stop(tmp_path):
    for process in ("17", "18/fd"):
        (tmp_path / process).mkdir(parents=True)
    # There when it is found, and nothing to list a moment later.
    (tmp_path / "17/fd").write_text("")
    (tmp_path / "18/fd/3").symlink_to("anon_inode:inotify")
    assert in_use(tmp_path) == 1
