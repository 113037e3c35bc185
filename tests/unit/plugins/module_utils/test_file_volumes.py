"""Volumes of a fixed size, and who may use them."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import file_volumes as core

GB = core.UNITS["G"]
MB = core.UNITS["M"]
WISH = core.Volume("dify", "/var/lib/files/dify.img", 20 * GB)


def filesystem(size: int) -> core.FileSystem:
    return core.FileSystem(size, 128 * MB)


@pytest.mark.parametrize(
    ("found", "steps"),
    [
        (core.Found(None, None, 100 * GB), ["allocate", "format"]),
        # What a killed run left.
        (core.Found(5 * GB, None, 100 * GB), ["allocate", "format"]),
        (core.Found(20 * GB, filesystem(10 * GB), 0), ["grow"]),
        (core.Found(20 * GB, filesystem(20 * GB), 0), []),
        # A last group that has no room for its own tables is left out.
        (core.Found(20 * GB, filesystem(20 * GB - 100 * MB), 0), []),
        (core.Found(10 * GB, filesystem(10 * GB), 10 * GB), ["allocate", "grow"]),
    ],
)
def test_a_volume_is_made_left_alone_or_grown(found: core.Found, steps: list[str]) -> None:
    assert core.plan(WISH, found) == steps


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (core.Found(30 * GB, filesystem(30 * GB), 100 * GB), "found 30G, wanted 20G. A volume does not shrink"),
        (core.Found(None, None, 19 * GB), "wanted 20G, found 19G free"),
        (core.Found(10 * GB, filesystem(10 * GB), 9 * GB), "wanted 10G more, found 9G free"),
    ],
)
def test_what_cannot_be_is_refused(found: core.Found, message: str) -> None:
    with pytest.raises(core.VolumeError, match=message):
        core.plan(WISH, found)


def superblock(blocks: int, features: int = 0, magic: int = 0xEF53) -> bytes:
    block = bytearray(core.SUPERBLOCK_SIZE)
    struct.pack_into("<I", block, 0x04, blocks % 2**32)
    struct.pack_into("<I", block, 0x18, 2)
    struct.pack_into("<I", block, 0x20, 32768)
    struct.pack_into("<H", block, 0x38, magic)
    struct.pack_into("<I", block, 0x60, features)
    struct.pack_into("<I", block, 0x150, blocks >> 32)
    return bytes(block)


def test_the_size_of_a_file_system_stands_in_its_superblock() -> None:
    assert core.read_superblock(superblock(5 * GB // 4096)) == filesystem(5 * GB)
    assert core.read_superblock(superblock(2**33, features=0x80)) == filesystem(2**33 * 4096)
    # Without the feature the upper half means something else.
    assert core.read_superblock(superblock(2**33 + 256)) == filesystem(MB)


@pytest.mark.parametrize("block", [b"", superblock(256)[:512], superblock(256, magic=0)])
def test_what_is_no_superblock_is_no_file_system(block: bytes) -> None:
    assert core.read_superblock(block) is None


def test_a_volume_is_not_moved() -> None:
    unit = core.mounts([{"name": "dify"}], "/srv/files", "/var/lib/files")[0]["text"]
    core.refuse_move(WISH, unit)
    core.refuse_move(WISH, "")
    with pytest.raises(core.VolumeError, match=r"found in /var/lib/files/dify.img, wanted in /data/dify.img"):
        core.refuse_move(core.Volume("dify", "/data/dify.img", GB), unit)


@pytest.mark.parametrize("name", ["../etc", "with space", "", "-dify", "a" * 64, "dify\n"])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(core.VolumeError, match="wanted letters"):
        core.exports([{"name": name, "clients": ["10.0.2.21"]}], "/srv/files", [])


def test_a_volume_is_listed_once() -> None:
    with pytest.raises(core.VolumeError, match="volume dify is listed 2 times"):
        core.mounts([{"name": "dify"}, {"name": "dify"}], "/srv/files", "/var/lib/files")


def test_a_volume_belongs_to_dify_unless_it_says_otherwise() -> None:
    first, second = core.mounts([{"name": "dify"}, {"name": "scans", "owner": 2001, "group": 0}], "/srv", "/var/lib")
    assert (first["owner"], first["group"]) == ("1001", "1001")
    assert (second["owner"], second["group"]) == ("2001", "0")


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
