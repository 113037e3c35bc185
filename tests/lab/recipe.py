"""What the image of the nodes is made of: a fresh Debian server, and the little that makes it a machine of a lab."""

from __future__ import annotations

OPERATOR = "operator"
# What a fresh Debian server has, and what systemd needs to run as PID 1. What roles must install stays out.
PACKAGES = (
    "acl",
    "ca-certificates",
    "cron",
    "curl",
    "dbus",
    "dbus-user-session",
    "debian-archive-keyring",
    "gnupg",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "libpam-systemd",
    "locales",
    "logrotate",
    "netbase",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "rsyslog",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tzdata",
    "udev",
    "vim-tiny",
)
NETWORK_UNIT = """\
[Unit]
Description=Address of this lab node
DefaultDependencies=no
Before=network-pre.target network.target
Wants=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/ip -force -batch /etc/onprem-lab/network

[Install]
WantedBy=sysinit.target
"""
# A tmpfs mounted by the host cannot be remounted from a user namespace, a node's own can. The range of groups that may
# ping has to lie inside the namespace, where that of Debian does not.
NODE_UNIT = """\
[Unit]
Description=What a lab node has of its own although it shares the host's kernel
DefaultDependencies=no
Before=local-fs-pre.target
Wants=local-fs-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
ExecStart=/bin/sh -c 'echo 0 65535 > /proc/sys/net/ipv4/ping_group_range'

[Install]
WantedBy=sysinit.target
"""
# A mirror frozen at a date serves release files whose validity is over.
APT_SHIM = 'Acquire::Check-Valid-Until "false";\nAcquire::Languages "none";\n'
SUDOERS = f"{OPERATOR} ALL=(ALL:ALL) NOPASSWD: ALL\n"
FILES = {
    "etc/systemd/system/onprem-lab-network.service": NETWORK_UNIT,
    "etc/apt/apt.conf.d/90onprem-lab": APT_SHIM,
    f"etc/sudoers.d/{OPERATOR}": SUDOERS,
    "etc/resolv.conf": "",
}
NODE_FILES = {**FILES, "etc/systemd/system/onprem-lab-node.service": NODE_UNIT}
SETUP = f"""\
#!/bin/sh
set -e
useradd --root "$1" --create-home --shell /bin/bash --gid {OPERATOR} --groups sudo {OPERATOR}
chmod 0440 "$1/etc/sudoers.d/{OPERATOR}"
rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1/var/lib/dbus/machine-id"
: > "$1/etc/machine-id"
systemctl --root="$1" --quiet enable onprem-lab-network.service
systemctl --root="$1" --quiet disable apt-daily.timer apt-daily-upgrade.timer
"""
# All nodes share the inotify instances that the host allows to root, often 128: what a node does not need takes none.
WITHOUT_INOTIFY = "systemd-ask-password-console.path systemd-ask-password-wall.path user@.service polkit.service"
NODE_SETUP = f"""\
{SETUP}
systemctl --root="$1" --quiet enable onprem-lab-node.service
systemctl --root="$1" --quiet mask console-getty.service {WITHOUT_INOTIFY}
"""
