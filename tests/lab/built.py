"""The bundle of the scenario `mirror`, as the collection builds it. `python -m lab.built INVENTORY`

Packages come from Debian and wheels from the index of Python, as this machine reaches them; archives and images from an
upstream of the lab, under the names that the pins name. It is gone before this ends, and the lab's package cache too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import bundles, cgroups, debian, lifecycle, packages, site_files, topology
from .artifacts import catalogue
from .bundles import home, key, signer
from .errors import LabError
from .upstream import pinned
from .upstream.registry import noise

RELEASE, SUITE = "2026.11.25", "bookworm"
# What the tests install.
MORE = ("cowsay", "curl", "hello", "openssl", "python3-pip", "skopeo")
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


def build(folder: Path, serve: Callable[[pinned.Upstream], None], **more: Any) -> dict[str, Any]:
    """Build and sign; what a site must know of it, with the addresses from which it came."""
    with tempfile.TemporaryDirectory() as place:
        upstream = pinned.Upstream(Path(place))
        try:
            serve(upstream)
            authorities = Path(place, "authorities.crt")
            authorities.write_bytes(Path(AUTHORITIES).read_bytes() + upstream.registry.ca_file.read_bytes())
            pins = _pins(upstream.pins)
            variables = {
                "bundle_directory": str(folder),
                "bundle_release": RELEASE,
                "bundle_packages": list(MORE),
                "bundle_sources": upstream.rules,
                "bundle_ca_file": str(authorities),
                "bundle_signing_key": str(key("release")),
                "bundle_repository_key": str(home() / "packages-key"),
                "site_pins": pins,
                **more,
            }
            seconds = _run(Path(place, "build.json"), variables)
        finally:
            upstream.close()
    return {
        "mirror_bundle": str(folder),
        "mirror_signers": [signer("release")],
        "site_pins": pins,
        "upstream": [rule["to"].removeprefix("http://").partition("/")[0] for rule in upstream.rules],
        "seconds": round(seconds, 1),
    }


def _content(url: str, registry: Path) -> bytes:
    """The registry of the second mirror is a real one, and etcd runs."""
    name = url.rpartition("/")[2]
    if name == registry.name:
        return registry.read_bytes()
    return bundles.etcd(name) if name.startswith("etcd-") else noise(pinned.MEBIBYTE, url)


def _pins(contents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """With the versions of packages that Debian has today."""
    versions, _ = site_files.of_debian(SUITE, pinned.ARCHITECTURE, topology.cache_root())
    return {name: {**versions.get(name, {}), **contents.get(name, {})} for name in sorted({*versions, *contents})}


def _run(file: Path, variables: dict[str, Any]) -> float:
    file.write_text(json.dumps(variables), encoding="utf-8")
    started = time.monotonic()
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "0", "ANSIBLE_CONFIG": str(topology.ROOT / "ansible.cfg")}
    command = ["ansible-playbook", "playbooks/bundle.yml", "-i", "localhost,", "-e", f"@{file}"]
    done = subprocess.run(command, cwd=topology.ROOT, env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise LabError("the bundle was not built")
    return time.monotonic() - started


def main() -> None:
    lab = topology.read(sys.argv[1])
    members = cgroups.members_of(lab.name)
    with lifecycle.locked(lab):
        registry = catalogue.archive(lab, members, "distribution")
    found = build(
        home() / "scenario",
        lambda upstream: upstream.serve(debian.bundle(), lambda url: _content(url, registry)),
    )
    site_files.write(home() / "scenario.json", found)
    packages.down(members)


if __name__ == "__main__":
    main()
