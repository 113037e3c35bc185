"""What goes into a bundle."""

from __future__ import annotations

import datetime
from typing import Any

from ansible_collections.onprem.dify.plugins.module_utils.bundle_lock import Component
from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_plan, bundle_systems

DEBIAN_12, DEBIAN_13 = bundle_systems.named("Debian_12"), bundle_systems.named("Debian_13")
SHA = "a" * 64
BASE: dict[str, Any] = {
    "name": "etcd",
    "version": "3.6.14",
    "licence": "Apache-2.0",
    "end_of_life": None,
    "source": "https://github.com/etcd-io/etcd",
}
ETCD = {**BASE, "archives": {"amd64": {"url": "https://example.org/a%2Bb/etcd%2B1.tar.gz?x=1", "sha256": SHA}}}
PAUSE = {**BASE, "name": "pause", "images": [{"name": "registry.k8s.io/pause", "tag": "3", "digest": f"sha256:{SHA}"}]}
REDIS = {
    **BASE,
    "name": "redis",
    "end_of_life": datetime.date(2028, 6, 30),
    "packages": {"Debian_12": "7.0.15"},
    "package_names": {"Debian": ["redis-server"]},
}
PGVECTOR = {**BASE, "name": "pgvector", "package_names": {"Debian": ["postgresql-15-pgvector"]}}
PATRONI = {**BASE, "name": "patroni", "requirements": f"x==1 --hash=sha256:{SHA}"}


def plan(pins: dict[str, Any], architectures: Any = ("amd64",), systems: Any = (DEBIAN_12,), **more: Any) -> Any:
    return bundle_plan.plan(pins, architectures, systems, more.pop("of_roles", {}), **more)


def test_a_file_stands_under_its_component_version_and_architecture() -> None:
    (archive,) = plan({"etcd": ETCD}).archives
    assert archive.path == "files/etcd/3.6.14/amd64/etcd+1.tar.gz"
    assert archive.digest == f"sha256:{SHA}"


def test_an_architecture_that_a_pin_lacks_is_said_to_be_left_out() -> None:
    found = plan({"etcd": ETCD}, ["amd64", "arm64"])
    assert [archive.architecture for archive in found.archives] == ["amd64"]
    assert found.left_out == ("etcd 3.6.14 for arm64: its pin names no archive for it",)


def test_a_pin_that_names_nothing_is_said_to_be_left_out() -> None:
    (line,) = plan({"seaweedfs": {**BASE, "name": "seaweedfs"}}).left_out
    assert line.endswith("give them in site_pins.seaweedfs")


def test_what_lacks_a_digest_is_said_to_be_left_out_with_who_asks_for_it() -> None:
    named = {"images": ["docker.io/lab/app:v{version}"], "archives": {"arm64": "https://example.org/{version}"}}
    app = {**BASE, "name": "app", "to_resolve": named}
    (line,) = plan({"app": app}, ["amd64", "arm64"]).left_out
    assert line.startswith("app 3.6.14: nobody gave a digest for docker.io/lab/app:v3.6.14, the archive for arm64; ")
    assert "playbooks/bundle_pins.yml" in line


def test_images_are_wanted_by_digest() -> None:
    (image,) = plan({"pause": PAUSE}).images
    assert (image.reference, image.digest, image.component) == ("registry.k8s.io/pause:3", f"sha256:{SHA}", "pause")


def test_wheels_are_wanted_for_each_python_and_architecture() -> None:
    found = plan({"patroni": PATRONI}, ["amd64", "arm64"], [DEBIAN_12, DEBIAN_13]).wheels
    assert [(wish.python, wish.architecture) for wish in found] == [
        ("3.11", "amd64"),
        ("3.11", "arm64"),
        ("3.13", "amd64"),
        ("3.13", "arm64"),
    ]


def test_a_controller_may_have_a_python_that_no_host_has() -> None:
    pins = {"ansible-core": {**PATRONI, "name": "ansible-core"}, "patroni": PATRONI}
    found = plan(pins, controller_pythons=["3.12"]).wheels
    assert [(wish.component, wish.python) for wish in found] == [
        ("ansible-core", "3.11"),
        ("ansible-core", "3.12"),
        ("patroni", "3.11"),
    ]


def test_packages_are_those_of_the_roles_of_the_pins_and_of_the_site() -> None:
    of_roles = {"Debian_12": {"packages": ["chrony"], "redis": ["redis-server"]}}
    (found,) = plan({"redis": REDIS, "pgvector": PGVECTOR}, of_roles=of_roles, more=["vim"]).packages
    assert found.wanted == {"chrony", "redis-server", "vim"}
    assert found.versions == {"redis-server": "7.0.15"}
    assert found.components == {"redis-server": "redis", "postgresql-15-pgvector": "pgvector"}
    assert found.optional == {"postgresql-15-pgvector"}


def test_a_pin_that_names_no_version_for_a_system_asks_for_its_packages_if_there_are_any() -> None:
    (found,) = plan({"redis": REDIS}, systems=[DEBIAN_13]).packages
    assert (found.wanted, found.optional) == (frozenset(), {"redis-server"})


def test_components_have_what_an_auditor_asks() -> None:
    assert bundle_plan.component_of(REDIS) == Component(
        "redis", "3.6.14", "Apache-2.0", "https://github.com/etcd-io/etcd", "2028-06-30"
    )
    assert bundle_plan.component_of(ETCD).end_of_life is None
    system = bundle_plan.component_of_system(DEBIAN_12)
    assert (system.name, system.version, system.end_of_life) == ("debian-12", "12", "2028-06-30")
