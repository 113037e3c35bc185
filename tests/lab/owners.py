"""Giving files to the users of the nodes' user namespace, in which root of a node is nobody on the host.

The image belongs to that range of users already: a third of a second once, instead of at each boot.
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

# User and group 0 of all nodes on the host; a multiple of 65536 in the range systemd keeps for containers.
FIRST_ID = 16960 << 16
SHIFT = 2  # changes when files are shifted in another way
CAPABILITY = "security.capability"


def give(path: Path, user: int = 0, group: int = 0) -> None:
    """Make a user of the node the owner."""
    os.chown(path, FIRST_ID + user, FIRST_ID + group)


def shift(top: Path) -> None:
    """Give the files to the users of the nodes' user namespace."""
    _shift_owner(top)
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            _shift_owner(Path(folder, name))


def _shift_owner(path: Path) -> None:
    found = path.lstat()
    if found.st_uid >= FIRST_ID:
        return
    capability = None if stat.S_ISLNK(found.st_mode) else _capability(path)
    os.chown(path, FIRST_ID + found.st_uid, FIRST_ID + found.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        path.chmod(stat.S_IMODE(found.st_mode))  # chown clears the bits of setuid and setgid
    if capability:
        os.setxattr(path, CAPABILITY, namespaced(capability, FIRST_ID))


def _capability(path: Path) -> bytes | None:
    try:
        return os.getxattr(path, CAPABILITY)
    except OSError:
        return None


def namespaced(capability: bytes, first_id: int) -> bytes:
    """A file capability (struct vfs_cap_data, version 2) as one that counts in a user namespace (version 3)."""
    flags = int.from_bytes(capability[:4], "little") & 0xFFFFFF
    return struct.pack("<I", 0x03000000 | flags) + capability[4:20] + struct.pack("<I", first_id)
