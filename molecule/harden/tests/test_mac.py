"""AppArmor stays on. The scenario selinux shows what needs a kernel of its own."""

from __future__ import annotations


def test_profiles_are_loaded_at_boot(node):
    assert node.run("systemctl is-enabled apparmor.service").stdout.strip() == "enabled"


def test_no_profile_was_made_to_complain_only(node):
    assert node.root("ls -A /etc/apparmor.d/force-complain 2>/dev/null").stdout == ""
