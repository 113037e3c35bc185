"""Giving files to the users of the nodes' user namespace, in which root of a node is nobody on the host.

The image belongs to that range of users already: a third of a second once, instead of at each boot.
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

# User and group 0 on the host of all nodes but those that run pods; a multiple of 65536 in the range systemd keeps
# for containers.
FIRST_ID = 16960 << 16
SHIFT = 2  # changes when files are shifted in another way
CAPABILITY = "security.capability"


def give(path: Path, first_id: int, user: int = 0, group: int = 0) -> None:
    """Make a user of the node the owner."""
    os.chown(path, first_id + user, first_id + group)


def shift(top: Path, first_id: int) -> None:
    """Give the files to the users of the nodes' user namespace, if they are in one."""
    if not first_id:
        return
    _shift_owner(top, first_id)
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            _shift_owner(Path(folder, name), first_id)


def _shift_owner(path: Path, first_id: int) -> None:
    found = path.lstat()
    if found.st_uid >= first_id:
        return
    capability = None if stat.S_ISLNK(found.st_mode) else _capability(path)
    os.chown(path, first_id + found.st_uid, first_id + found.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        path.chmod(stat.S_IMODE(found.st_mode))  # chown clears the bits of setuid and setgid
    if capability:
        os.setxattr(path, CAPABILITY, namespaced(capability, first_id))


def _capability(path: Path) -> bytes | None:
    try:
        return os.getxattr(path, CAPABILITY)
    except OSError:
        return None


def namespaced(capability: bytes, first_id: int) -> bytes:
    """A file capability (struct vfs_cap_data, version 2) as one that counts in a user namespace (version 3)."""
    flags = int.from_bytes(capability[:4], "little") & 0xFFFFFF
    return struct.pack("<I", 0x03000000 | flags) + capability[4:20] + struct.pack("<I", first_id)
