"""Rules that would shut the controller out are refused, or take themselves back."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from lab import runs, ssh

SEGMENT = "playbooks/segment.yml"
SECONDS = 20
# A host under load is slow to run its timer and to reload.
MARGIN = 25
# Everything that decides: the files, and what firewalld runs with.
STATE = (
    "find /etc/firewalld -type f -exec sha256sum {} + | sort; firewall-cmd --list-all; firewall-cmd --list-all-policies"
)
ARMED = "/run/onprem-dify/rollback/host_firewall/armed"


@pytest.fixture(scope="module")
def site(start_site):
    site = start_site("firewall", "90", ["worker1", "db1"])
    assert site.play("molecule/segment/packages.yml").status == "successful"
    return site


def root(site, host: str, script: str) -> str:
    words = ssh.command(site.lab, site.lab.host(host), f"sudo bash -c {shlex.quote(script)}", batch=True)
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout


def play(site, extra_vars: dict | None = None, limit: str | None = None):
    # The runner keeps the variables of a run for the next one in the same folder.
    with tempfile.TemporaryDirectory() as folder:
        return runs.play(SEGMENT, site.inventory, folder=folder, extra_vars=extra_vars, limit=limit)


def wait_for(site, host: str, state: str) -> float:
    """Wait until the host is as it was, and return how long that took."""
    started = time.monotonic()
    while time.monotonic() < started + SECONDS + MARGIN:
        time.sleep(1)
        try:
            if root(site, host, STATE) == state:
                return time.monotonic() - started
        except AssertionError:
            continue
    pytest.fail(f"{host}: the old rules did not come back in {SECONDS + MARGIN} s")


def kill_between_applied_and_confirmed(site, host: str, folder: Path) -> None:
    """Start the stage, hold up the login that would confirm the new rules, and kill all of it once they work."""
    hold, client = folder / "hold", folder / "ssh"
    client.write_text(f'#!/bin/sh\nwhile [ -e {hold} ]; do sleep 1; done\nexec ssh "$@"\n', encoding="utf-8")
    client.chmod(0o755)
    # Ansible's workers leave its session, so only a process namespace of its own takes them along.
    namespace = ["unshare", "--pid", "--fork", "--kill-child", "--"]
    stage = ["ansible-playbook", SEGMENT, "-i", str(site.inventory), "-l", host]
    run = subprocess.Popen(
        [*namespace, *stage, "-e", f"firewall_rollback_seconds={SECONDS}"],
        cwd=runs.PROJECT,
        env={**os.environ, "ANSIBLE_SSH_EXECUTABLE": str(client)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        root(site, host, f"until test -e {ARMED}; do sleep 0.05; done")
        hold.touch()
        root(site, host, "until firewall-cmd --get-default-zone | grep -qx site; do sleep 0.2; done")
    finally:
        run.kill()
        run.wait()
        hold.unlink(missing_ok=True)


def test_admin_networks_without_the_controller_are_refused_and_nothing_is_touched(site):
    before = {host.name: root(site, host.name, STATE) for host in site.lab.hosts}
    run = play(site, {"site_admin_networks": ["192.0.2.0/24"]})
    assert len(run.failures) == len(site.lab.hosts)
    for failure in run.failures:
        assert failure.message.startswith(f"host {failure.host}: site_admin_networks: found 192.0.2.0/24; wanted: ")
        assert site.lab.bridge_address in failure.message
    assert {host.name: root(site, host.name, STATE) for host in site.lab.hosts} == before


def test_a_controller_killed_before_it_confirms_leaves_the_old_rules_behind(site, tmp_path):
    before = root(site, "db1", STATE)
    kill_between_applied_and_confirmed(site, "db1", tmp_path)
    assert wait_for(site, "db1", before) < SECONDS + MARGIN
    assert root(site, "db1", f"test ! -e {ARMED} && echo gone").strip() == "gone"


def test_the_next_run_after_a_killed_one_does_not_wait_and_converges(site, tmp_path):
    kill_between_applied_and_confirmed(site, "db1", tmp_path)
    again = play(site)
    assert again.status == "successful", again.failures
    assert play(site).changed == set()


def test_rules_that_drop_new_logins_take_themselves_back(site):
    """The pods' network takes in the controller: its address is admitted, and its packets end in another zone."""
    before = root(site, "worker1", STATE)
    network = f"{site.lab.bridge_address}/32"
    run = play(site, {"site_pod_network": network, "firewall_rollback_seconds": SECONDS}, limit="worker1")
    assert [failure.host for failure in run.failures] == ["worker1"]
    # The login may wait so long that it comes through once the old rules are back, which confirms nothing either.
    assert "login failed" in run.failures[0].message or "were not confirmed in time" in run.failures[0].message
    assert "the old state is back" in run.failures[0].message
    assert root(site, "worker1", STATE) == before
