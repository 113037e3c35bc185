"""Where Debian comes from: the machine's own apt configuration, never a name written into the project."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError

APT = Path("/etc/apt")
RELEASES = ("bookworm", "trixie", "forky", "stable", "oldstable")
ONE_LINE = re.compile(r"deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>.*)")


@dataclass(frozen=True)
class Mirror:
    """The machine's mirror of the Debian archive and of its security updates."""

    archive: str
    security: str | None

    def entries(self, suite: str) -> list[str]:
        """Lines of a sources.list for a suite."""
        lines = [f"deb {self.archive} {suite} main", f"deb {self.archive} {suite}-updates main"]
        if self.security:
            lines.append(f"deb {self.security} {suite}-security main")
        return lines


@dataclass(frozen=True)
class Entry:
    uri: str
    suite: str


def parse_deb822(text: str) -> list[Entry]:
    """Enabled binary entries of a .sources file."""
    entries = []
    for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
        fields = {
            name.lower(): value.split()
            for name, value in re.findall(r"(?m)^([A-Za-z-]+):[ \t]*((?:.*\n?)(?:[ \t]+.*\n?)*)", stanza + "\n")
        }
        if "deb" in fields.get("types", []) and fields.get("enabled") != ["no"]:
            entries += [Entry(uri, suite) for uri in fields.get("uris", []) for suite in fields.get("suites", [])]
    return entries


def parse_list(text: str) -> list[Entry]:
    """Binary entries of a one-line-style file."""
    matches = (ONE_LINE.match(line.strip()) for line in text.splitlines())
    return [Entry(match["uri"], match["suite"]) for match in matches if match]


def choose(entries: list[Entry]) -> Mirror:
    """The Debian archive among all that the machine uses: the entry whose suite is a Debian release."""
    archive = next((entry.uri for entry in entries if entry.suite in RELEASES), None)
    updates = {f"{release}-security" for release in RELEASES}
    security = next((entry.uri for entry in entries if entry.suite in updates), None)
    if archive is None:
        raise LabError(f"no Debian mirror in {APT}/sources.list or {APT}/sources.list.d: add one")
    for uri in (archive, security or archive):
        if not uri.startswith(("http://", "https://")):
            raise LabError(f"{uri}: the lab needs a Debian mirror that is reached over http or https")
    return Mirror(archive.rstrip("/"), security.rstrip("/") if security else None)


def of_this_machine(apt: Path = APT) -> Mirror:
    entries: list[Entry] = []
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if file.suffix == ".list" and file.is_file():
            entries += parse_list(file.read_text())
        elif file.suffix == ".sources":
            entries += parse_deb822(file.read_text())
    return choose(entries)
