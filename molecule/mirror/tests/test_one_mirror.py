"""One of the two mirrors is lost, or both."""

from __future__ import annotations

import pytest

HOST, PACKAGE = "worker1", "cowsay"
STOP = "systemctl stop onprem-dify-mirror"
START = "systemctl start onprem-dify-mirror"


@pytest.fixture(params=["stopped", "cut", "frozen"])
def lose(request, site):
    """Lose a mirror: it refuses, nothing comes back from it, or it takes connections and says nothing."""
    lost = []

    def one(mirror):
        lost.append(mirror)
        if request.param == "stopped":
            site.root(mirror, STOP)
        else:
            words = ("cut", mirror, HOST) if request.param == "cut" else ("freeze", mirror)
            done = site.command(*words)
            assert done.returncode == 0, done.stderr

    yield one
    if request.param == "cut":
        site.command("heal")
    for mirror in lost:
        if request.param == "stopped":
            site.root(mirror, START)
        if request.param == "frozen":
            site.command("thaw", mirror)


def install(site):
    site.root(HOST, f"apt-get --quiet --yes remove {PACKAGE}; apt-get clean")
    return site.play("molecule/mirror/install.yml", extra_vars={"package": PACKAGE})


@pytest.mark.parametrize("lost", ["ops1", "ops2"])
def test_packages_and_wheels_come_from_the_other_mirror(site, lose, lost):
    lose(lost)
    run = install(site)
    assert run.status == "successful", run.failures
    assert run.total_changed == 1
    assert run.seconds < 120
    site.root(HOST, "rm -rf /root/pip && pip install --quiet --no-cache-dir --target /root/pip jmespath")


def test_with_no_mirror_left_nothing_is_installed_and_both_are_named(site, addresses, lose):
    lose("ops1")
    lose("ops2")
    run = install(site)
    assert run.status == "failed"
    (failure,) = run.failures
    for address in addresses:
        assert address in failure.message, failure.message
