"""Volumes of a fixed size, and who may use them."""

from __future__ import annotations

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import file_volumes as core

GB = core.UNITS["G"]
WISH = core.Volume("dify", "/var/lib/files/dify.img", 20 * GB)


@pytest.mark.parametrize(
    ("found", "steps"),
    [
        (core.Found(None, False, 100 * GB), ["allocate", "format"]),
        # What a killed run left.
        (core.Found(5 * GB, False, 100 * GB), ["allocate", "format"]),
        (core.Found(20 * GB, True, 0), []),
        (core.Found(10 * GB, True, 10 * GB), ["allocate", "grow"]),
    ],
)
def test_a_volume_is_made_left_alone_or_grown(found: core.Found, steps: list[str]) -> None:
    assert core.plan(WISH, found) == steps


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (core.Found(30 * GB, True, 100 * GB), "found 30G, wanted 20G. A volume does not shrink"),
        (core.Found(None, False, 19 * GB), "wanted 20G, found 19G free"),
        (core.Found(10 * GB, True, 9 * GB), "wanted 10G more, found 9G free"),
    ],
)
def test_what_cannot_be_is_refused(found: core.Found, message: str) -> None:
    with pytest.raises(core.VolumeError, match=message):
        core.plan(WISH, found)


@pytest.mark.parametrize("text", ["20", "G", "1.5G", "2M", "-5G", ""])
def test_a_size_has_a_unit(text: str) -> None:
    with pytest.raises(core.VolumeError, match="wanted a size"):
        core.parse_size(text, "files_volumes")


def test_sizes_read_and_write() -> None:
    assert core.parse_size("20G", "") == 20 * GB
    assert core.shown(20 * GB) == "20G"
    assert core.shown(1536 * core.UNITS["M"]) == "1536M"
    assert core.shown(2 * core.UNITS["T"]) == "2T"


def test_mount_units_are_named_as_systemd_does() -> None:
    # As `systemd-escape --path --suffix=mount` says.
    assert core.mount_unit("/srv/files/dify") == "srv-files-dify.mount"
    assert core.mount_unit("/srv/my-files/v1.0/") == "srv-my\\x2dfiles-v1.0.mount"


def test_workers_are_the_clients_unless_others_are_named() -> None:
    volumes = [{"name": "dify"}, {"name": "other", "clients": ["10.0.9.0/24", "10.0.9.0/24"]}]
    first, second = core.exports(volumes, "/srv/files", ["10.0.2.22", "10.0.2.21"]).splitlines()
    assert first.startswith("/srv/files/dify 10.0.2.21(rw,sync,root_squash,")
    assert " 10.0.2.22(rw" in first
    assert second.count("10.0.9.0/24(") == 1
    assert "no_root_squash" not in first + second
    # The name of a file handle stays when the volume moves to another device.
    assert first.split("fsid=")[1].split(")")[0] != second.split("fsid=")[1].split(")")[0]


@pytest.mark.parametrize(
    ("clients", "message"),
    [([], "has no clients"), (["0.0.0.0/0"], "which is everybody"), (["*"], "wanted an address or a network")],
)
def test_nobody_and_everybody_are_no_clients(clients: list[str], message: str) -> None:
    with pytest.raises(core.VolumeError, match=message):
        core.exports([{"name": "dify", "clients": clients}], "/srv/files", [])
