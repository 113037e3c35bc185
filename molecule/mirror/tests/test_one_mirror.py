"""One of the two mirrors is lost, or both."""

from __future__ import annotations

import pytest

HOST, PACKAGE = "worker1", "cowsay"
STOP = "systemctl stop onprem-dify-mirror"
START = "systemctl start onprem-dify-mirror"


@pytest.fixture
def lose(site):
    """Lose a mirror: it refuses, nothing comes back from it, or it takes connections and says nothing."""
    lost = []

    def one(mirror, fault):
        lost.append((mirror, fault))
        if fault == "stopped":
            site.root(mirror, STOP)
            return
        done = site.command(*(("cut", mirror, HOST) if fault == "cut" else ("freeze", mirror)))
        assert done.returncode == 0, done.stderr

    yield one
    site.command("heal")
    for mirror, fault in lost:
        if fault == "stopped":
            site.root(mirror, START)
        if fault == "frozen":
            site.command("thaw", mirror)


def install(site):
    site.root(HOST, f"apt-get --quiet --yes remove {PACKAGE}; apt-get clean; rm -rf /opt/onprem-dify/*")
    return site.play("molecule/mirror/install.yml", extra_vars={"package": PACKAGE})


# apt asks the mirrors in an order that is not ours.
@pytest.mark.parametrize(
    ("mirror", "fault"), [("ops1", "stopped"), ("ops2", "stopped"), ("ops1", "cut"), ("ops2", "frozen")]
)
def test_packages_programs_and_wheels_come_from_the_other_mirror(site, lose, mirror, fault):
    lose(mirror, fault)
    run = install(site)
    assert run.status == "successful", run.failures
    assert run.total_changed == 3
    assert run.seconds < 240
    assert site.root(HOST, "etcd") == "etcd of the bundle"
    assert "ansible" in site.root(HOST, "/opt/onprem-dify/ansible-core/bin/ansible --version")
    site.root(HOST, "rm -rf /root/pip && pip install --quiet --no-cache-dir --target /root/pip jmespath")


def test_with_no_mirror_left_nothing_is_installed_and_both_are_named(site, addresses, lose):
    lose("ops1", "stopped")
    lose("ops2", "cut")
    run = install(site)
    assert run.status == "failed"
    (failure,) = run.failures
    for address in addresses:
        assert address in failure.message, failure.message
