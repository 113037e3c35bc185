"""Last, because what Debian's own policy refuses while a machine starts is none of ours, and other tests count it."""

from __future__ import annotations

import re


def test_the_volumes_are_served_again_after_the_power_was_cut(machine, site):
    machine.root("sync")
    machine.forget_login()
    for word in ("kill", "start"):
        done = site.command(word, machine.host.name)
        assert done.returncode == 0, done.stdout + done.stderr
    machine.root("timeout 120 sh -c 'until systemctl is-active --quiet nfs-server.service; do sleep 1; done'")
    exported = machine.root("exportfs -s")
    for volume in ("dify", "scans"):
        assert f"/srv/files/{volume} " in exported
        machine.root(f"mountpoint --quiet /srv/files/{volume}")


def test_the_file_server_was_refused_nothing_by_the_policy(machine):
    assert machine.root("getenforce") == "Enforcing"
    refused = machine.root("journalctl --boot --output=cat _TRANSPORT=audit + _TRANSPORT=kernel").splitlines()
    served = re.compile(r'avc:  denied.* comm="(mount|exportfs|rpc|nfsd|systemd-sysv-ge)')
    assert [line for line in refused if served.search(line)] == []
