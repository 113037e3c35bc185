"""sshd locks nobody out: a bad wish is refused, a bad outcome taken back, and a dead controller does not matter."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from lab import ssh
from lab.processes import kill_tree
from lab.runs import PROJECT, play

HOST = "db1"
SECONDS = 12
DROPIN = "/etc/ssh/sshd_config.d/00-onprem-dify.conf"
# Keys come from a program that the check before the change cannot ask, and that has none.
NO_KEYS = {"AuthorizedKeysFile": "none", "AuthorizedKeysCommand": "/bin/true", "AuthorizedKeysCommandUser": "nobody"}

PLAYBOOK = """
- name: Configure sshd
  hosts: all
  become: true
  gather_facts: true
  gather_subset: ["!all", "!min", distribution]
  roles:
    - role: onprem.dify.sshd
"""


@pytest.fixture(scope="module")
def site(start_site):
    return start_site("lockout", "88", [HOST])


@pytest.fixture(scope="module")
def playbook(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("lockout") / "sshd.yml"
    path.write_text(PLAYBOOK, encoding="utf-8")
    return path


@pytest.fixture
def run(site, playbook, tmp_path):
    def run(check: bool = False, **variables):
        # A folder of its own: the runner keeps the variables of earlier runs in it.
        folder = tmp_path / str(time.monotonic())
        variables = {"sshd_rollback_seconds": SECONDS, **variables}
        return play(playbook, site.inventory, folder=folder, check=check, extra_vars=variables)

    return run


def state(site) -> str:
    """All that the role may change, and what the running sshd was told last."""
    script = (
        "cd /etc && md5sum issue.net ssh/sshd_config ssh/sshd_config.d/* 2>/dev/null; stat -c '%a %U' ssh/sshd_config"
    )
    found = site.ssh(HOST, f'sudo sh -c "{script}"')
    assert found.returncode == 0, found.stderr
    return found.stdout


def armed(site) -> bool:
    return site.ssh(HOST, "sudo test -e /run/onprem-dify/rollback/sshd_config/armed").returncode == 0


def greets_with_a_banner(site) -> bool:
    """The banner shows what sshd really runs with, whatever stands in its files."""
    words = login(site, "-oLogLevel=INFO")
    found = subprocess.run([*words, "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return "Authorized users only" in found.stderr


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        pytest.param({"sshd_allow_groups": ["staff"]}, ["sshd_allow_groups", "staff", "operator"], id="group"),
        pytest.param({"sshd_ports": [2222]}, ["sshd_ports", "2222", "22"], id="port"),
        pytest.param({"sshd_listen_addresses": ["127.0.0.1"]}, ["sshd_listen_addresses", "127.0.0.1"], id="address"),
        pytest.param({"sshd_extra_options": {"AllowUsers": "operator@192.0.2.1"}}, ["AllowUsers"], id="client"),
        pytest.param({"sshd_extra_options": {"AuthorizedKeysFile": "/etc/keys/%u"}}, ["a key of operator"], id="keys"),
        pytest.param({"sshd_user_key_algorithms": ["rsa-sha2-512"]}, ["sshd_user_key_algorithms"], id="kind of key"),
        pytest.param({"sshd_extra_options": {"PubkeyAuthentication": "no"}}, ["PubkeyAuthentication"], id="no keys"),
        pytest.param({"sshd_extra_options": {"Nonsense": "yes"}}, ["Nonsense"], id="unknown word"),
    ],
)
def test_what_would_lock_out_is_refused_and_nothing_changes(site, run, variables, wanted):
    before = state(site)
    refused = run(**variables)
    assert refused.status == "failed"
    (failure,) = refused.failures
    for word in [HOST, *wanted]:
        assert word in failure.message
    assert state(site) == before
    assert not armed(site)


def test_the_dry_run_refuses_as_well(run):
    assert "sshd_allow_groups" in run(check=True, sshd_allow_groups=["staff"]).failures[0].message


def test_a_file_that_would_win_is_named(site, run):
    site.ssh(HOST, "echo 'X11Forwarding yes' | sudo tee /etc/ssh/sshd_config.d/00-first.conf")
    try:
        refused = run()
    finally:
        site.ssh(HOST, "sudo rm /etc/ssh/sshd_config.d/00-first.conf")
    assert "/etc/ssh/sshd_config.d/00-first.conf:1" in refused.failures[0].message


def test_a_configuration_that_keeps_everybody_out_is_taken_back(site, run):
    before = state(site)
    started = time.monotonic()
    failed = run(sshd_extra_options=NO_KEYS)
    assert failed.status == "failed"
    assert "the old state is back" in failed.failures[0].message
    assert time.monotonic() - started >= SECONDS, "the rollback came from the host's timer"
    assert site.ssh(HOST, "sudo true").returncode == 0
    assert state(site) == before


@pytest.mark.parametrize("options", [{}, NO_KEYS], ids=["good configuration", "bad configuration"])
def test_a_controller_that_dies_before_it_confirms_leaves_the_old_configuration(site, playbook, options):
    before = state(site)
    kill_between_change_and_confirmation(site, playbook, options)
    time.sleep(SECONDS + 3)
    assert site.ssh(HOST, "sudo true").returncode == 0
    assert state(site) == before
    assert not armed(site)
    assert not greets_with_a_banner(site)


def test_the_next_run_after_a_killed_one_need_not_wait(site, run, playbook):
    kill_between_change_and_confirmation(site, playbook, {})
    done = run()
    assert done.status == "successful", done.failures
    assert not armed(site)
    assert greets_with_a_banner(site)
    time.sleep(SECONDS + 3)
    assert greets_with_a_banner(site), "no timer of the killed run is left"
    assert run().changed == set()


def kill_between_change_and_confirmation(site, playbook: Path, options: dict[str, str]) -> None:
    """Run, and kill everything on the controller once the change is on its way and not confirmed."""
    waiting = subprocess.Popen(
        [*login(site), "until sudo test -e /run/onprem-dify/rollback/sshd_config/armed; do sleep 0.02; done"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    variables = f"{{sshd_rollback_seconds: {SECONDS}, sshd_extra_options: {options}}}"
    process = subprocess.Popen(
        ["ansible-playbook", str(playbook), "-i", str(site.inventory), "-e", variables],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert waiting.wait(timeout=60) == 0
    finally:
        waiting.kill()
        kill_tree(process.pid)
        process.wait()


def login(site, *options: str) -> list[str]:
    words = ssh.command(site.lab, site.lab.host(HOST), batch=True)
    # The first value of an option wins.
    return [words[0], *options, *words[1:]]
