"""Lists of Python packages, for the Pythons of the site."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ansible_collections.onprem.dify.plugins.module_utils.bundle_store import Store
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_wheels
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_fetch import FetchError, Kept
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_progress import Meter
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_sources import Sources
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_wheels import Wheel, Wheels, Wish

A, B = f"--hash=sha256:{'a' * 64}", f"--hash=sha256:{'b' * 64}"
LIST = f"""\
# What a controller needs
ansible-core==2.19.14 ; python_version < "3.12" \\
    {A}
ansible-core==2.21.5 ; python_version >= "3.12" {B}
patroni[etcd3]==4.1.5 {A} {B}
"""


def wish(python: str = "3.11", architecture: str = "amd64", requirements: str = LIST) -> Wish:
    return Wish("controller", "1", requirements, python, architecture)


def test_conditions_are_judged_by_the_python_of_the_site_and_not_by_this_one() -> None:
    assert bundle_wheels.for_target(wish("3.11")) == f"ansible-core==2.19.14 {A}\npatroni[etcd3]==4.1.5 {A} {B}\n"
    assert bundle_wheels.for_target(wish("3.13")) == f"ansible-core==2.21.5 {B}\npatroni[etcd3]==4.1.5 {A} {B}\n"


def test_conditions_on_the_machine_hold_too() -> None:
    only = f'x==1 ; platform_machine == "aarch64" {A}\n'
    assert bundle_wheels.for_target(wish(requirements=only)) == ""
    assert bundle_wheels.for_target(wish(architecture="arm64", requirements=only)) == f"x==1 {A}\n"


def test_a_line_that_is_none_is_refused() -> None:
    with pytest.raises(FetchError, match=r"wheels of controller 1 for Python 3\.11 on amd64: .* is no requirement"):
        bundle_wheels.for_target(wish(requirements=f"not a project {A}\n"))


def test_pip_is_told_the_python_and_the_machine() -> None:
    options = bundle_wheels.options(wish("3.13", "arm64"))
    assert "--python-version=3.13" in options
    assert "--abi=cp313" in options
    assert "--platform=manylinux_2_28_aarch64" in options
    assert not [option for option in options if "x86_64" in option]


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("jinja2-3.1.6-py3-none-any.whl", "all"),
        ("cffi-2.1.1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", "amd64"),
        ("cryptography-50.0.2-cp311-abi3-manylinux_2_34_aarch64.whl", "arm64"),
    ],
)
def test_a_wheel_says_for_what_it_is(name: str, architecture: str) -> None:
    assert Wheel(name, "", 0).architecture == architecture


def test_the_source_of_a_wheel_is_its_page() -> None:
    found = Wheel("ansible_core-2.19.14-py3-none-any.whl", "", 0)
    assert (found.version, found.upstream) == ("2.19.14", "https://pypi.org/project/ansible-core/2.19.14/")


def test_pip_is_not_asked_for_what_it_brought_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(Store(tmp_path / "bundle"))
    wheels = Wheels(kept, Sources(), Meter(), tmp_path / "work", "", ())
    asked = []

    def pip(one: Wish, *words: str) -> None:
        asked.append(one.python)
        place = Path(words[words.index("--dest") + 1])
        (place / "x-1-py3-none-any.whl").write_bytes(b"wheel")

    monkeypatch.setattr(wheels, "_pip", pip)
    (first,) = wheels.fetch(wish())
    assert first.digest == f"sha256:{hashlib.sha256(b'wheel').hexdigest()}"
    assert wheels.fetch(wish()) == [first]
    assert asked == ["3.11"]
    # Neither is another list, nor one whose wheel is gone, what was brought before.
    wheels.fetch(wish(requirements=f"y==1 {A}\n"))
    kept.store.path(first.digest).unlink()
    fresh = Wheels(Kept(kept.store), Sources(), Meter(), tmp_path / "work", "", ())
    monkeypatch.setattr(fresh, "_pip", pip)
    fresh.fetch(wish(requirements=f"y==1 {A}\n"))
    assert asked == ["3.11"] * 3
    assert json.loads((tmp_path / "work/controller-3.11-amd64/wheels.json").read_text())["wheels"]


def test_pip_complains_in_one_line() -> None:
    errors = """ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.
    x==1 from https://example.org/x.whl:
        Expected sha256 aa
             Got        bb
"""
    assert bundle_wheels.complaint(errors).endswith("x==1 from https://example.org/x.whl: Expected sha256 aa Got bb")
    assert bundle_wheels.complaint("") == "pip failed silently"


def test_pip_options_of_the_person_who_builds_do_not_change_what_is_fetched() -> None:
    kept = bundle_wheels._environment({"PIP_INDEX_URL": "https://nexus", "PIP_NO_BINARY": ":all:", "HOME": "/root"})
    assert kept == {"PIP_INDEX_URL": "https://nexus", "HOME": "/root"}
