"""The controller dies at any moment of a run: the next run converges, and nobody is locked out."""

from __future__ import annotations

import os
import random
import subprocess
import time

import pytest

from lab.processes import kill_tree
from lab.runs import PROJECT

KILLS = int(os.environ.get("KILLS", "3"))
# The rollback that a killed run leaves behind acts within a minute.
ROLLBACK = 75


@pytest.fixture(scope="module")
def site(start_site):
    return start_site("killed", "89", ["cp1", "db1"])


@pytest.fixture(scope="module")
def seconds(site):
    """How long an undisturbed first run takes, on a site of the same size."""
    started = time.monotonic()
    assert site.play().status == "successful"
    return time.monotonic() - started


@pytest.mark.parametrize("number", range(KILLS))
def test_a_run_after_a_killed_one_converges(site, seconds, number):
    moment = random.Random(number).uniform(0.05, 0.95) * seconds
    site.down()
    site.up()
    kill_a_run(site, moment)
    for host in site.lab.hosts:
        assert site.ssh(host.name, "sudo true").returncode == 0, f"{host.name}: no login after a kill at {moment:.1f} s"
    again = site.play()
    assert again.status == "successful", again.failures
    assert site.play().changed == set()


def test_a_killed_run_does_not_lock_out_even_when_nobody_runs_again(site, seconds):
    site.down()
    site.up()
    kill_a_run(site, 0.9 * seconds)
    time.sleep(ROLLBACK)
    for host in site.lab.hosts:
        assert site.ssh(host.name, "sudo true").returncode == 0


def kill_a_run(site, moment: float) -> None:
    """Start ansible-playbook and kill all of it after ``moment`` seconds."""
    process = subprocess.Popen(
        ["ansible-playbook", "site.yml", "-i", str(site.inventory)],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(moment)
    kill_tree(process.pid)
    process.wait()
