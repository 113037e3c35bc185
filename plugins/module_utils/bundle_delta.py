# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry only the blobs that a site does not have, and make them whole again with those that it has. No Ansible."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import (
    BLOBS,
    DELTA,
    INDEX,
    LAYOUT,
    LOCK,
    SBOM,
    SIGNATURE,
    TOOL,
    Lock,
    LockError,
    release_order,
)
from ansible_collections.onprem.dify.plugins.module_utils.bundle_parts import JOINING, Tally
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import Signer
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store, StoreError, open_plain, write_file
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import (
    Verdict,
    base_of,
    note,
    read,
    trusted,
    verify,
)

# The lock and its signature come last: without them a folder is no bundle.
_BESIDE = (LAYOUT, INDEX, SBOM, TOOL, LOCK, SIGNATURE)

Report = Callable[[int, int], None]


class DeltaError(Exception):
    """There is no such delta; the text is for the user."""


def plan(lock: Lock, base: Lock) -> Dict[str, int]:
    """The blobs of a delta, with their sizes."""
    if lock.digest == base.digest:
        raise DeltaError(f"release {lock.release} is what the site has: there is nothing to carry")
    if release_order(lock.release) < release_order(base.release):
        raise DeltaError(f"release {lock.release} is older than {base.release}, and the site would refuse it")
    return lock.missing_in(base)


def make(bundle: Path, base: Lock, target: Path, report: Optional[Report] = None) -> Tuple[Dict[str, int], bool]:
    """Write the delta from a base to a bundle. Returns its blobs, and whether anything of it was not there already."""
    raw = read(bundle / LOCK)
    lock = Lock.parse(raw)
    wanted = plan(lock, base)
    if (target / LOCK).is_file() and read(target / LOCK) != raw:
        raise DeltaError(f"{target}: another bundle stands there; name an empty folder")
    source, store = Store(bundle), Store(target)
    store.folder.mkdir(parents=True, exist_ok=True)
    artefacts = lock.artefacts()
    total = sum(wanted.values())
    tally, new = Tally(total, report), False
    for digest, size in wanted.items():
        if store.has(digest, size):
            tally.add(size)
            continue
        try:
            with open_plain(source.path(digest)) as file:
                store.add(file, digest, size, tally.add)
            new = True
        except StoreError as error:
            raise DeltaError(f"{bundle}: {artefacts[digest][0]}: {error}") from error
    content = note(base.release, base.digest, len(wanted), total)
    new = write_file(target / DELTA, content) or new
    return wanted, _copy_beside(bundle, target) or new


def whole(
    delta: Path,
    base: Path,
    target: Path,
    signers: Sequence[Signer],
    newest_release: str = "",
    report: Optional[Report] = None,
) -> Tuple[Verdict, bool]:
    """Make the full bundle of a delta and its base, a bundle too. It gets its name when every byte is verified.

    Returns the verdict, and whether the bundle is new: one that is there already is verified again.
    """
    verdict = trusted(delta, signers, newest_release)
    if not verdict.lock or not verdict.good:
        return verdict, False
    if target.exists():
        if not (target / LOCK).is_file() or read(target / LOCK) != read(delta / LOCK):
            raise DeltaError(f"{target}: something else is there; name a new folder")
        return verify(target, signers, newest_release, report=report), False
    lock, sources = verdict.lock, [Store(delta), Store(base)]
    missing = _missing(lock, sources)
    if missing:
        verdict.refuse(
            "base",
            str(base),
            f"it is {_release(base)}, which lacks {len(missing)} blobs of release {lock.release}. "
            f"The delta was made for {base_of(delta) or 'another base'}",
        )
        for digest in missing:
            verdict.refuse("missing", lock.artefacts()[digest][0], "is neither in the delta nor in the base")
        return verdict, False
    work = target.with_name(f"{target.name}{JOINING}")
    if work.exists():
        shutil.rmtree(work)
    (work / BLOBS).mkdir(parents=True)
    for digest, size in lock.blobs().items():
        store = next(store for store in sources if store.has(digest, size))
        _link(store.path(digest), Store(work).path(digest))
    _copy_beside(delta, work)
    verdict = verify(work, signers, newest_release, report=report)
    if verdict.good:
        work.rename(target)
    else:
        shutil.rmtree(work)
    return verdict, verdict.good


def _missing(lock: Lock, sources: Sequence[Store]) -> List[str]:
    return [digest for digest, size in lock.blobs().items() if not any(store.has(digest, size) for store in sources)]


def _release(bundle: Path) -> str:
    try:
        return f"release {Lock.parse(read(bundle / LOCK)).release}"
    except (LockError, StoreError, FileNotFoundError):
        return "not a bundle"


def _link(source: Path, target: Path) -> None:
    """The same bytes under another name: without a copy where both are on one disk. They are verified there."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _copy_beside(source: Path, target: Path) -> bool:
    there = [name for name in _BESIDE if (source / name).is_file()]
    written = [write_file(target / name, read(source / name)) for name in there]
    return any(written)
