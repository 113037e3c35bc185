"""Measure how fast a bundle is verified, against sha256sum on the same files, and the memory of that and of loading.

bundle.py           2 GiB and 0.5 GiB: writes the table of docs/benchmarks.md
bundle.py --gate    0.5 GiB and 128 MiB: fails below 80 % of sha256sum, if two threads are no faster, or if memory grows
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".ansible/collections"), str(ROOT / "tests")]

from unit.plugins.module_utils import bundles  # noqa: E402

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import (  # noqa: E402
    TOOL,
    TOOL_PATH,
    Component,
    File,
    Lock,
    hex_of,
)
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store, hash_file  # noqa: E402
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_tool import tool  # noqa: E402

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- bundle benchmark: begin -->\n", "<!-- bundle benchmark: end -->\n"
HEAD = "| command | threads | size | MiB/s | MiB per CPU second | peak memory MiB |\n|---|---:|---:|---:|---:|---:|\n"
MIB = 1 << 20
# As in a real one: half the bytes in a few large layers, many packages. Parts of 512 MiB.
SHARES = ((1, 256), (2, 64), (8, 8), (64, 1))
# The machine has other work: the fastest of several runs is what the program can do.
RUNS = 3
LEAST_OF_SHA256SUM = 0.8
MOST_MEMORY_GROWTH = 1.2
# What the module of the same name does with a bundle on a disk of the mirror.
MIRROR_LOAD = """
import sys
from pathlib import Path
from ansible_collections.onprem.dify.plugins.module_utils.bundle_signature import parse_signers
from ansible_collections.onprem.dify.plugins.module_utils.mirror_load import check, load
from ansible_collections.onprem.dify.plugins.module_utils.mirror_store import Mirror
bundle, mirror = Path(sys.argv[1]), Mirror(Path(sys.argv[2]))
load(mirror, bundle, check(mirror, bundle, parse_signers(Path(sys.argv[3]).read_text().splitlines()), whole=True))
"""


@dataclass(frozen=True)
class Measured:
    command: str
    threads: int
    size: int
    seconds: float
    cpu_seconds: float
    memory: int

    @property
    def rate(self) -> float:
        return self.size / MIB / self.seconds

    @property
    def cpu_rate(self) -> float:
        """Says the same on a machine with other work."""
        return self.size / MIB / self.cpu_seconds

    @property
    def row(self) -> str:
        return (
            f"| `{self.command}` | {self.threads} | {self.size / MIB / 1024:.1f} GiB | {self.rate:.0f} "
            f"| {self.cpu_rate:.0f} | {self.memory / MIB:.0f} |\n"
        )


class Bundle:
    """A signed bundle of random bytes."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.store = Store(folder)
        self.store.folder.mkdir(parents=True)
        self.signers = folder.with_name(f"{folder.name}.signers")
        self.signers.write_text(f"release@bank {bundles.public('release')}\n", encoding="utf-8")
        files = [self._file(part, count) for part in range(size // (512 * MIB) or 1) for count in self._sizes(size)]
        files.append(self._add(TOOL_PATH, "tool", tool()))
        (folder / TOOL).write_bytes(tool())
        component = Component("benchmark", "1", "MIT", "https://example.org", None)
        self.lock = Lock("2026.11.25", ("amd64",), (), (component,), tuple(files), ())
        bundles.write_lock(folder, self.lock)
        self.size = sum(file.size for file in files)

    @staticmethod
    def _sizes(size: int) -> list[int]:
        scale = min(size, 512 * MIB) / (512 * MIB)
        return [int(mebibytes * MIB * scale) for count, mebibytes in SHARES for _ in range(count)]

    def _file(self, part: int, size: int) -> File:
        place = self.store.folder / "new"
        with place.open("wb") as file:
            for start in range(0, size, MIB):
                file.write(os.urandom(min(MIB, size - start)))
        digest = hash_file(place)
        place.replace(self.store.path(digest))
        return self._record(f"files/benchmark/{part}/{hex_of(digest)}", "archive", digest, size)

    def _add(self, path: str, kind: str, data: bytes) -> File:
        digest = bundles.digest_of(data)
        self.store.path(digest).write_bytes(data)
        return self._record(path, kind, digest, len(data))

    @staticmethod
    def _record(path: str, kind: str, digest: str, size: int) -> File:
        return File(path, kind, "benchmark", "1", "all", digest, size, "")

    @property
    def blobs(self) -> list[str]:
        return [str(self.store.path(digest)) for digest in self.lock.blobs()]

    def hashed_by(self, *command: str) -> Measured:
        return self._best(" ".join(command), [*command, *self.blobs], 1)

    def verified(self, threads: int) -> Measured:
        words = [sys.executable, "-I", str(self.folder / TOOL), "verify", str(self.folder)]
        words += ["--signers", str(self.signers), f"--workers={threads}"]
        return self._best("onprem-dify.pyz verify", words, threads)

    def loaded(self) -> Measured:
        """Into a mirror on the same disk that has nothing. Once: a second load has nothing to do."""
        words = [sys.executable, "-c", MIRROR_LOAD, str(self.folder), f"{self.folder}.mirror", str(self.signers)]
        return Measured("mirror_load", 2, self.size, *measured(words, 2))

    def _best(self, name: str, command: Sequence[str], cores: int) -> Measured:
        runs = [measured(command, cores) for _ in range(RUNS)]
        seconds, cpu_seconds, _memory = min(runs)
        return Measured(name, cores, self.size, seconds, cpu_seconds, max(memory for *_rest, memory in runs))


def measured(command: Sequence[str], cores: int) -> tuple[float, float, int]:
    """Seconds, CPU seconds and peak memory of a command on so many cores, with its files in memory already."""
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".ansible/collections")},
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
    )
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[:4]} failed")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gate", action="store_true")
    asked = parser.parse_args()
    large, small = (512 * MIB, 128 * MIB) if asked.gate else (2048 * MIB, 512 * MIB)
    with tempfile.TemporaryDirectory() as place:
        bundle = Bundle(Path(place, "large"), large)
        found = [bundle.hashed_by("sha256sum"), bundle.hashed_by("openssl", "dgst", "-sha256")]
        few = Bundle(Path(place, "small"), small)
        found += [bundle.verified(1), bundle.verified(2), few.verified(2), bundle.loaded(), few.loaded()]
    for one in found:
        print(one.row, end="")
    if asked.gate:
        return gate(*found)
    write_table([one.row for one in found])
    return 0


def gate(
    sha256sum: Measured,
    _openssl: Measured,
    one: Measured,
    two: Measured,
    small: Measured,
    loaded: Measured,
    loaded_small: Measured,
) -> int:
    wrong = []
    if one.cpu_rate < LEAST_OF_SHA256SUM * sha256sum.cpu_rate:
        wrong.append(f"verify hashes {one.cpu_rate:.0f} MiB per CPU second, sha256sum {sha256sum.cpu_rate:.0f}")
    if two.rate <= one.rate:
        wrong.append(f"two threads verify {two.rate:.0f} MiB/s, one {one.rate:.0f} MiB/s")
    for large, few in ((two, small), (loaded, loaded_small)):
        if large.memory > MOST_MEMORY_GROWTH * few.memory:
            grown = f"{large.memory // MIB} MiB of memory for the large bundle, {few.memory // MIB} for the small one"
            wrong.append(f"{large.command}: {grown}")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def write_table(rows: list[str]) -> None:
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}{HEAD}{''.join(rows)}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
