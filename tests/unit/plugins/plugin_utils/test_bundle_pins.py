"""Digests that no maker published are taken on first use, shown, and never replaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.onprem.dify.plugins.module_utils.pins import of_site
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_pins
from ansible_collections.onprem.dify.plugins.plugin_utils.bundle_pins import PinsError, resolve

ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
BASE: dict[str, Any] = {"version": "1.0", "licence": "MIT", "end_of_life": None, "source": "https://example.org/"}
ARCHIVES = {
    "amd64": "https://example.org/{version}/amd64.tar.gz",
    "arm64": "https://example.org/{version}/arm64.tar.gz",
}
BUNDLE: dict[str, dict[str, Any]] = {
    "app": {**BASE, "name": "app", "to_resolve": {"images": ["docker.io/lab/app:v{version}"]}},
    "store": {**BASE, "name": "store", "to_resolve": {"archives": ARCHIVES}},
    "known": {**BASE, "name": "known", "images": [{"name": "docker.io/lab/known", "tag": "1.0", "digest": ONE}]},
}
APP = {"name": "docker.io/lab/app", "tag": "v1.0", "digest": ONE}


class Answers:
    """Answers of upstream, and what was asked."""

    def __init__(self, digest: str = ONE, architectures: Sequence[str] = ("amd64", "arm64")) -> None:
        self.digest = digest
        self.architectures = architectures
        self.asked: list[str] = []

    def image(self, name: str, tag: str) -> tuple[str, Sequence[str]]:
        self.asked.append(f"{name}:{tag}")
        return self.digest, self.architectures

    def archive(self, name: str, url: str) -> str:
        self.asked.append(url)
        return self.digest


def ask(answers: Answers, site: dict[str, Any] | None = None, said: list[str] | None = None) -> dict[str, Any]:
    lines = said if said is not None else []
    return resolve(of_site(BUNDLE, site or {}), site or {}, ["amd64"], answers, lines.append)


def test_what_lacks_a_digest_gets_that_of_upstream_and_it_is_said() -> None:
    answers, said = Answers(), list[str]()
    assert ask(answers, said=said) == {
        "app": {"version": "1.0", "images": [APP]},
        "store": {
            "version": "1.0",
            "archives": {"amd64": {"url": "https://example.org/1.0/amd64.tar.gz", "sha256": "1" * 64}},
        },
    }
    assert answers.asked == ["docker.io/lab/app:v1.0", "https://example.org/1.0/amd64.tar.gz"]
    assert said[0] == f"app: docker.io/lab/app:v1.0 is {ONE}"


def test_what_was_written_is_a_good_site_pins_that_lacks_nothing() -> None:
    found = ask(Answers())
    assert bundle_pins.read(bundle_pins.write(found)) == found
    answers = Answers()
    assert ask(answers, found) == found
    assert answers.asked == ["docker.io/lab/app:v1.0"], "an archive that has a digest is not fetched again"


def test_another_digest_than_the_pinned_one_is_an_error_that_names_both() -> None:
    with pytest.raises(PinsError) as error:
        ask(Answers(TWO), {"app": {"images": [APP]}})
    assert str(error.value).startswith(
        f"app: docker.io/lab/app:v1.0 is pinned to {ONE}, and upstream has {TWO} now\nNothing was written."
    )


def test_another_version_of_the_site_is_asked_for_by_that_version() -> None:
    answers = Answers()
    found = ask(answers, {"app": {"version": "2.0", "licence": "BSD"}})
    assert answers.asked[0] == "docker.io/lab/app:v2.0"
    assert found["app"] == {"version": "2.0", "licence": "BSD", "images": [{**APP, "tag": "v2.0"}]}


def test_what_the_site_says_besides_stays() -> None:
    other = {"name": "docker.io/lab/other", "tag": "1", "digest": TWO}
    assert ask(Answers(), {"app": {"images": [other]}})["app"]["images"] == [other, APP]


def test_an_image_that_lacks_an_architecture_is_an_error() -> None:
    with pytest.raises(PinsError, match=r"app: docker\.io/lab/app:v1\.0: there is none for amd64"):
        ask(Answers(architectures=["arm64"]))


def test_a_file_of_somebody_else_is_not_read() -> None:
    with pytest.raises(PinsError, match="was not written by bundle_pins"):
        bundle_pins.read("site_pins: {}\n")


def test_the_file_says_that_nobody_has_verified_it() -> None:
    assert "NOT VERIFIED" in bundle_pins.write({})


def test_the_delivered_pins_name_what_they_lack() -> None:
    root = Path(__file__).resolve().parents[4]
    delivered = {path.stem: yaml.safe_load(path.read_text()) for path in root.glob("bundle/*.yml")}
    answers = Answers()
    found = resolve(delivered, {}, ["amd64", "arm64"], answers, lambda line: None)
    assert {"kubernetes", "dify", "seaweedfs"} <= set(found)
    assert "docker.io/langgenius/dify-api:1.17.1" in answers.asked
    assert of_site(delivered, found)["seaweedfs"]["archives"].keys() == {"amd64", "arm64"}
