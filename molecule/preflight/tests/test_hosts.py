"""Preflight of hosts, on machines that are broken on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Preflight = Callable[..., Any]
OnNode = Callable[[str, str], str]


@pytest.fixture
def broken_hosts(on_node: OnNode) -> Iterator[None]:
    identity = on_node("db1", "cat /etc/machine-id")
    on_node("cp1", f"cp /etc/machine-id /tmp/machine-id && echo {identity} | sudo tee /etc/machine-id")
    on_node("cp1", "sudo systemd-run --quiet --unit=stranger python3 -m http.server 6443")
    on_node("cp1", "cp /etc/hosts /tmp/hosts && sed /cp1/d /etc/hosts | sudo tee /etc/hosts")
    yield
    on_node("cp1", "sudo systemctl stop stranger; sudo cp /tmp/machine-id /tmp/hosts /etc/")


@pytest.fixture
def no_sudo(on_node: OnNode) -> Iterator[None]:
    # A root shell beside the login gives back what the login itself then cannot.
    restore = "while [ ! -e /tmp/restore ]; do sleep 0.2; done; mv /root/sudoers.d/* /etc/sudoers.d/"
    on_node("db1", f"sudo systemd-run --quiet --unit=restore sh -c '{restore}'")
    on_node("db1", "sudo sh -c 'mkdir -p /root/sudoers.d && mv /etc/sudoers.d/* /root/sudoers.d/'")
    yield
    on_node("db1", "touch /tmp/restore; until sudo -n rm /tmp/restore; do sleep 0.2; done")


def test_sound_hosts_pass_and_the_waivers_are_printed(preflight: Preflight) -> None:
    answer = preflight()
    assert answer.code == 0, answer.output
    assert "Preflight of the hosts: no findings" in answer.output
    assert "waived: disk (cp1, db1) because: The machines of the lab are small" in answer.output


@pytest.mark.usefixtures("broken_hosts")
def test_all_that_is_wrong_is_said_at_once(preflight: Preflight, tmp_path: Path) -> None:
    missing = tmp_path / "missing.yml"
    missing.write_text(
        "{data: {children: {witness: {hosts: {w1: {ansible_host: 10.86.3.99}, w2: {ansible_host: 10.86.3.98}}}}}}"
    )
    answer = preflight("-i", str(missing), "-e", "ansible_ssh_timeout=5")
    assert answer.code != 0
    assert [line.split(", wanted")[0].split(" (")[0] for line in answer.findings] == [
        "cp1: its name cp1 is not resolved by itself",
        "cp1: port 6443/tcp is in use by python3",
        "db1: /etc/machine-id is that of cp1",
        "w1: the login is impossible",
        "w2: the login is impossible",
    ]


@pytest.mark.usefixtures("no_sudo")
def test_a_user_without_sudo_is_told_so(preflight: Preflight) -> None:
    answer = preflight("--tags", "hosts")
    assert answer.code != 0
    assert answer.findings == [
        "db1: sudo of operator is refused (sudo: a password is required), "
        "wanted: sudo to root, without a password or with -K [login]"
    ]


def test_a_missing_python_is_named(preflight: Preflight) -> None:
    answer = preflight("--tags", "hosts", "-e", "ansible_python_interpreter=/usr/bin/python3.6")
    assert [line.split(", wanted")[0] for line in answer.findings] == [
        "cp1: Python is missing as /usr/bin/python3.6",
        "db1: Python is missing as /usr/bin/python3.6",
    ]
