"""A machine with Python and a bundle, and nothing else, becomes a controller."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".ansible/collections")]

from unit.plugins.module_utils import bundles  # noqa: E402

from ansible_collections.onprem.dify.plugins.action.bundle_build import _place_of  # noqa: E402
from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import (  # noqa: E402
    TOOL,
    TOOL_PATH,
    Component,
    File,
    Lock,
)
from ansible_collections.onprem.dify.plugins.module_utils.bundle_parts import split  # noqa: E402
from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store  # noqa: E402
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_collections import all_needed, galaxy_build  # noqa: E402
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_tool import tool  # noqa: E402

# The Python of the operating system, as an operator has it.
PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What a controller needs, as the build puts it into a bundle."""
    folder = tmp_path_factory.mktemp("bundle") / "2026.11.25"
    content = {TOOL_PATH: ("tool", tool())}
    for wheel in wheels(tmp_path_factory.mktemp("wheels")):
        content[f"wheels/ansible-core/{wheel.name}"] = ("wheel", wheel.read_bytes())
    for packed in all_needed(ROOT, _place_of, galaxy_build):
        content[packed.path] = ("collection", packed.data)
    store, files = Store(folder), []
    for path, (kind, data) in content.items():
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        store.add(io.BytesIO(data), digest, len(data))
        files.append(File(path, kind, "controller", "1", "all", digest, len(data), ""))
    component = Component("controller", "1", "GPL-3.0-or-later", "https://example.org", None)
    (folder / TOOL).write_bytes(tool())
    bundles.write_lock(folder, Lock("2026.11.25", ("amd64",), (), (component,), tuple(files), ()))
    yield folder


def wheels(folder: Path) -> list[Path]:
    """The pinned wheels of every supported Python that this machine's pip can name."""
    pin = yaml.safe_load((ROOT / "bundle/ansible-core.yml").read_text(encoding="utf-8"))
    (folder / "requirements.txt").write_text(pin["requirements"], encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    command += ["--only-binary=:all:", "--dest", str(folder), "--requirement", str(folder / "requirements.txt")]
    subprocess.run(command, check=True)
    # The one that newer Pythons get travels with it: the installation has to choose.
    newer = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--python-version=3.12"]
    newer += ["--only-binary=:all:", "--dest", str(folder), f"ansible-core=={pin['version']}"]
    subprocess.run(newer, check=True)
    return sorted(folder.glob("*.whl"))


@pytest.fixture
def signers(tmp_path: Path) -> Path:
    file = tmp_path / "signers"
    file.write_text(f"release@bank {bundles.public('release')}\n", encoding="utf-8")
    return file


def offline(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a command as an operator whose machine has no network."""
    command = ["unshare", "--net", *map(str, words)]
    with tempfile.TemporaryDirectory() as home:
        environment = {"PATH": "/usr/bin:/bin", "HOME": home, "LC_ALL": "C.UTF-8"}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd="/")


def tool_of(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return offline(PYTHON, "-I", folder / TOOL, *words)


def test_from_the_parts_to_a_controller_with_python_alone(bundle: Path, signers: Path, tmp_path: Path) -> None:
    split(bundle, tmp_path / "media", 10_000_000)
    joined = tool_of(tmp_path / "media", "join", tmp_path / "media", tmp_path / "bundle")
    assert joined.returncode == 0, joined.stderr
    verified = tool_of(tmp_path / "media", "verify", tmp_path / "bundle", "--signers", signers)
    assert "release 2026.11.25, signed by release@bank. All " in verified.stdout, verified.stderr

    target = tmp_path / "controller"
    installed = tool_of(tmp_path / "bundle", "install", tmp_path / "bundle", target, "--signers", signers)
    assert installed.returncode == 0, installed.stderr
    assert f". {target}/current/env" in installed.stdout

    inventory = target / "current/collections/ansible_collections/onprem/dify/inventories/prod"
    play = f". {target}/current/env && ansible-playbook onprem.dify.preflight -i {inventory} --list-tasks"
    listed = offline("sh", "-c", play)
    assert listed.returncode == 0, listed.stderr
    assert "Check the inventory" in listed.stdout
    version = offline("sh", "-c", f". {target}/current/env && ansible --version").stdout
    assert f"{target}/2026.11.25/venv" in version

    again = tool_of(tmp_path / "bundle", "install", tmp_path / "bundle", target, "--signers", signers)
    assert "is installed already" in again.stdout


def test_nothing_of_a_bundle_that_was_altered_is_installed(bundle: Path, signers: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    wheel = next(path for path in Store(tmp_path / "bundle").folder.iterdir() if path.stat().st_size > 100_000)
    content = bytearray(wheel.read_bytes())
    content[1000] ^= 1
    wheel.write_bytes(content)
    refused = tool_of(tmp_path / "bundle", "install", tmp_path / "bundle", tmp_path / "to", "--signers", signers)
    assert refused.returncode == 1
    assert "was altered" in refused.stderr
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("day", ["2001-01-01", "2049-12-31"])
def test_a_wrong_clock_changes_neither_a_signature_nor_its_verification(
    bundle: Path, signers: Path, tmp_path: Path, day: str
) -> None:
    clock = ("faketime", day)
    assert offline(*clock, "date", "+%F").stdout.strip() == day
    (tmp_path / "lock.json").write_bytes((bundle / "lock.json").read_bytes())
    words = (
        "ssh-keygen",
        "-Y",
        "sign",
        "-f",
        bundles.key("release"),
        "-n",
        "onprem-dify-bundle",
        tmp_path / "lock.json",
    )
    assert offline(*clock, *words).returncode == 0
    assert (tmp_path / "lock.json.sig").read_bytes() == (bundle / "lock.json.sig").read_bytes()

    verify = (*clock, PYTHON, "-I", bundle / TOOL, "verify", bundle, "--signers", signers)
    verified = offline(*verify)
    assert "release 2026.11.25, signed by release@bank. All " in verified.stdout, verified.stderr
    refused = offline(*verify, "--newer-than", "2026.12.01")
    assert "release 2026.11.25 is older than 2026.12.01, which the site has" in refused.stderr


def test_an_installation_that_was_broken_off_is_made_anew(bundle: Path, signers: Path, tmp_path: Path) -> None:
    target = tmp_path / "controller"
    (target / "2026.11.25/venv/bin").mkdir(parents=True)
    (target / "2026.11.25/venv/bin/python").touch()
    installed = tool_of(bundle, "install", bundle, target, "--signers", signers)
    assert installed.returncode == 0, installed.stderr
    assert str((target / "current").readlink()) == "2026.11.25"
