"""PAM locks nobody out: stacks that refuse everybody are taken back."""

from __future__ import annotations

import pytest

from lab.runs import play

HOST = "db1"
SECONDS = 12

PLAYBOOK = """
- name: Set the rules of accounts
  hosts: all
  become: true
  gather_facts: true
  gather_subset: ["!all", "!min", distribution, distribution_release, pkg_mgr]
  roles:
    - role: onprem.dify.ROLE
"""

# A package that was set up badly: its profile becomes part of the stacks the next time that they are made.
REFUSE_EVERYBODY = """Name: Refuse everybody
Default: yes
Priority: 900
Account-Type: Primary
Account:
\trequisite\tpam_deny.so
"""


@pytest.fixture(scope="module")
def site(start_site):
    return start_site("lockoutpam", "87", [HOST])


@pytest.fixture(scope="module")
def run(site, tmp_path_factory):
    def run(role: str = "accounts"):
        folder = tmp_path_factory.mktemp(role)
        path = folder / "playbook.yml"
        path.write_text(PLAYBOOK.replace("ROLE", role), encoding="utf-8")
        return play(path, site.inventory, folder=folder, extra_vars={"accounts_rollback_seconds": SECONDS})

    # Packages make the stacks anew as well when they are installed, so that has to be over.
    assert run("packages").status == "successful"
    return run


def stacks(site) -> str:
    return site.ssh(HOST, "sudo sh -c 'md5sum /etc/pam.d/* /etc/security/*.conf /var/lib/pam/*'").stdout


def test_stacks_that_refuse_everybody_are_taken_back(site, run):
    site.ssh(HOST, f"printf %s '{REFUSE_EVERYBODY}' | sudo tee /usr/share/pam-configs/broken")
    failed = run()
    assert "the old state is back" in failed.failures[0].message
    assert site.ssh(HOST, "sudo true").returncode == 0
    assert "pam_faillock" not in site.ssh(HOST, "cat /etc/pam.d/common-auth").stdout

    site.ssh(HOST, "sudo rm /usr/share/pam-configs/broken")
    assert run().status == "successful"
    made = stacks(site)
    assert "pam_faillock" in site.ssh(HOST, "cat /etc/pam.d/common-auth").stdout
    assert run().changed == set()
    assert stacks(site) == made


def test_stacks_that_were_changed_by_hand_are_named_and_left_alone(site, run):
    assert run().status == "successful"
    site.ssh(HOST, "sudo sed -i '/pam_unix/i auth optional pam_echo.so' /etc/pam.d/common-auth")
    # The policy has to change for the stacks to be made anew.
    site.ssh(HOST, "sudo sed -i '/pam_faillock/d' /etc/pam.d/common-auth")
    before = stacks(site)
    refused = run()
    assert "/etc/pam.d/common-auth" in refused.failures[0].message
    assert "by hand" in refused.failures[0].message
    assert stacks(site) == before
    assert site.ssh(HOST, "sudo true").returncode == 0
