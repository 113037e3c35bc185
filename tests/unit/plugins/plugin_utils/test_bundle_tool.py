"""onprem-dify.pyz: the same bytes each time, and a bare Python runs it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from unit.plugins.module_utils.bundles import CONTENT, ETCD, blob, public, write_bundle
from unit.plugins.module_utils.bundles import signers as key_holders

from ansible_collections.onprem.dify.plugins.module_utils.bundle_parts import split
from ansible_collections.onprem.dify.plugins.module_utils.bundle_verify import verify
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_command
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_tool import MODULES, PACKAGE, PLUGINS, tool


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "2026.11.25")
    return tmp_path / "2026.11.25"


@pytest.fixture
def signers(tmp_path: Path) -> str:
    (tmp_path / "signers").write_text(f"release@bank {public('release')}\n")
    return str(tmp_path / "signers")


def imported(module: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse((PLUGINS / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_it_holds_all_that_it_needs_besides_python(module: str) -> None:
    inside = {f"{PACKAGE}/{name}".removesuffix(".py").replace("/", ".") for name in MODULES}
    for name in imported(module):
        assert name in inside or name.split(".")[0] in sys.stdlib_module_names, name


def test_it_is_the_same_each_time() -> None:
    assert tool() == tool()


def test_python_runs_it_without_anything_installed(tmp_path: Path, bundle: Path, signers: str) -> None:
    (tmp_path / "onprem-dify.pyz").write_bytes(tool())
    command = [sys.executable, "-I", "-S", str(tmp_path / "onprem-dify.pyz"), "verify", str(bundle), "-s", signers]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    assert "release 2026.11.25, signed by release@bank. All 7 files and 2 images are right" in done.stdout
    blob(bundle, ETCD).unlink()
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"{bundle} is refused:"
    assert f"  {ETCD}: is not there" in done.stderr


def test_it_refuses_an_older_release(bundle: Path, signers: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bundle_command.main(["verify", str(bundle), "--signers", signers, "--newer-than", "2026.12.01"]) == 1
    assert "is older than 2026.12.01" in capsys.readouterr().err


def test_it_joins_parts(tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split(bundle, tmp_path / "parts", 50_000)
    words = ["join", str(tmp_path / "parts"), str(tmp_path / "joined")]
    assert bundle_command.main(words) == 0
    assert "Verify it next." in capsys.readouterr().out
    assert bundle_command.main(words) == 0
    assert "is joined already" in capsys.readouterr().out
    (tmp_path / "parts" / "2026.11.25.001").unlink()
    assert bundle_command.main([*words[:2], str(tmp_path / "another")]) == 1
    assert "2026.11.25.001: is missing" in capsys.readouterr().err


def test_a_join_that_is_killed_again_and_again_ends_with_the_same_bundle(tmp_path: Path) -> None:
    """SIGKILL, at any moment. The folder has its name only when it is complete."""
    large = {**CONTENT, "files/large": ("archive", "etcd", os.urandom(40 << 20))}
    write_bundle(tmp_path / "bundle", large)
    split(tmp_path / "bundle", tmp_path / "parts", 4_000_000)
    (tmp_path / "onprem-dify.pyz").write_bytes(tool())
    command = [sys.executable, "-I", str(tmp_path / "onprem-dify.pyz"), "join"]
    command += [str(tmp_path / "parts"), str(tmp_path / "joined")]
    killed = 0
    for number in range(10):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            process.wait(timeout=0.12 + 0.01 * number)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += not (tmp_path / "joined").exists()
    assert killed
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert verify(tmp_path / "joined", key_holders()).good


def test_a_bundle_without_a_controller_is_not_installed(
    tmp_path: Path, bundle: Path, signers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bundle_command.main(["install", str(bundle), str(tmp_path / "to"), "--signers", signers]) == 1
    assert "holds no controller" in capsys.readouterr().err
    assert not (tmp_path / "to").exists()


def test_a_file_of_signers_that_is_not_there_is_named(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bundle_command.main(["verify", str(bundle), "--signers", "/nowhere/signers"]) == 1
    assert capsys.readouterr().err == "/nowhere/signers: No such file or directory\n"
