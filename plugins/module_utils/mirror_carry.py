# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What travels to a mirror, and in which loads: blobs that it lacks, from where they broke off. No Ansible."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Sequence

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import LOCK, SIGNATURE, Lock
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store, open_plain
from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import Piece

MEGABYTE = 1 << 20


def pieces(lock: Lock, missing: Mapping[str, int]) -> List[Piece]:
    """What has to travel: for each blob that is missing, the bytes that have not arrived."""
    sizes = lock.blobs()
    unknown = sorted(set(missing) - set(sizes))
    if unknown:
        raise ValueError(f"{unknown[0]} is not in the lock")
    found = []
    for digest, arrived in sorted(missing.items()):
        # One of which all has arrived has its last step to make: it travels as nothing, as an empty one does.
        start = min(arrived, sizes[digest])
        found.append(Piece(digest, start, sizes[digest] - start))
    return found


def loads(wanted: Sequence[Piece], most: int) -> Iterator[List[Piece]]:
    """Pieces in loads of at most so many bytes; a blob that is larger is cut."""
    load: List[Piece] = []
    room = most
    for piece in wanted:
        start, left = piece.offset, piece.length
        while True:
            length = min(left, room)
            load.append(Piece(piece.digest, start, length))
            start, left, room = start + length, left - length, room - length
            if room == 0:
                yield load
                load, room = [], most
            if left == 0:
                break
    if load:
        yield load


def pack(archive: Path, bundle: Path, load: Sequence[Piece], texts: Dict[str, bytes]) -> None:
    """Write the archive of a load: `texts` first, which say what the pieces belong to."""
    store = Store(bundle)
    with tarfile.open(archive, "w:", format=tarfile.PAX_FORMAT) as tar:
        for name, content in texts.items():
            tar.addfile(_member(name, len(content)), io.BytesIO(content))
        for piece in load:
            with open_plain(store.path(piece.digest)) as file:
                file.seek(piece.offset)
                tar.addfile(_member(piece.name, piece.length), file)


def texts_of(bundle: Path) -> Dict[str, bytes]:
    """Lock and signature, which travel with the first load."""
    return {name: (bundle / name).read_bytes() for name in (LOCK, SIGNATURE)}


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member
