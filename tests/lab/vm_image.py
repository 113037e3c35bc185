"""The VM's snapshot, built once and cached: a disk labelled for SELinux, and the memory of a VM running from it."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

from . import image, recipe, vm_qemu
from .cgroups import Members
from .errors import LabError
from .sources import Mirror, of_this_machine
from .system import remove_tree
from .topology import Host, Lab

SUITE = "bookworm"
BUILD = "_vm-image"
RECIPE = Path(__file__).parent / "selinux"
# Of what the roles install; to unpack them under emulation takes minutes and shows nothing.
DEPENDENCIES = (
    "file",
    "gir1.2-nm-1.0",
    "libnftables1",
    "libpwquality1",
    "polkitd",
    "python3-attr",
    "python3-dbus",
    "python3-gi",
    "python3-jsonschema",
    "xml-core",
)
# A kernel, and what SELinux needs to be enforcing from the first boot on. What roles must install stays out.
PACKAGES = (
    *recipe.PACKAGES,
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "zstd",
    "selinux-basics",
    "selinux-policy-default",
    "policycoreutils",
    "policycoreutils-python-utils",
    "python3-selinux",
    "python3-semanage",
    *DEPENDENCIES,
)
FILES = {
    **recipe.FILES,
    "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
    # The network unit of the nodes reads this; `vm.boot` fills in the address.
    "etc/onprem-lab/network": "link set lo up\n",
    # The network card is there before systemd, as it is in a node.
    "etc/initramfs-tools/modules": "virtio_net\n",
}
SETUP = f"""\
{recipe.SETUP}
cp {RECIPE}/onprem-lab-console.service "$1/etc/systemd/system/"
systemctl --root="$1" --quiet enable onprem-lab-console.service
systemctl --root="$1" --quiet mask e2scrub_all.timer fstrim.timer
ssh-keygen -q -t ed25519 -N "" -C snapshot -f "$1/etc/ssh/ssh_host_ed25519_key"
cp "$1"/boot/vmlinuz-* "$2/vmlinuz"
chroot "$1" update-initramfs -u
cp "$1"/boot/initrd.img-* "$2/initrd.img"
"""
# The snapshot belongs to no bridge.
LOOSE_CABLE = "hubport,hubid=0"
# The snapshot is taken just after a login, with all that a login and an Ansible task load still in memory.
WARM_UP = f"""\
state=$(systemctl is-system-running --wait) || {{ echo "$state: $(systemctl --failed --plain --no-legend)"; exit 1; }}
test "$(getenforce)" = Enforcing || {{ echo "SELinux is not enforcing"; exit 1; }}
keys=~{recipe.OPERATOR}/.ssh
install -d -o {recipe.OPERATOR} -g {recipe.OPERATOR} -m 0700 $keys
install -o {recipe.OPERATOR} -g {recipe.OPERATOR} -m 0600 /etc/ssh/ssh_host_ed25519_key.pub $keys/authorized_keys
restorecon -R $keys
ssh -i /etc/ssh/ssh_host_ed25519_key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \\
    {recipe.OPERATOR}@127.0.0.1 \\
    sudo python3 -c '"import apt, ast, json, platform, selinux, subprocess, tempfile, zipfile"'
rm $keys/authorized_keys
sync
"""


def key(mirror: Mirror, memory: str, disk: str) -> str:
    files = {file.name: file.read_text() for file in sorted(RECIPE.iterdir())}
    parts = [
        SUITE,
        mirror.archive,
        mirror.security,
        PACKAGES,
        FILES,
        SETUP,
        WARM_UP,
        files,
        memory,
        disk,
        vm_qemu.version(),
        vm_qemu.MACHINE,
        vm_qemu.DEVICES,
        vm_qemu.KERNEL_ARGUMENTS,
        LOOSE_CABLE,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def path(lab: Lab, host: Host) -> Path:
    return lab.cache / "images" / f"vm-{SUITE}-{key(of_this_machine(), host.memory, host.disk)}"


def ensure(lab: Lab, host: Host, members: Members) -> tuple[Path, float]:
    """Return the folder of the snapshot and the seconds it took to build (0 if it was there)."""
    snapshot = path(lab, host)
    if snapshot.is_dir():
        return snapshot, 0.0
    started = time.monotonic()
    building = snapshot.with_name(f".building-vm-{lab.name}")
    members.kill(BUILD)
    remove_tree(building)
    building.mkdir(parents=True)
    _build_disk(building, host.disk, members)
    _boot_and_save(building, host.memory, members)
    _log(building).unlink()
    if snapshot.is_dir():  # another lab was faster
        remove_tree(building)
    else:
        building.rename(snapshot)
    return snapshot, time.monotonic() - started


def _build_disk(folder: Path, size: str, members: Members) -> None:
    root, files, setup = folder / "root", folder / "files", folder / "setup"
    for name, content in FILES.items():
        file = files / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    setup.write_text(SETUP)
    setup.chmod(0o755)
    sources = [line for line in of_this_machine().entries(SUITE) if image.served(line)]
    _run(
        members,
        folder,
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        f"--include={','.join(PACKAGES)}",
        "--dpkgopt=force-unsafe-io",
        '--aptopt=Acquire::Check-Valid-Until "false"',
        f'--customize-hook=cp -rT {files} "$1"',
        f'--customize-hook={setup} "$1" {folder}',
        SUITE,
        str(root),
        *sources,
    )
    _run(members, folder, "unshare", "--mount", str(RECIPE / "disk.sh"), str(root), str(folder / "disk.raw"), size)
    for part in (root, files):
        remove_tree(part)
    setup.unlink()


def _log(folder: Path) -> Path:
    return folder / "build.log"


def _run(members: Members, folder: Path, *argv: str) -> None:
    if members.run(BUILD, list(argv), _log(folder)) != 0:
        raise LabError(f"the VM's disk could not be built: see {_log(folder)}")


def _boot_and_save(folder: Path, memory: str, members: Members) -> None:
    drive = f"file={folder}/disk.raw,format=raw"
    argv = vm_qemu.command(folder, folder, memory, drive, LOOSE_CABLE)
    members.start(BUILD, argv, {}, folder / vm_qemu.LOG)
    try:
        vm_qemu.console(folder, WARM_UP, vm_qemu.BOOT_SECONDS)
        _save(folder)
    finally:
        members.kill(BUILD)
        members.remove(BUILD)
    for name in vm_qemu.LEFTOVERS:
        (folder / name).unlink()


def _save(folder: Path) -> None:
    """Write the guest's memory to a file, and all it still holds back to its disk."""
    target = {"uri": f"exec:cat > '{folder}/memory'"}
    vm_qemu.manage(folder, {"execute": "stop"}, {"execute": "migrate", "arguments": target})
    while (status := vm_qemu.manage(folder, {"execute": "query-migrate"})[0]["status"]) != "completed":
        if status == "failed":
            raise LabError("the VM's memory could not be saved")
        time.sleep(0.2)
