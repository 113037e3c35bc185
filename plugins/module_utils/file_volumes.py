# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of a fixed size in a file each, and the lines that export them. No Ansible, no I/O."""

from __future__ import annotations

import ipaddress
import re
import struct
import uuid
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

UNITS = {"M": 1024**2, "G": 1024**3, "T": 1024**4}
# Below this, ext4 has no room for its own tables.
SMALLEST = 16 * UNITS["M"]
# The user and the group of Dify in its images.
OWNER = 1001
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")

# The superblock of ext4, behind the boot block.
SUPERBLOCK_AT = 1024
SUPERBLOCK_SIZE = 1024
_MAGIC = 0xEF53
_64BIT = 0x80


class VolumeError(Exception):
    """A volume cannot be as wished; the text is for the user."""


class Volume(NamedTuple):
    name: str
    image: str
    size: int


class FileSystem(NamedTuple):
    """Bytes of an ext4 file system, and of one of its groups: it may be smaller than its place by less than that."""

    size: int
    group: int


class Found(NamedTuple):
    """Size of the image, its file system, free bytes around it. An image that is not finished has no file system."""

    image_size: Optional[int]
    filesystem: Optional[FileSystem]
    free: int


def check_names(volumes: Sequence[Mapping[str, Any]]) -> None:
    names = [str(volume["name"]) for volume in volumes]
    for name in names:
        if not NAME.fullmatch(name):
            raise VolumeError(f"files_volumes: found the name {name}, wanted letters, digits, dots and hyphens")
        if names.count(name) > 1:
            raise VolumeError(f"files_volumes: volume {name} is listed {names.count(name)} times, wanted once")


def read_superblock(block: bytes) -> Optional[FileSystem]:
    """What the superblock of ext4 says, or nothing if it is none."""
    if len(block) < SUPERBLOCK_SIZE or struct.unpack_from("<H", block, 0x38)[0] != _MAGIC:
        return None
    (low,), (scale,), (per_group,) = (struct.unpack_from("<I", block, offset) for offset in (0x04, 0x18, 0x20))
    (features,), (high,) = (struct.unpack_from("<I", block, offset) for offset in (0x60, 0x150))
    block_size = 1024 << scale
    return FileSystem((low + ((high << 32) if features & _64BIT else 0)) * block_size, per_group * block_size)


def parse_size(text: str, variable: str) -> int:
    match = re.fullmatch(r"(\d+)([MGT])", str(text).strip())
    if not match or int(match.group(1)) * UNITS[match.group(2)] < SMALLEST:
        raise VolumeError(f"{variable}: found {text}, wanted a size of at least 16M such as 50G")
    return int(match.group(1)) * UNITS[match.group(2)]


def plan(wish: Volume, found: Found) -> List[str]:
    """What must be done, in order: allocate, format, grow."""
    if found.image_size is None or found.filesystem is None:
        if wish.size > found.free + (found.image_size or 0):
            raise VolumeError(
                f"volume {wish.name}: wanted {shown(wish.size)}, found {shown(found.free)} free beside {wish.image}"
            )
        return ["allocate", "format"]
    if wish.size < found.image_size:
        raise VolumeError(
            f"volume {wish.name}: found {shown(found.image_size)}, wanted {shown(wish.size)}. "
            "A volume does not shrink: make a new one, copy the files and name that one"
        )
    if wish.size > found.image_size:
        if wish.size - found.image_size > found.free:
            raise VolumeError(
                f"volume {wish.name}: wanted {shown(wish.size - found.image_size)} more, found {shown(found.free)} free"
            )
        return ["allocate", "grow"]
    # A run was killed between the two.
    return ["grow"] if found.filesystem.size + found.filesystem.group <= wish.size else []


def refuse_move(wish: Volume, unit: str) -> None:
    """Another directory of images would mean new, empty volumes in the place of the old ones."""
    named = re.search(r"^What=(.*)$", unit, re.MULTILINE)
    if named and named.group(1) != wish.image:
        raise VolumeError(
            f"volume {wish.name}: found in {named.group(1)}, wanted in {wish.image}. A volume is not moved: stop the "
            "server, move the file, remove the unit that mounts it and run again"
        )


def shown(size: int) -> str:
    for unit in ("T", "G"):
        if size >= UNITS[unit] and size % UNITS[unit] == 0:
            return f"{size // UNITS[unit]}{unit}"
    return f"{size // UNITS['M']}M"


def mount_unit(path: str) -> str:
    """The name of the unit that mounts a path, as systemd-escape writes it."""

    def escape(character: str) -> str:
        return "".join(f"\\x{byte:02x}" for byte in character.encode())

    parts = [part for part in path.split("/") if part]
    escaped = [
        "".join(
            character if re.match(r"[A-Za-z0-9:_]", character) or (character == "." and index) else escape(character)
            for index, character in enumerate(part)
        )
        for part in parts
    ]
    return "-".join(escaped) + ".mount"


def mounts(volumes: Sequence[Mapping[str, Any]], directory: str, images: str) -> List[Dict[str, str]]:
    """The unit that mounts each volume, as name, path and text, and who may write in it."""
    check_names(volumes)
    return [
        {
            "name": mount_unit(f"{directory}/{volume['name']}"),
            "path": f"{directory}/{volume['name']}",
            "text": _UNIT.format(name=volume["name"], image=f"{images}/{volume['name']}.img", directory=directory),
            "owner": str(volume.get("owner", OWNER)),
            "group": str(volume.get("group", OWNER)),
        }
        for volume in volumes
    ]


_UNIT = """\
# Written by Ansible.
[Unit]
Description=Volume {name}
Before=nfs-server.service

[Mount]
What={image}
Where={directory}/{name}
Type=ext4
# A type that SELinux lets the file server read, whoever made the file. Without SELinux, mount(8) leaves it out.
Options=loop,nodev,nosuid,noexec,noatime,errors=remount-ro,context=system_u:object_r:public_content_rw_t:s0

[Install]
# The others are served without it: what is not mounted is not exported.
WantedBy=nfs-server.service
"""


def exports(volumes: Sequence[Mapping[str, Any]], directory: str, workers: Sequence[str]) -> str:
    """Lines of exports(5): each client by its address, the workers unless the volume names others. Root is nobody."""
    check_names(volumes)
    lines = []
    for volume in volumes:
        clients = volume.get("clients") or workers
        if not clients:
            raise VolumeError(f"files_volumes: volume {volume['name']} has no clients. Wanted: addresses or networks")
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"onprem.dify/files/{volume['name']}")
        options = f"rw,sync,root_squash,no_subtree_check,sec=sys,mountpoint,fsid={identity}"
        each = " ".join(f"{client(entry, volume['name'])}({options})" for entry in sorted(set(clients)))
        lines.append(f"{directory}/{volume['name']} {each}\n")
    return "".join(lines)


def client(text: str, volume: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise VolumeError(f"volume {volume}: found client {text}, wanted an address or a network") from None
    if network.prefixlen == 0:
        raise VolumeError(f"volume {volume}: found client {text}, which is everybody")
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def diff(wish: Volume, found: Found) -> Dict[str, str]:
    before = "" if found.image_size is None else f"{wish.image} {shown(found.image_size)}\n"
    return {
        "before_header": f"volume {wish.name}",
        "before": before,
        "after_header": f"volume {wish.name}",
        "after": f"{wish.image} {shown(wish.size)}\n",
    }
