"""The bill of materials says what the lock says, in the same bytes each time."""

from __future__ import annotations

import dataclasses
import json

import pytest
from unit.plugins.module_utils.bundles import CONTENT, ETCD, IMAGES, PAUSE, digest_of, lock_of

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import Component, Lock
from ansible_collections.onprem.dify.plugins.module_utils.bundle_sbom import licence_table, sbom

LOCK = lock_of()


def component(licence: str, end_of_life: str | None = None) -> dict[str, object]:
    only = Component("etcd", "3.6.14", licence, "https://example.org/etcd", end_of_life)
    lock = Lock("2026.11.25", ("amd64",), (), (only,), (), ())
    (found,) = json.loads(sbom(lock))["components"]
    return dict(found)


def test_every_artefact_is_in_it_below_its_component() -> None:
    content = json.loads(sbom(LOCK))
    assert (content["bomFormat"], content["specVersion"]) == ("CycloneDX", "1.6")
    parts = {part["bom-ref"] for entry in content["components"] for part in entry.get("components", [])}
    assert parts == {f"file:{path}" for path in CONTENT} | {f"image:{reference}" for reference in IMAGES}
    etcd = next(entry for entry in content["components"] if entry["name"] == "etcd")
    archive = next(part for part in etcd["components"] if part["name"] == ETCD)
    assert archive["hashes"] == [{"alg": "SHA-256", "content": digest_of(CONTENT[ETCD][2]).removeprefix("sha256:")}]
    pause = next(entry for entry in content["components"] if entry["name"] == "pause")
    assert pause["components"][0]["purl"].endswith("?repository_url=registry.k8s.io/pause&tag=3.10.2")
    assert f"image:{PAUSE}" in {part["bom-ref"] for part in pause["components"]}


def test_references_are_unique() -> None:
    content = json.loads(sbom(LOCK))
    names = [entry["bom-ref"] for entry in content["components"]]
    names += [part["bom-ref"] for entry in content["components"] for part in entry.get("components", [])]
    assert len(set(names)) == len(names)


def test_it_is_the_same_each_time_and_another_for_another_lock() -> None:
    assert sbom(LOCK) == sbom(Lock.parse(LOCK.dump()))
    assert sbom(LOCK) != sbom(dataclasses.replace(LOCK, release="2026.11.26"))


def test_its_form_belongs_to_the_format_of_the_lock() -> None:
    """`verify` derives it again. Who changes its form has to raise the format, or bundles at sites become refused."""
    assert digest_of(sbom(LOCK)) == "sha256:1fca743418b676f04b9d274a15c282b02ab747baf30461c93acd2c7bf6913617"


@pytest.mark.parametrize(
    ("licence", "wanted"),
    [
        ("Apache-2.0", {"expression": "Apache-2.0"}),
        ("GPL-2.0+", {"expression": "GPL-2.0+"}),
        ("MIT OR Apache-2.0", {"expression": "MIT OR Apache-2.0"}),
        ("GPL-2.0-only WITH Classpath-exception-2.0", {"expression": "GPL-2.0-only WITH Classpath-exception-2.0"}),
        ("Apache-2.0 with conditions of Dify", {"license": {"name": "Apache-2.0 with conditions of Dify"}}),
        ("(MIT OR BSD-3-Clause) AND LicenseRef-Dify", {"expression": "(MIT OR BSD-3-Clause) AND LicenseRef-Dify"}),
        ("of each package, in its copyright", {"license": {"name": "of each package, in its copyright"}}),
    ],
)
def test_a_licence_is_an_expression_or_a_name(licence: str, wanted: dict[str, object]) -> None:
    assert component(licence)["licenses"] == [wanted]


def test_the_end_of_life_is_in_it() -> None:
    assert component("MIT", "2027-11-11")["properties"] == [{"name": "onprem-dify:end-of-life", "value": "2027-11-11"}]
    assert "properties" not in component("MIT")


def test_the_page_of_licences_has_a_row_for_each_component() -> None:
    lines = licence_table(LOCK).splitlines()
    assert lines[0] == "# What is in the bundle 2026.11.25, and under which licence"
    assert len(lines) == 4 + len(LOCK.components)
    assert "| etcd | 1.0 | Apache-2.0 | not known | https://example.org/etcd |" in lines
