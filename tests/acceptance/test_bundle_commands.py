"""The commands of docs/bundle.md do what the page says, one after the other, with the collection installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.plugins.module_utils import bundles

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import TOOL_PATH
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_tool import tool
from lab.runs import PROJECT

PAGE = (PROJECT / "docs/bundle.md").read_text(encoding="utf-8")
BLOCKS = [text for language, text in re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", PAGE) if not language]
OLD, NEW = "2026.11.25", "2026.12.01"
# What the page calls the places of an operator.
PLACES = ("/srv/", "/media/", "/opt/")


class Operator:
    """Somebody who types what the page says, below a folder that stands for the root of the machine."""

    def __init__(self, root: Path, collections: str) -> None:
        self.root = root
        self.home = root / "home"
        for folder in (self.home / ".ssh", self.home / "inventories/mysite/group_vars/all", self.home / "locks"):
            folder.mkdir(parents=True)
        (self.home / "ansible.cfg").touch()
        shutil.copy(bundles.key("release"), self.home / ".ssh/release_ed25519")
        shutil.copy(bundles.key("release").with_suffix(".pub"), self.home / ".ssh/release_ed25519.pub")
        kind, key, _comment = bundles.public("release").split()
        signer = f"release@bank.internal {kind} {key}"
        (self.home / "signers").write_text(f"{signer}\n")
        (self.home / "inventories/mysite/hosts.yml").write_text("mirror: {hosts: {ops1: }}\n")
        (self.home / "inventories/mysite/group_vars/all/bundle.yml").write_text(f"mirror_signers: ['{signer}']\n")
        self._environment = {
            **os.environ,
            "HOME": str(self.home),
            "ANSIBLE_CONFIG": str(self.home / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": collections,
            "ANSIBLE_LOCALHOST_WARNING": "0",
        }

    def path(self, place: str) -> Path:
        return self.root / place.lstrip("/")

    def types(self, words: str) -> str:
        """The block of the page in which these words stand; what it printed."""
        (block,) = (block for block in BLOCKS if words in block)
        for place in PLACES:
            block = re.sub(rf"(?<![\w.]){place}", f"{self.path(place)}/", block)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=self.home,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory, installed_collections: str) -> Iterator[Operator]:
    found = Operator(tmp_path_factory.mktemp("machine"), installed_collections)
    content = {**bundles.CONTENT, TOOL_PATH: ("tool", "onprem-dify", tool())}
    bundles.write_bundle(found.path(f"/srv/bundle/{OLD}"), content, release=OLD)
    found.path(f"/srv/bundle/{OLD}/lock.json.sig").unlink()
    newer = {**content, "files/etcd/3.6.15/amd64/etcd.tar.gz": ("archive", "etcd", b"a patch")}
    bundles.write_bundle(found.path(f"/srv/bundle/{NEW}"), newer, release=NEW)
    yield found


def test_signing_carrying_and_verifying(operator: Operator) -> None:
    old = operator.path(f"/srv/bundle/{OLD}")
    assert "changed=1" in operator.types("onprem.dify.bundle_sign ")
    assert (old / "lock.json.sig").is_file()

    assert "changed=1" in operator.types("bundle_split")
    parts = sorted(path for path in operator.path("/srv/parts").iterdir() if re.search(r"\.\d+$", path.name))
    assert parts
    for number, stick in enumerate(("usb1", "usb2")):
        shutil.copytree(operator.path("/srv/parts"), operator.path(f"/media/{stick}"))
        if number:  # the parts are on the first
            for part in parts:
                operator.path(f"/media/{stick}/{part.name}").unlink()
    shutil.rmtree(old)
    joined = operator.types("bundle_parts=")
    assert "changed=1" in joined and "is joined already" in joined

    verified = operator.types("onprem-dify.pyz verify")
    assert verified.count(f"release {OLD}, signed by release@bank.internal") == 2, "with Ansible, and without"


def test_the_program_is_checked_with_what_the_operating_system_has(operator: Operator) -> None:
    said = operator.types("ssh-keygen -Y verify")
    assert 'Good "onprem-dify-bundle" signature for release@bank.internal' in said
    assert '"sha256:' in said


def test_a_delta_and_the_whole_bundle_from_it(operator: Operator) -> None:
    shutil.copy(operator.path(f"/srv/bundle/{OLD}/lock.json"), operator.home / f"locks/{OLD}.json")
    assert "changed=1" in operator.types("bundle_delta ")
    shutil.move(operator.path(f"/srv/bundle/{NEW}"), operator.path("/srv/made"))
    assert "changed=1" in operator.types("bundle_base_directory=")
    made = operator.path("/srv/made/lock.json").read_bytes()
    assert operator.path(f"/srv/bundle/{NEW}/lock.json").read_bytes() == made


def test_the_page_of_licences(operator: Operator) -> None:
    operator.types("bundle_licences=")
    assert "| etcd | 1.0 | Apache-2.0 |" in (operator.home / "licences.md").read_text()
