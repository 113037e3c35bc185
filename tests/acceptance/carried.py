"""A site with one mirror and one host that uses it, and bundles that somebody has tampered with."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from lab import bundles, mirrors, scratch
from lab.bundles import Bundle

LOAD = "tests/acceptance/mirror_load.yml"
PAUSE, APP = "registry.k8s.io/pause", "docker.io/lab/app"
# Days of the past: apt takes no packages of a day to come.
OLD, NEW, PATCHED = "2026.11.01", "2026.11.10", "2026.11.02"
MEGABYTE = 1 << 20
# Signatures, questions and answers of a run that brings nothing.
TALK = 3 * MEGABYTE
# The module that is at work holds the lock, or will soon.
LOCK = f"{mirrors.ROOT}/.lock"
KILL = f"for n in $(seq 200); do flock -n {LOCK} true || {{ kill -9 $(cat {LOCK}); exit; }}; sleep 0.02; done"


class Site(mirrors.Site):
    """A site with one mirror and one host that uses it."""

    def load(self, bundle: Path, **more: Any) -> Any:
        return self.play(LOAD, extra_vars={"mirror_bundle": str(bundle), **more})

    def received(self) -> int:
        """Bytes that the network card of the mirror has received."""
        return int(self.root("ops1", "cat /sys/class/net/eth0/statistics/rx_bytes"))

    def state(self) -> str:
        """What stands on the mirror, by name, size and age."""
        return self.root(
            "ops1", f"cd {mirrors.ROOT} && find . ! -name .lock -printf '%P %s %T@ %l\\n' | sort | sha256sum"
        )

    def tree(self, release: str) -> str:
        """Every name of a release with what stands behind it."""
        return self.root(
            "ops1",
            f"cd {mirrors.ROOT}/releases/{release}-* && find . -type f -exec sha256sum {{}} + | sort -k 2"
            " && find . ! -type f -printf '%P %y %m %l\\n' | sort",
        )

    def blobs(self) -> set[str]:
        """Blobs that are finished, as files: one that is written anew has another number."""
        return set(self.root("ops1", f"cd {mirrors.ROOT}/blobs/sha256 && stat --format '%n %i %Y' *").splitlines())

    def forget(self, release: str) -> None:
        """As if this release had never come: a blob that no release has is no link."""
        self.root(
            "ops1",
            f"cd {mirrors.ROOT} && rm -rf previous incoming releases/{release}-* releases/.{release}*"
            " && find blobs -type f -links 1 -delete",
        )


def messages(run: Any) -> str:
    return "\n".join(failure.message for failure in run.failures)


def copied(bundle: Bundle, name: str) -> Path:
    """A bundle beside the other one whose files may be altered."""
    folder = bundle.folder.with_name(name)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bundle.folder, folder, copy_function=os.link)
    return folder


def rewrite(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def blob(bundle: Bundle, folder: Path, artefact: str) -> Path:
    named = bundle.image(artefact.rpartition(":")[0]) if ":" in artefact else bundle.lock.file(artefact)
    digest: str = named.digest
    return folder / "blobs/sha256" / digest.removeprefix("sha256:")


def artefacts(bundle: Bundle) -> dict[str, str]:
    """One of each kind, by kind."""
    found = {file.kind: file.path for file in bundle.lock.files}
    return {**found, "image": f"{APP}:1.1"}


def swap(bundle: Bundle, folder: Path) -> str:
    one, other = (blob(bundle, folder, artefacts(bundle)[kind]) for kind in ("archive", "wheel"))
    contents = one.read_bytes(), other.read_bytes()
    rewrite(one, contents[1])
    rewrite(other, contents[0])
    return "in its place stands"


def extra(_bundle: Bundle, folder: Path) -> str:
    (folder / "blobs/sha256" / hashlib.sha256(b"extra").hexdigest()).write_bytes(b"extra")
    return "is not in the lock"


def edited(_bundle: Bundle, folder: Path) -> str:
    lock = folder / "lock.json"
    rewrite(lock, lock.read_bytes().replace(b'"version": "1.1"', b'"version": "1.2"'))
    return "it was changed after the key"


def relock(folder: Path, lock: Any, signed_by: str = "release") -> None:
    """Another lock in the place of this one, without altering the bundle that shares its files."""
    for name in ("lock.json", "lock.json.sig", "oci-layout", "index.json", "sbom.cdx.json"):
        (folder / name).unlink()
    bundles.write_lock(folder, lock, signed_by)


def foreign(bundle: Bundle, folder: Path) -> str:
    relock(folder, bundle.lock, signed_by="stranger")
    return "which is not one of release@lab"


def unsigned(_bundle: Bundle, folder: Path) -> str:
    (folder / "lock.json.sig").unlink()
    return "the bundle is not signed"


def replayed(bundle: Bundle, folder: Path) -> str:
    relock(folder, dataclasses.replace(bundle.lock, release="2026.10.31"))
    return f"release 2026.10.31 is older than {OLD}, which the site has"


def start(site: Site, bundle: Path, clock: dict[str, str] | None = None, **more: str) -> subprocess.Popen[str]:
    command = ["ansible-playbook", LOAD, "-i", str(site.inventory)]
    command += ["-e", json.dumps({"mirror_bundle": str(bundle), "mirror_load_megabytes": 4, **more})]
    return subprocess.Popen(
        command,
        cwd=scratch.ROOT,
        env={**os.environ, **(clock or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def back(site: Site, release: str = NEW) -> None:
    """To the old release, as if the other one had never come."""
    site.root("ops1", f"cd {mirrors.ROOT} && ln -sfn releases/$(ls releases | grep ^{OLD}) current")
    site.forget(release)


def whole(site: Site, bundle: Bundle) -> None:
    """What a client gets is all of this release."""
    assert site.serves("ops1") == json.loads(bundle.lock.dump())
    for one in bundle.lock.images:
        done = site.pull("worker1", "10.89.4.11", dataclasses.asdict(one), tag=True)
        assert done.returncode == 0, done.stderr


def image(site: Site, name: str) -> Any:
    module = bundles.product.module_utils("bundle_lock")
    lock = module.Lock.parse(module.canonical(site.serves("ops1")))
    return next(one for one in lock.images if one.name == name)
