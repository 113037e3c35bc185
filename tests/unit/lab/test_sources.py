"""The Debian mirror is that of the machine, in whichever way it is written down."""

import pytest

from lab import sources
from lab.errors import LabError

DEB822 = """\
Types: deb
# a comment in between
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb deb-src
URIs: http://mirror.example/debian-security/
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: https://apt.vendor.example
Suites: nodistro
Components: main

Enabled: no
Types: deb
URIs: http://old.example/debian
Suites: bookworm
"""
ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.example/debian bookworm main contrib
deb http://security.example/debian-security bookworm-security main
deb https://apt.vendor.example ./
"""


def test_deb822_files_give_their_enabled_binary_entries():
    assert sources.parse_deb822(DEB822) == [
        sources.Entry("http://mirror.example/debian", "bookworm"),
        sources.Entry("http://mirror.example/debian", "bookworm-updates"),
        sources.Entry("http://mirror.example/debian-security/", "bookworm-security"),
        sources.Entry("https://apt.vendor.example", "nodistro"),
    ]


def test_one_line_files_give_their_binary_entries():
    assert sources.parse_list(ONE_LINE) == [
        sources.Entry("http://mirror.example/debian", "bookworm"),
        sources.Entry("http://security.example/debian-security", "bookworm-security"),
        sources.Entry("https://apt.vendor.example", "./"),
    ]


def test_the_debian_archive_is_chosen_among_other_repositories():
    mirror = sources.choose(sources.parse_deb822(DEB822))
    assert mirror == sources.Mirror("http://mirror.example/debian", "http://mirror.example/debian-security")


def test_another_suite_comes_from_the_same_mirror():
    mirror = sources.Mirror("http://mirror.example/debian", "http://mirror.example/debian-security")
    assert mirror.entries("trixie") == [
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian trixie-updates main",
        "deb http://mirror.example/debian-security trixie-security main",
    ]


def test_a_mirror_without_security_updates_will_do():
    assert sources.choose([sources.Entry("http://m.example/debian", "trixie")]).security is None


@pytest.mark.parametrize("uri", ["file:/srv/mirror", "cdrom:[Debian]/"])
def test_a_mirror_that_nodes_cannot_be_served_from_is_refused(uri):
    with pytest.raises(LabError, match="over http or https"):
        sources.choose([sources.Entry(uri, "bookworm")])


def test_a_machine_without_debian_is_refused():
    with pytest.raises(LabError, match="no Debian mirror"):
        sources.choose([sources.Entry("http://archive.ubuntu.example/ubuntu", "noble")])


def test_both_kinds_of_files_are_read(tmp_path):
    (tmp_path / "sources.list").write_text("deb http://mirror.example/debian bookworm main\n")
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "security.sources").write_text(
        "Types: deb\nURIs: http://s.example/debian-security\nSuites: bookworm-security\n"
    )
    (tmp_path / "sources.list.d" / "old.list.save").write_text("deb http://old.example/debian trixie main\n")
    mirror = sources.of_this_machine(tmp_path)
    assert mirror == sources.Mirror("http://mirror.example/debian", "http://s.example/debian-security")
