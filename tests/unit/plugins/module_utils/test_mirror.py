"""A mirror serves whole releases only, whatever ends a load; nothing travels twice, nothing is stored twice."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from unit.plugins.module_utils.bundles import (
    CONTENT,
    ETCD,
    IMAGES,
    KEY,
    LAYER,
    MANIFEST,
    PACKAGE,
    PAUSE,
    PAUSE_MANIFEST,
    PROXY,
    PROXY_INDEX,
    PROXY_MANIFEST,
    WHEEL,
    blob,
    digest_of,
    manifest,
    signers,
    write_bundle,
)

from ansible_collections.onprem.dify.plugins.module_utils import mirror_carry, mirror_load
from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import LOCK, Lock, hex_of
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store
from ansible_collections.onprem.dify.plugins.module_utils.mirror_registry import LAYOUT, manifests
from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import (
    CURRENT,
    PREVIOUS,
    Mirror,
    MirrorError,
    Piece,
    alone,
    name_of,
)

NEWER = {**CONTENT, ETCD: ("archive", "etcd", b"etcd, patched " * 2000)}
BUSYBOX = "docker.io/library/busybox:1.36"
NEWER_IMAGES = {PAUSE: IMAGES[PAUSE], BUSYBOX: (manifest(LAYER), MANIFEST, [b"{}", LAYER])}


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "mirror")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "bundle").mkdir()
    write_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    (tmp_path / "newer").mkdir()
    write_bundle(tmp_path / "newer", NEWER, NEWER_IMAGES, release="2026.12.01")
    return tmp_path / "newer"


def lock_in(bundle: Path) -> Lock:
    return Lock.parse((bundle / LOCK).read_bytes())


def load(mirror: Mirror, bundle: Path | None) -> mirror_load.Loaded:
    """As the module does it."""
    with alone(mirror.root):
        source = mirror_load.source_of(mirror, bundle)
        assert source
        lock = mirror_load.check(mirror, source, signers(), whole=bundle is not None)
        return mirror_load.load(mirror, source, lock)


def carry(mirror: Mirror, bundle: Path, most: int = 1 << 20) -> tuple[int, int]:
    """As the action does it; how many loads, and how many bytes were new."""
    lock = lock_in(bundle)
    texts, counts = mirror_carry.texts_of(bundle), []
    for pieces in [*mirror_carry.loads(mirror_carry.pieces(lock, mirror.missing(lock)), most)] or [[]]:
        archive = mirror.root.parent / "load.tar"
        mirror_carry.pack(archive, bundle, pieces, texts)
        texts = {}
        counts.append(mirror.receive(archive, lock.digest))
    return len(counts), sum(counts)


def served(mirror: Mirror) -> str:
    current = mirror.link(CURRENT)
    return current.lock.release if current else ""


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# Load


def test_a_release_has_each_file_under_its_name_and_each_blob_once_on_the_disk(mirror: Mirror, bundle: Path) -> None:
    done = load(mirror, bundle)
    lock = lock_in(bundle)
    current = mirror.root / CURRENT
    for path, (_kind, _component, content) in CONTENT.items():
        assert (current / path).read_bytes() == content
        assert (current / path).samefile(mirror.store.path(digest_of(content)))
    assert done.changed
    assert done.taken == sum(lock.blobs().values())
    assert mirror_load.key_of(mirror.all()[0]) == CONTENT[KEY][2].decode()


def test_a_second_load_copies_nothing_and_links_nothing(mirror: Mirror, bundle: Path) -> None:
    load(mirror, bundle)
    before = {path: path.lstat().st_mtime_ns for path in mirror.root.rglob("*")}
    again = load(mirror, bundle)
    assert (again.changed, again.taken, again.linked) == (False, 0, 0)
    after = {path: path.lstat().st_mtime_ns for path in mirror.root.rglob("*")}
    del before[mirror.root / ".lock"], after[mirror.root / ".lock"]
    assert after == before


def test_a_newer_bundle_brings_only_what_is_new_and_the_one_before_is_kept(
    mirror: Mirror, bundle: Path, newer: Path
) -> None:
    load(mirror, bundle)
    done = load(mirror, newer)
    fresh = NEWER[ETCD][2], NEWER_IMAGES[BUSYBOX][0]
    assert done.taken == sum(len(content) for content in fresh)
    assert served(mirror) == "2026.12.01"
    assert mirror.link(PREVIOUS).lock.release == "2026.11.25"  # type: ignore[union-attr]


@pytest.mark.parametrize("artefact", [ETCD, WHEEL, PACKAGE, KEY, PAUSE, PROXY])
def test_an_altered_bundle_on_a_disk_is_refused_and_nothing_of_it_is_taken(
    mirror: Mirror, bundle: Path, artefact: str
) -> None:
    path = blob(bundle, artefact)
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    with pytest.raises(MirrorError, match=f"{artefact}.*was altered"):
        load(mirror, bundle)
    assert not mirror.store.folder.exists()
    assert served(mirror) == ""


def test_an_older_bundle_is_refused_by_its_number_alone(mirror: Mirror, bundle: Path, newer: Path) -> None:
    load(mirror, newer)
    with pytest.raises(MirrorError, match=r"release 2026\.11\.25 is older than 2026\.12\.01"):
        load(mirror, bundle)
    assert served(mirror) == "2026.12.01"


def test_a_lock_that_was_carried_and_is_signed_by_a_stranger_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    write_bundle(tmp_path / "foreign", signer="stranger")
    carry(mirror, tmp_path / "foreign")
    with pytest.raises(MirrorError, match=r"signed by the key SHA256:\S+, which is not one of release@bank"):
        load(mirror, None)
    assert served(mirror) == ""


def test_a_disk_that_is_too_small_is_said_before_it_is_full(
    mirror: Mirror, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mirror, "free", lambda _self: 1_000_000)
    with pytest.raises(MirrorError, match=r"has 1\.0 MB free, wanted are 67\.\d MB.*mirror_gc"):
        load(mirror, bundle)
    assert not list(mirror.store.digests())


def test_a_disk_that_is_full_half_way_leaves_the_release_of_before(
    mirror: Mirror, bundle: Path, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(mirror, bundle)

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(mirror_load.mirror_registry, "build", full)
        with pytest.raises(OSError, match="No space left"):
            load(mirror, newer)
    assert served(mirror) == "2026.11.25"
    assert [path.name for path in mirror.releases.iterdir()] == [name_of(lock_in(bundle))]
    load(mirror, newer)
    assert served(mirror) == "2026.12.01"


def _load_until_killed(root: Path, bundle: Path) -> None:
    load(Mirror(root), bundle)


@pytest.mark.parametrize("moment", range(10))
def test_a_load_that_is_killed_is_done_by_the_next_one(mirror: Mirror, bundle: Path, newer: Path, moment: int) -> None:
    load(mirror, bundle)
    process = multiprocessing.get_context("fork").Process(target=_load_until_killed, args=(mirror.root, newer))
    process.start()
    time.sleep(moment * 0.004)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert served(mirror) in ("2026.11.25", "2026.12.01")
    for release in mirror.all():  # whatever has its name is complete
        assert {file.path for file in release.lock.files} <= tree(release.path)
    load(mirror, newer)
    assert served(mirror) == "2026.12.01"
    assert {path.name[0] for path in mirror.releases.iterdir()} == {"2"}


def test_two_loads_at_once_are_refused_with_the_process_that_is_at_work(mirror: Mirror, bundle: Path) -> None:
    with (
        alone(mirror.root),
        pytest.raises(MirrorError, match=rf"another load is at work in .* \(process {os.getpid()}\)"),
    ):
        load(mirror, bundle)
    load(mirror, bundle)


# Images


def test_images_are_laid_out_for_the_registry_with_their_tags(mirror: Mirror, bundle: Path) -> None:
    load(mirror, bundle)
    root = mirror.root / CURRENT / "registry" / LAYOUT
    proxy = root / "repositories/registry.k8s.io/kube-proxy"
    assert (proxy / "_manifests/tags/v1.36.4/current/link").read_text() == digest_of(PROXY_INDEX)
    revisions = {path.name for path in (proxy / "_manifests/revisions/sha256").iterdir()}
    assert revisions == {hex_of(digest_of(content)) for content in (PROXY_INDEX, PROXY_MANIFEST)}
    layer = hex_of(digest_of(LAYER))
    assert (proxy / "_layers/sha256" / layer / "link").read_text() == digest_of(LAYER)
    data = root / "blobs/sha256" / layer[:2] / layer / "data"
    assert data.samefile(mirror.store.path(digest_of(LAYER)))


def test_an_index_leads_to_the_manifests_that_the_bundle_carries(mirror: Mirror, bundle: Path) -> None:
    load(mirror, bundle)
    proxy = next(image for image in lock_in(bundle).images if image.reference == PROXY)
    assert manifests(mirror.store, proxy) == [digest_of(PROXY_INDEX), digest_of(PROXY_MANIFEST)]


def test_images_of_the_release_before_can_be_had_by_digest_and_not_by_tag(
    mirror: Mirror, bundle: Path, newer: Path
) -> None:
    load(mirror, bundle)
    load(mirror, newer)
    repositories = mirror.root / CURRENT / "registry" / LAYOUT / "repositories"
    proxy = repositories / "registry.k8s.io/kube-proxy/_manifests"
    assert (proxy / "revisions/sha256" / hex_of(digest_of(PROXY_INDEX)) / "link").is_file()
    assert not (proxy / "tags").exists()
    assert (repositories / "registry.k8s.io/pause/_manifests/tags/3.10.2/current/link").is_file()


# Back, and room


def test_going_back_serves_the_release_before_with_the_images_of_both(
    mirror: Mirror, bundle: Path, newer: Path
) -> None:
    load(mirror, bundle)
    load(mirror, newer)
    mirror_load.roll_back(mirror)
    assert served(mirror) == "2026.11.25"
    assert (mirror.root / CURRENT / ETCD).read_bytes() == CONTENT[ETCD][2]
    repositories = mirror.root / CURRENT / "registry" / LAYOUT / "repositories"
    assert (repositories / "registry.k8s.io/kube-proxy/_manifests/tags/v1.36.4/current/link").is_file()
    busybox = repositories / "docker.io/library/busybox/_manifests"
    assert (busybox / "revisions/sha256" / hex_of(digest_of(NEWER_IMAGES[BUSYBOX][0])) / "link").is_file()
    assert not (busybox / "tags").exists()
    # And forward again, with nothing to bring.
    assert load(mirror, newer).taken == 0
    assert served(mirror) == "2026.12.01"


def test_without_a_release_before_there_is_no_way_back(mirror: Mirror, bundle: Path) -> None:
    load(mirror, bundle)
    with pytest.raises(MirrorError, match="no release before"):
        mirror_load.roll_back(mirror)
    assert served(mirror) == "2026.11.25"


def test_garbage_is_what_neither_this_release_nor_the_one_before_needs(
    mirror: Mirror, bundle: Path, newer: Path, tmp_path: Path
) -> None:
    (tmp_path / "newest").mkdir()
    write_bundle(tmp_path / "newest", {KEY: CONTENT[KEY]}, {PAUSE: IMAGES[PAUSE]}, release="2026.12.24")
    for one in (bundle, newer):
        load(mirror, one)
    assert not mirror_load.garbage(mirror)
    load(mirror, tmp_path / "newest")
    found = mirror_load.garbage(mirror)
    assert [path.name for path in found.releases] == [name_of(lock_in(bundle))]
    gone = {digest_of(content) for content in (CONTENT[ETCD][2], PROXY_INDEX, PROXY_MANIFEST)}
    assert set(found.blobs) == gone
    mirror_load.collect(mirror, found)
    assert not mirror_load.garbage(mirror)
    # The release in between was made with the images of the first one, which still ran: their room is free as well.
    assert not {path.parent.name for path in mirror.releases.rglob("data")} & {digest[7:] for digest in gone}
    assert {release.lock.release for release in mirror.all()} == {"2026.12.24", "2026.12.01"}
    assert set(mirror.store.digests()) == set(lock_in(newer).blobs())


def test_a_collection_that_was_killed_is_done_by_the_next_one(mirror: Mirror, bundle: Path, newer: Path) -> None:
    load(mirror, bundle)
    (mirror.releases / ".2026.01.01-0123456789ab.old").mkdir()
    (mirror.releases / ".2026.01.02-0123456789ab.new").mkdir()
    (mirror.store.folder / ".new-abc").write_text("a piece")
    found = mirror_load.garbage(mirror)
    assert len(found.releases) == 2
    mirror_load.collect(mirror, found)
    assert len(list(mirror.releases.iterdir())) == 1
    assert set(mirror.store.digests()) == set(lock_in(bundle).blobs())
    assert not list(mirror.store.folder.glob(".*"))
    load(mirror, newer)


# Carry


@pytest.mark.parametrize("most", [1000, 9999, 1 << 20])
def test_what_is_carried_in_loads_of_any_size_is_whole(mirror: Mirror, bundle: Path, most: int) -> None:
    total = sum(lock_in(bundle).blobs().values())
    count, new = carry(mirror, bundle, most)
    assert new == total
    assert count == max(1, -(-total // most))
    assert load(mirror, None).release
    assert served(mirror) == "2026.11.25"
    assert not mirror.incoming.exists()
    assert mirror.missing(lock_in(bundle)) == {}


def test_what_has_arrived_does_not_travel_again(mirror: Mirror, bundle: Path) -> None:
    lock = lock_in(bundle)
    first, *rest = mirror_carry.loads(mirror_carry.pieces(lock, mirror.missing(lock)), 9999)
    archive = bundle.parent / "first.tar"
    mirror_carry.pack(archive, bundle, first, mirror_carry.texts_of(bundle))
    assert mirror.receive(archive, lock.digest) == 9999
    assert rest
    # Broken off here; the same load again, as when only its answer was lost, brings nothing new.
    assert mirror.receive(archive, lock.digest) == 0
    assert carry(mirror, bundle)[1] == sum(lock.blobs().values()) - 9999


def test_a_blob_of_which_all_came_before_the_kill_is_taken_in_without_a_byte(mirror: Mirror, bundle: Path) -> None:
    mirror.incoming.mkdir(parents=True)
    (mirror.incoming / hex_of(digest_of(CONTENT[ETCD][2]))).write_bytes(CONTENT[ETCD][2])
    total = sum(lock_in(bundle).blobs().values())
    assert carry(mirror, bundle)[1] == total - len(CONTENT[ETCD][2])
    assert mirror.missing(lock_in(bundle)) == {}


def test_a_byte_that_changed_on_its_way_is_found_and_its_blob_sent_anew(mirror: Mirror, bundle: Path) -> None:
    mirror.incoming.mkdir(parents=True)
    (mirror.incoming / hex_of(digest_of(CONTENT[ETCD][2]))).write_bytes(b"Etcd ")
    with pytest.raises(MirrorError, match=rf"{ETCD} was damaged on its way .* sent anew"):
        carry(mirror, bundle)
    carry(mirror, bundle)
    load(mirror, None)
    assert (mirror.root / CURRENT / ETCD).read_bytes() == CONTENT[ETCD][2]


def test_two_bundles_on_their_way_at_once_do_not_mix(mirror: Mirror, bundle: Path, newer: Path) -> None:
    carry(mirror, bundle)
    lock = lock_in(newer)
    archive = bundle.parent / "load.tar"
    mirror_carry.pack(archive, newer, mirror_carry.pieces(lock, mirror.missing(lock)), {})
    with pytest.raises(MirrorError, match=r"release 2026\.11\.25 is on its way to this mirror, not this bundle"):
        mirror.receive(archive, lock.digest)


def test_a_member_that_is_no_piece_is_refused(mirror: Mirror, bundle: Path) -> None:
    lock = lock_in(bundle)
    archive = bundle.parent / "load.tar"
    for name in ("../../etc/passwd", "0" * 64 + ".0", f"{hex_of(digest_of(LAYER))}.x"):
        mirror_carry.pack(archive, bundle, [], {**mirror_carry.texts_of(bundle), name: b"content"})
        with pytest.raises(MirrorError, match="not a piece of a blob of the lock"):
            mirror.receive(archive, lock.digest)
    assert tree(mirror.root) == {"incoming/lock.json", "incoming/lock.json.sig"}


def test_a_delta_is_enough_where_the_rest_is(mirror: Mirror, bundle: Path, newer: Path) -> None:
    load(mirror, bundle)
    for digest in lock_in(newer).blobs():
        if mirror.store.has(digest, lock_in(newer).blobs()[digest]):
            Store(newer).path(digest).unlink()
    shutil.rmtree(bundle)
    load(mirror, newer)
    assert served(mirror) == "2026.12.01"


def test_loads_cut_what_is_larger_and_fill_up_with_what_is_smaller() -> None:
    wanted = [Piece("a", 0, 25), Piece("b", 5, 3), Piece("c", 0, 0)]
    assert list(mirror_carry.loads(wanted, 10)) == [
        [Piece("a", 0, 10)],
        [Piece("a", 10, 10)],
        [Piece("a", 20, 5), Piece("b", 5, 3), Piece("c", 0, 0)],
    ]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("wheels/patroni/PyYAML-6.0.2-cp311-cp311-manylinux2014_x86_64.whl", "pyyaml"),
        ("wheels/patroni/ydiff_x.y-1.4-py3-none-any.whl", "ydiff-x-y"),
        ("wheels/patroni/python-dateutil-2.9.0.tar.gz", "python-dateutil"),
    ],
)
def test_a_wheel_is_found_under_the_name_of_its_project(path: str, name: str) -> None:
    assert mirror_load.project(path) == name


def test_pip_reads_an_index_with_digests(mirror: Mirror, bundle: Path) -> None:
    load(mirror, bundle)
    page = (mirror.root / CURRENT / "simple/ansible-core/index.html").read_text()
    assert f'href="../../{WHEEL}#sha256={hex_of(digest_of(CONTENT[WHEEL][2]))}"' in page
    assert '<a href="ansible-core/">' in (mirror.root / CURRENT / "simple/index.html").read_text()


def test_the_manifest_of_an_image_leads_to_no_other(mirror: Mirror, bundle: Path) -> None:
    load(mirror, bundle)
    pause = next(image for image in lock_in(bundle).images if image.reference == PAUSE)
    assert manifests(mirror.store, pause) == [digest_of(PAUSE_MANIFEST)]
