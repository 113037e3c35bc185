"""A lab that the host cannot carry is refused before it starts."""

import pytest

from lab.errors import LabError
from lab.hostlimits import check


def test_a_lab_that_fits_is_fine(tmp_path):
    setting = tmp_path / "max_user_instances"
    setting.write_text("128\n")
    check(20, setting)


def test_a_lab_that_does_not_fit_is_told_what_is_missing(tmp_path):
    setting = tmp_path / "max_user_instances"
    setting.write_text("128\n")
    with pytest.raises(LabError, match=r"22 nodes need fs\.inotify\.max_user_instances=132, this machine allows 128"):
        check(22, setting)
