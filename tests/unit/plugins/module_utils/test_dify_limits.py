"""Bodies and times follow the settings of Dify."""

from __future__ import annotations

import pytest
from unit.plugins.module_utils import difys

from ansible_collections.onprem.dify.plugins.module_utils import dify_limits, dify_settings


def test_bodies_and_times_follow_the_limits_of_dify() -> None:
    plain: dict[str, str] = {}
    assert dify_limits.body_megabytes(plain) == 110
    assert dify_limits.body_megabytes({"UPLOAD_VIDEO_FILE_SIZE_LIMIT": "500"}) == 510
    assert dify_limits.body_megabytes({"PLUGIN_MAX_PACKAGE_SIZE": "524288000"}) == 511
    assert dify_limits.read_seconds(plain) == 1260
    assert dify_limits.read_seconds({"WORKFLOW_MAX_EXECUTION_TIME": "3600"}) == 3660


@pytest.mark.parametrize("version", difys.RELEASES)
def test_every_limit_is_a_setting_of_the_release(version: str) -> None:
    release = difys.release_file(version)
    for name in dify_limits.NUMBERS:
        assert dify_settings.families_of(release, name), name


@pytest.mark.parametrize("value", ["50MB", "", "-1", 0, True, "1.5"])
def test_a_limit_that_is_no_number_is_refused(value: object) -> None:
    wishes = {"api": {"UPLOAD_FILE_SIZE_LIMIT": value}}
    (fault,) = dify_settings.faults(difys.release_file(), wishes)
    assert (fault.place, fault.wanted) == (".api.UPLOAD_FILE_SIZE_LIMIT", "a whole number above 0, without a unit")


def test_a_number_is_taken_as_text_and_as_number() -> None:
    for value in (50, "50"):
        assert list(dify_settings.faults(difys.release_file(), {"api": {"UPLOAD_FILE_SIZE_LIMIT": value}})) == []
