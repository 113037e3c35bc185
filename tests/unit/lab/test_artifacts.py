"""Artifacts are built once, found again, and the same whoever builds them."""

import re
import tarfile
from dataclasses import replace

import pytest

from lab import debian, topology
from lab.artifacts import catalogue, golang, pgvector, programs, store, wheels
from lab.errors import LabError
from lab.progress import Progress


def lab(tmp_path, groups=("database",), artifacts=("etcd", "seaweedfs"), suite="bookworm"):
    host = topology.Host("db1", "10.77.3.11", tuple(groups), {"lab_artifacts": list(artifacts)})
    state = tmp_path / "run" / "lab"
    state.mkdir(parents=True, exist_ok=True)
    return topology.Lab("lab", "10.77.0.0/16", "ol-lab", "10.77.0.1", 16, state, tmp_path, suite, (host,))


class NoMembers:
    def kill(self, member):
        pass


def artifact(build):
    return store.Artifact("etcd", "1.0", ("database",), "recipe", build, lambda folder, url: {}, archive="etcd.tar.gz")


def ensure(site, one):
    return store.ensure(site, NoMembers(), one, Progress())


def test_an_artifact_is_built_once(tmp_path):
    built = []

    def build(workshop):
        built.append(workshop.folder)
        (workshop.folder / "etcd.tar.gz").write_text("packed")

    site = lab(tmp_path)
    first = ensure(site, artifact(build))
    assert (first / "etcd.tar.gz").read_text() == "packed"
    assert ensure(site, artifact(build)) == first
    assert len(built) == 1
    assert list(first.parent.iterdir()) == [first]


def test_another_recipe_is_another_artifact(tmp_path):
    site, one = lab(tmp_path), artifact(lambda workshop: None)
    assert ensure(site, replace(one, ingredients="other")) != ensure(site, one)


def test_what_a_broken_build_left_is_taken_away(tmp_path):
    def fail(workshop):
        (workshop.folder / "half").touch()
        raise LabError("out of flour")

    site = lab(tmp_path)
    with pytest.raises(LabError, match="out of flour"):
        ensure(site, artifact(fail))
    assert len(store.all_unfinished(site)) == 2
    store.forget(store.all_unfinished(site))
    assert list((tmp_path / "artifacts/etcd").iterdir()) == []
    assert ensure(site, artifact(lambda workshop: None)).is_dir()


@pytest.mark.parametrize("name", ["etcd/etcd.tar.gz", "etcd.tar.gz"])
def test_ready_artifacts_are_served_without_a_build(tmp_path, monkeypatch, name):
    ready = tmp_path / "ready" / name
    ready.parent.mkdir(parents=True)
    ready.write_text("bought")
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "ready"))
    source = ensure(lab(tmp_path), artifact(None))
    store.serve(source, tmp_path / "served" / "etcd")
    assert (tmp_path / "served/etcd/etcd.tar.gz").read_text() == "bought"


def test_an_archive_is_the_same_whenever_it_is_packed(tmp_path):
    def packed(name, program):
        path = tmp_path / program
        path.write_text("program")
        golang.pack(tmp_path / name, {"etcd-v1/etcd": path, "etcd-v1/a": path})
        return tmp_path / name

    first, second = packed("1.tar.gz", "etcd"), packed("2.tar.gz", "server")
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        members = [(one.name, one.mode, one.uid, one.mtime) for one in tar.getmembers()]
    assert members == [("etcd-v1/a", 0o755, 0, 0), ("etcd-v1/etcd", 0o755, 0, 0)]


def test_the_pin_of_an_archive_has_its_address_and_checksum(tmp_path):
    (tmp_path / "etcd.tar.gz").write_text("")
    release = golang.Release("etcd", {}, archive="etcd.tar.gz", known_version="3.6.14")
    pin = golang.pin(release, tmp_path, "http://10.77.0.1:3142/lab/etcd")
    assert pin["version"] == "3.6.14"
    assert pin["archives"][golang.ARCHITECTURE] == {
        "url": "http://10.77.0.1:3142/lab/etcd/etcd.tar.gz",
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }


@pytest.mark.parametrize("groups, chosen", [(["database"], ["etcd"]), (["objects"], ["seaweedfs"]), (["witness"], [])])
def test_a_lab_has_what_its_groups_have_use_for(tmp_path, groups, chosen):
    assert [one.component for one in catalogue.chosen(lab(tmp_path, groups))] == chosen


def test_a_lab_has_only_what_its_inventory_asks_for(tmp_path):
    assert catalogue.chosen(lab(tmp_path, artifacts=[])) == []
    with pytest.raises(LabError, match="lab_artifacts: etcdd unknown"):
        catalogue.chosen(lab(tmp_path, artifacts=["etcdd"]))


