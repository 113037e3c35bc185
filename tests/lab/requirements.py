"""What the lab needs of the machine, said in one line where it is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from .cgroups import host_runs_systemd
from .errors import LabError
from .topology import VM, Host

# Program: Debian package.
FOR_NODES = {
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "nginx": "nginx-light",
    "ssh": "openssh-client",
    "systemd-nspawn": "systemd-container",
}
# For the tests of the connected side, which run on this machine.
FOR_BUNDLES = {
    "createrepo_c": "createrepo-c",
    "dnf": "dnf",
    "docker-registry": "docker-registry",
    "faketime": "faketime",
    "gpg": "gnupg",
    "rpmbuild": "rpm",
    "skopeo": "skopeo",
    "zstd": "zstd",
}
# For artifacts that are partly in C; what starts with / is a file.
FOR_C = {"gcc": "gcc", "pkg-config": "pkg-config", "/usr/include/seccomp.h": "libseccomp-dev"}
FOR_VMS = {"qemu-img": "qemu-utils", "qemu-system-x86_64": "qemu-system-x86"}
ALL = FOR_NODES | FOR_BUNDLES | FOR_C | FOR_VMS
# The service that a package starts as soon as it is installed.
SERVICES = {"docker-registry": "docker-registry", "nginx-light": "nginx"}
SEARCH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def missing_packages(programs: Mapping[str, str]) -> list[str]:
    return sorted({package for program, package in programs.items() if not _found(program)})


def _found(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program, path=SEARCH) is not None


def missing_features(filesystems: str, cgroup2_mounted: bool, user_namespaces: int) -> list[str]:
    """What the kernel would have to offer; the arguments are what it says of itself."""
    missing = []
    if "overlay" not in filesystems.split():
        missing.append("overlayfs (modprobe overlay)")
    if not cgroup2_mounted:
        missing.append("a mounted cgroup version 2 hierarchy (mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified)")
    if user_namespaces == 0:
        missing.append("user namespaces (sysctl user.max_user_namespaces)")
    return missing


def check(hosts: Iterable[Host]) -> None:
    """Refuse to start where something is missing."""
    programs = dict(FOR_NODES)
    if any(host.kind == VM for host in hosts):
        programs |= FOR_VMS
    packages = missing_packages(programs)
    if packages:
        raise LabError(f"missing: {', '.join(packages)}; run `tests/lab/lab requirements --install`")
    features = _missing_here()
    if features:
        raise LabError(f"the kernel of this machine lacks {', '.join(features)}")


def report() -> list[str]:
    return missing_packages(ALL) + _missing_here()


def install() -> list[str]:
    """Install what is missing with apt-get; return the packages."""
    packages = missing_packages(ALL)
    if not packages:
        return []
    if not shutil.which("apt-get"):
        raise LabError(f"missing: {', '.join(packages)}; this machine has no apt-get, install them by hand")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        command = ["apt-get", "-q", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"apt-get {arguments[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    for package in packages:
        if package in SERVICES:
            _stop_service(SERVICES[package])
    return packages


def _stop_service(name: str) -> None:
    """The lab runs instances of its own, and nobody asked for another."""
    if host_runs_systemd():
        command = ["systemctl", "disable", "--quiet", "--now", f"{name}.service"]
    else:
        command = ["service", name, "stop"]
    subprocess.run(command, capture_output=True, check=False)


def _missing_here() -> list[str]:
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    limit = Path("/proc/sys/user/max_user_namespaces")
    return missing_features(
        Path("/proc/filesystems").read_text(),
        any(line.split()[2] == "cgroup2" for line in mounts),
        int(limit.read_text()) if limit.exists() else 0,
    )
