"""Programs and wheels of pins from two mirrors, one of which is lost. The module runs here, with a real pip."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import bundles
from lab.runs import PROJECT
from lab.upstream import packages
from lab.upstream.files import Files

PLAY = """\
- name: Install as a role does
  hosts: localhost
  gather_facts: true
  tasks:
    - name: Install it
      onprem.dify.release:
        pin: "{{ lookup('onprem.dify.pin', component) | combine(sources) }}"
        kind: "{{ kind }}"
        directory: "{{ folder }}/opt"
        links: "{{ {folder ~ '/bin/program': program} }}"
"""


class Host:
    """This machine, with two mirrors and a folder in the place of /opt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mirrors = [Files(folder / name) for name in ("one", "two")]
        (folder / "play.yml").write_text(PLAY)

    def serve(self, path: str, data: bytes) -> dict[str, Any]:
        for mirror in self.mirrors:
            mirror.put(path, data)
        urls = [f"{mirror.address}/{path}" for mirror in self.mirrors]
        return {"archive": {"urls": urls, "sha256": hashlib.sha256(data).hexdigest()}}

    def install(self, component: str, kind: str, sources: dict[str, Any], program: str) -> Any:
        values = {"component": component, "kind": kind, "sources": sources, "program": program}
        command = ["ansible-playbook", str(self.folder / "play.yml"), "-i", "localhost,", "--connection", "local"]
        command += ["-e", json.dumps({**values, "folder": str(self.folder)})]
        done = subprocess.run(
            command, cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    found = Host(tmp_path)
    yield found
    for mirror in found.mirrors:
        mirror.off()


def packed(name: str, content: bytes) -> bytes:
    return bundles.tar_of({name: content}, mode=0o755, compressed=True)


def test_an_archive_comes_from_the_second_mirror_where_the_first_is_lost_or_has_another(host: Host) -> None:
    sources = host.serve("files/crictl/crictl.tar.gz", packed("crictl", b"#!/bin/sh\necho crictl of the bundle\n"))
    first, second = (mirror.address for mirror in host.mirrors)
    host.mirrors[0].off()
    code, output = host.install("crictl", "archive", sources, "crictl")
    assert code == 0 and "changed=1" in output, output
    assert subprocess.check_output([host.folder / "bin/program"], text=True) == "crictl of the bundle\n"
    assert "Connection refused" in output and f"It came from {second}/" in output

    host.mirrors[1].off()
    code, output = host.install("crictl", "archive", sources, "crictl")
    assert code == 0 and "changed=0" in output, "what is there needs no mirror"

    other = host.serve("files/crictl/newer.tar.gz", packed("crictl", b"#!/bin/sh\necho newer\n"))
    code, output = host.install("crictl", "archive", other, "crictl")
    assert code != 0
    assert all(f"{address}/files/crictl/newer.tar.gz: " in output for address in (first, second)), output

    for mirror in host.mirrors:
        mirror.on()
    host.mirrors[0].put("files/crictl/newer.tar.gz", b"altered")
    code, output = host.install("crictl", "archive", other, "crictl")
    assert code == 0, output
    assert f"{first}/files/crictl/newer.tar.gz: found sha256 {hashlib.sha256(b'altered').hexdigest()}" in output
    assert subprocess.check_output([host.folder / "bin/program"], text=True) == "newer\n"


@pytest.mark.parametrize("lost", [0, 1])
def test_wheels_come_from_the_mirror_that_is_left(host: Host, lost: int) -> None:
    lines = {packages.wheel(Path(mirror.folder, "wheels"), "labwheel", "1.0")[0] for mirror in host.mirrors}
    (requirements,) = lines
    links = [f"{mirror.address}/wheels/labwheel/" for mirror in host.mirrors]
    host.mirrors[lost].off()
    sources = {"version": "1.0", "requirements": f"{requirements}\n", "wheel_links": links}
    code, output = host.install("patroni", "venv", sources, "bin/python")
    assert code == 0, output
    assert (f"{links[0]}: pip: " in output) == (lost == 0), output
    asked = [host.folder / "opt/patroni/bin/python", "-c", "import labwheel; print(labwheel.__file__)"]
    assert str(host.folder / "opt/patroni/") in subprocess.check_output(asked, text=True)