def test_a_suite_without_postgresql_15_has_no_pgvector_of_it():
    assert "pgvector" in catalogue.of_suite("bookworm")
    assert "pgvector" not in catalogue.of_suite("trixie")


@pytest.mark.parametrize("found", ["", "go1.19.8"])
def test_a_machine_that_cannot_build_is_told_what_it_lacks(tmp_path, monkeypatch, found):
    monkeypatch.delenv(store.VARIABLE, raising=False)
    monkeypatch.setattr(golang, "programs", lambda: ["go"] if found else [])
    monkeypatch.setattr(golang, "version", lambda _program: found)
    with pytest.raises(LabError, match=r"missing: go [\d.]+ or newer .*, to build etcd; or give them ready in LAB_"):
        catalogue.check(lab(tmp_path))
    catalogue.check(lab(tmp_path, ["witness"]))


def test_a_newer_go_beside_an_old_one_will_do(monkeypatch):
    monkeypatch.setattr(golang, "programs", lambda: ["/usr/bin/go", "/venv/go"])
    monkeypatch.setattr(golang, "version", {"/usr/bin/go": "go1.19.8", "/venv/go": "go1.99.1"}.get)
    assert golang.good_enough() == "/venv/go"
    assert golang.missing() is None


def test_the_lab_builds_the_versions_of_the_bundle():
    bundle = debian.bundle()
    built = {"patroni": wheels.wanted()["patroni"], "pgvector": pgvector.VERSION}
    built |= {release.component: release.version for release in programs.RELEASES if release.component in bundle}
    # Its module has no tags: the lab takes what the proxy of Go has.
    del built["seaweedfs"]
    assert built == {name: bundle[name]["version"] for name in built}


def test_programs_that_are_no_archive_lie_by_themselves(tmp_path, monkeypatch):
    program = tmp_path / "cmd"
    program.write_text("program")
    monkeypatch.setattr(golang, "compile_programs", lambda _workshop, _release: {"runc.amd64": program})
    workshop = store.Workshop(lab(tmp_path), NoMembers(), artifact(None), tmp_path / "made")
    workshop.folder.mkdir()
    golang.build(workshop, golang.Release("runc", {}, known_version="1.4.3"))
    assert [path.name for path in workshop.folder.iterdir()] == ["runc.amd64"]


def test_the_version_of_a_release_is_that_of_the_innermost_module_with_its_programs():
    assert golang.version_of("etcd", "go.etcd.io/etcd/server/v3") == "3.6.14"
    assert golang.version_of("containerd", "github.com/containerd/containerd/v2/cmd/ctr") == "2.3.4"
    with pytest.raises(AssertionError, match="no module with example"):
        golang.version_of("etcd", "example.com/etcd")


def test_every_wheel_is_locked_by_its_hash(tmp_path):
    for name in ("psycopg2_binary-2.9.13-cp311-cp311-manylinux2014_x86_64.whl", "PyYAML-6.0.4-cp311-cp311-linux.whl"):
        (tmp_path / name).write_text("")
    assert re.sub(r"[0-9a-f]{64}", "HASH", wheels.lock(tmp_path)) == (
        "psycopg2-binary==2.9.13 --hash=sha256:HASH\nPyYAML==6.0.4 --hash=sha256:HASH\n"
    )


def test_the_list_of_wheels_pins_every_project():
    lines = [line for line in wheels.LIST.read_text().splitlines() if not line.startswith("#")]
    assert len(wheels.wanted()) == len(lines)
    assert set(wheels.source_only()) < set(wheels.wanted())


def test_every_file_of_a_recipe_is_in_its_key():
    for release in programs.RELEASES:
        sums = [path.read_text() for path in (golang.MODULES / release.component).rglob("go.sum")]
        assert sums and all(text in golang.ingredients(release) for text in sums)


def test_what_builds_downloaded_goes_when_all_programs_are_there(tmp_path, monkeypatch):
    monkeypatch.delenv(store.VARIABLE, raising=False)
    site, one = lab(tmp_path), artifact(lambda workshop: None)
    modules = store.root(tmp_path) / "go/modules"
    modules.mkdir(parents=True)
    for wanted in ([], [one]):  # a lab that has nothing to do with Go, and one that is not done yet
        golang.tidy(site, wanted, Progress())
        assert modules.is_dir()
    (modules.parent / f"{golang.GONE}build").mkdir()  # of a lab that was killed at it
    ensure(site, one)
    golang.tidy(site, [one], Progress())
    assert list(modules.parent.iterdir()) == []
