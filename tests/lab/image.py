"""The root of all nodes: built once, kept in the cache under a hash of what it is made of, never written again.

Nodes run in a user namespace, so that root in a node is nobody on the host. The files of the image belong to that range of
users already; shifting them costs a third of a second once, instead of at each boot.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
import urllib.error
import urllib.request
from pathlib import Path

from .cgroups import Members
from .errors import LabError
from .sources import Mirror, of_this_machine
from .system import remove_tree
from .topology import Lab

OPERATOR = "operator"
BUILD = "_image"
# User and group 0 of all nodes on the host; a multiple of 65536 in the range systemd keeps for containers.
FIRST_ID = 16960 << 16
# What a fresh Debian server has, and what systemd needs to run as PID 1. What roles must install stays out.
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "python3", "python3-apt", "sudo", "iproute2",
    "ca-certificates", "procps", "netbase", "cron", "logrotate", "rsyslog", "iputils-ping", "curl", "gnupg", "acl", "kmod",
    "udev", "tzdata", "locales", "less", "vim-tiny", "dbus-user-session", "debian-archive-keyring",
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
# The host's tmpfs there cannot be remounted from a user namespace, a node's own can.
SHM_UNIT = """\
[Unit]
Description=Shared memory of this lab node
DefaultDependencies=no
Before=local-fs-pre.target
Wants=local-fs-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm

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
NODE_FILES = {**FILES, "etc/systemd/system/onprem-lab-shm.service": SHM_UNIT}
SETUP = f"""\
#!/bin/sh
set -e
useradd --root "$1" --create-home --shell /bin/bash --gid {OPERATOR} --groups sudo {OPERATOR}
chmod 0440 "$1/etc/sudoers.d/{OPERATOR}"
rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/machine-id "$1"/var/lib/dbus/machine-id
: > "$1/etc/machine-id"
systemctl --root="$1" --quiet enable onprem-lab-network.service
systemctl --root="$1" --quiet disable apt-daily.timer apt-daily-upgrade.timer
"""
NODE_SETUP = f"""\
{SETUP}
systemctl --root="$1" --quiet enable onprem-lab-shm.service
systemctl --root="$1" --quiet mask console-getty.service
"""


def key(suite: str, mirror: Mirror) -> str:
    recipe = json.dumps([suite, mirror.archive, mirror.security, PACKAGES, NODE_FILES, NODE_SETUP, FIRST_ID])
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def path(lab: Lab) -> Path:
    return lab.cache / "images" / f"{lab.suite}-{key(lab.suite, of_this_machine())}"


def ensure(lab: Lab, members: Members) -> tuple[Path, float]:
    """Return the root for the lab's nodes and the seconds it took to build (0 if it was there)."""
    root = path(lab)
    if root.is_dir():
        return root, 0.0
    started = time.monotonic()
    building = root.with_name(f".building-{lab.name}")
    members.kill(BUILD)
    remove_tree(building)
    building.parent.mkdir(parents=True, exist_ok=True)
    _build(lab, members, building)
    if root.is_dir():  # another lab was faster
        remove_tree(building)
    else:
        building.rename(root)
    return root, time.monotonic() - started


def _build(lab: Lab, members: Members, target: Path) -> None:
    files = target.with_name(f"{target.name}-files")
    remove_tree(files)
    for name, content in NODE_FILES.items():
        file = files / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    setup = lab.state / "image-setup"
    setup.write_text(NODE_SETUP)
    setup.chmod(0o755)
    log = lab.state / "image.log"
    log.unlink(missing_ok=True)
    options = [
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(PACKAGES)}",
        "--dpkgopt=force-unsafe-io",
        '--aptopt=Acquire::Check-Valid-Until "false"',
        f'--customize-hook=cp -rT {files} "$1"',
        f"--customize-hook={setup}",
    ]
    sources = [line for line in of_this_machine().entries(lab.suite) if served(line)]
    if not sources:
        raise LabError(f"{lab.suite}: the machine's Debian mirror does not serve it")
    code = members.run(BUILD, ["mmdebstrap", *options, lab.suite, str(target), *sources], log)
    remove_tree(files)
    if code != 0:
        raise LabError(f"the base image could not be built: see {log}")
    _shift_owners(target)


def _shift_owners(top: Path) -> None:
    """Give the files to the users of the nodes' user namespace."""
    _shift_owner(top)
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            _shift_owner(Path(folder, name))


def _shift_owner(path: Path) -> None:
    found = path.lstat()
    if found.st_uid >= FIRST_ID:
        return
    os.chown(path, FIRST_ID + found.st_uid, FIRST_ID + found.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        path.chmod(stat.S_IMODE(found.st_mode))  # chown clears the bits of setuid and setgid


def served(entry: str) -> bool:
    """Whether the mirror has the suite: a dated mirror may not have newer ones."""
    _, uri, suite, _ = entry.split()
    request = urllib.request.Request(f"{uri}/dists/{suite}/InRelease", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=20):
            return True
    except urllib.error.HTTPError:
        return False
    except OSError as error:
        raise LabError(f"{uri}: the Debian mirror does not answer ({error})") from error
