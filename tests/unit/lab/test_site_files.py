"""What a lab makes in the place of a site's own files."""

import json
import stat

import pytest

from lab import debian, site_files, sources, topology

INDEX = """\
Package: haproxy
Source: haproxy (2.6.12-1)
Version: 2.6.12-1+deb12u4
Description: with Version: 9 in it

Package: redis-server
Version: 5:7.0.15-1~deb12u10

Package: other
Version: 1
"""
COMPONENTS = {
    "haproxy": {"package_names": {"Debian": ["haproxy"]}},
    "redis": {"package_names": {"Debian": ["redis-server", "redis-tools"]}},
    "valkey": {"package_names": {"Debian": ["valkey-server"]}},
    "seaweedfs": {},
}


@pytest.fixture
def lab(tmp_path):
    host = topology.Host("db1", "10.77.3.11", ("database",))
    return topology.Lab("lab", "10.77.0.0/16", "ol-lab", "10.77.0.1", 16, tmp_path, tmp_path, "bookworm", (host,))


def secrets(lab):
    site_files.make_secrets(lab)
    return json.loads(lab.file_of_site("secrets").read_text())


def test_secrets_are_those_that_the_groups_need(lab):
    made = secrets(lab)
    assert {"postgres_dify", "pki_root_key"} <= set(made)
    assert "redis_dify" not in made
    assert stat.S_IMODE(lab.file_of_site("secrets").stat().st_mode) == 0o600


def test_secrets_that_are_there_stay(lab):
    first = secrets(lab)
    assert secrets(lab) == first
    site_files.write(lab.file_of_site("secrets"), {"postgres_dify": "kept"}, mode=0o600)
    again = secrets(lab)
    assert again["postgres_dify"] == "kept"
    assert set(again) == set(first)


def test_packages_are_pinned_as_the_mirror_has_them():
    versions = debian.parse(INDEX, {"haproxy", "redis-server", "redis-tools"})
    assert versions == {"haproxy": "2.6.12-1+deb12u4", "redis-server": "5:7.0.15-1~deb12u10"}
    assert debian.pins(COMPONENTS, versions, "bookworm") == {
        "haproxy": {"packages": {"Debian_12": "2.6.12"}},
        "redis": {"packages": {"Debian_12": "7.0.15"}},
    }


def test_security_updates_of_the_mirror_are_repositories_of_the_site():
    found = debian.repositories(["bookworm", "bookworm-security"], "bookworm", "http://10.77.0.1:3142")
    assert [(one["name"], one["uris"], one["suites"]) for one in found] == [
        ("debian-security", ["http://10.77.0.1:3142/debian-security"], ["bookworm-security"])
    ]


def test_the_mirror_is_asked_once_a_day_and_may_be_away_later(tmp_path, monkeypatch):
    mirror = sources.Mirror("http://mirror.example/debian", None)

    def offer():
        return debian.offer(mirror, "bookworm", "amd64", ["haproxy"], tmp_path)

    def answer(*asked):
        answers.append(asked)
        return {"suites": ["bookworm"], "versions": {"haproxy": "2.6.12-1"}}

    def silence(*asked):
        raise TimeoutError

    answers = []
    monkeypatch.setattr(debian, "_ask", answer)
    assert offer() == offer()
    assert len(answers) == 1
    file = next(tmp_path.iterdir())
    file.write_text(json.dumps({**json.loads(file.read_text()), "day": "2020-01-01"}))
    monkeypatch.setattr(debian, "_ask", silence)
    assert offer()["versions"] == {"haproxy": "2.6.12-1"}
