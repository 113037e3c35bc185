# Copyright: onprem.dify contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of operating systems that the lab cannot start, and the repositories as apt and dnf read them."""

from __future__ import annotations

import configparser

import pytest
import yaml
from ansible.errors import AnsibleError
from unit.roles import rendering

from ansible_collections.onprem.dify.plugins.filter.apt_places import apt_places

SYSTEMS = ["Debian", "RedHat", "openEuler"]
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBF\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"


def data(role, system):
    return yaml.safe_load((rendering.ROLES / role / "vars" / f"{system}.yml").read_text())


def rendered(template, **variables):
    places = apt_places(variables["packages_repositories"], "/lists")
    return rendering.template("packages", template, __packages_places=places, **variables)


@pytest.mark.parametrize("role", ["packages", "time"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_says_the_same_things(role, system):
    assert data(role, system).keys() == data(role, "Debian").keys()


@pytest.mark.parametrize("system", SYSTEMS)
def test_nothing_is_wanted_and_unwanted(system):
    found = data("packages", system)
    wanted = found["__packages_base"] + found["__packages_selinux_tools"]
    assert not set(wanted) & set(found["__packages_legacy"])
    assert len(wanted) == len(set(wanted))


def test_debian_repositories():
    text = rendered(
        "apt.sources.j2",
        packages_repositories=[
            {"name": "debian", "uris": "http://10.0.0.1/debian", "suites": "bookworm", "signed_by": "/usr/x.gpg"},
            {
                "name": "security",
                "uris": ["http://10.0.0.1/s", "http://10.0.0.2/s"],
                "suites": ["a", "b"],
                "components": ["x", "y"],
                "signed_by": KEY,
            },
        ],
    )
    first, second = text.split("\n\n")[1:]
    assert first.splitlines() == [
        "X-Repolib-Name: debian",
        "Types: deb",
        "URIs: http://10.0.0.1/debian",
        "Suites: bookworm",
        "Components: main",
        "Signed-By: /usr/x.gpg",
    ]
    assert second.splitlines()[2:] == [
        "URIs: mirror+file:/lists/security.list",
        "Suites: a b",
        "Components: x y",
        "Signed-By:",
        " -----BEGIN PGP PUBLIC KEY BLOCK-----",
        " .",
        " mQINBF",
        " =abcd",
        " -----END PGP PUBLIC KEY BLOCK-----",
    ]


def test_rpm_repositories():
    text = rendered(
        "yum.repo.j2",
        packages_repositories=[{"name": "baseos", "baseurl": "http://10.0.0.1/baseos", "gpgkey": ["file:///k"]}],
    )
    found = configparser.ConfigParser()
    found.read_string(text)
    assert dict(found["baseos"]) == {
        "name": "baseos",
        "baseurl": "http://10.0.0.1/baseos",
        "enabled": "1",
        "gpgcheck": "1",
        "repo_gpgcheck": "0",
        "gpgkey": "file:///k",
    }


@pytest.mark.parametrize(("template", "missing"), [("apt.sources.j2", "signed_by"), ("yum.repo.j2", "gpgkey")])
def test_an_unsigned_repository_is_refused(template, missing):
    repository = {"name": "x", "uris": "u", "suites": "s", "baseurl": "b"}
    with pytest.raises(AnsibleError, match=f"x has no {missing}"):
        rendered(template, packages_repositories=[repository])
