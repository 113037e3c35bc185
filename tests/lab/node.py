"""A node: a systemd-nspawn machine whose disk is an overlay over the image, the upper side on a small tmpfs of its own."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path

from . import network
from .cgroups import Members
from .image import OPERATOR
from .system import mounts_below, run, unmount_below, wait_until
from .topology import Host, Lab

OPERATOR_ID, OPERATOR_GROUP = 1000, 37  # Debian has a group of that name
NSPAWN_STATE = Path("/run/systemd/nspawn")


def folder(lab: Lab, host: Host) -> Path:
    return lab.state / "nodes" / host.name


def disk(lab: Lab, host: Host) -> Path:
    return folder(lab, host) / "disk"


def root(lab: Lab, host: Host) -> Path:
    return folder(lab, host) / "root"


def machine(lab: Lab, host: Host) -> str:
    return f"{lab.name}-{host.name}"


def prepare(lab: Lab, host: Host, image: Path) -> None:
    """Give the node its disk, unless it has one already."""
    if root(lab, host) in mounts_below(root(lab, host)):
        return
    unmount_below(folder(lab, host))
    for path in (disk(lab, host), root(lab, host)):
        path.mkdir(parents=True, exist_ok=True)
    name = f"onprem-lab-{lab.name}"
    run("mount", "-t", "tmpfs", "-o", f"size={host.disk},mode=0755", name, disk(lab, host))
    for part in ("upper", "work"):
        (disk(lab, host) / part).mkdir()
    layers = f"lowerdir={image},upperdir={disk(lab, host)}/upper,workdir={disk(lab, host)}/work"
    run("mount", "-t", "overlay", "-o", layers, name, root(lab, host))
    _personalise(lab, host)


def _personalise(lab: Lab, host: Host) -> None:
    top = root(lab, host)
    batch = (
        "link set lo up\n"
        f"address replace {host.address}/{lab.prefix_length} dev eth0\n"
        "link set eth0 up\n"
        f"route replace default via {lab.bridge_address}\n"
    )
    files = {
        "etc/hostname": f"{host.name}\n",
        "etc/hosts": f"127.0.0.1 localhost\n{host.address} {host.name}\n",
        "etc/machine-id": f"{uuid.uuid4().hex}\n",
        "etc/onprem-lab/network": batch,
    }
    for name, content in files.items():
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_text(content)
    key = top / "etc/ssh/ssh_host_ed25519_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", key)
    (folder(lab, host) / "host_key.pub").write_text(key.with_suffix(".pub").read_text())
    keys = top / "home" / OPERATOR / ".ssh"
    keys.mkdir(mode=0o700)
    (keys / "authorized_keys").write_text(lab.key.with_suffix(".pub").read_text())
    for path in (keys, keys / "authorized_keys"):
        os.chown(path, OPERATOR_ID, OPERATOR_GROUP)


def boot(lab: Lab, host: Host, members: Members) -> None:
    """Power the node on, with its disk as it is."""
    if members.running(host.name):
        return
    port = network.port_of(host.address)
    argv = [
        "systemd-nspawn", "--quiet", "--boot", "--keep-unit", "--register=no", f"--machine={machine(lab, host)}",
        f"--hostname={host.name}", f"--directory={root(lab, host)}", f"--network-veth-extra={port}:eth0",
        "--resolv-conf=off", "--link-journal=no", "--timezone=off", "--console=pipe",
    ]
    log = folder(lab, host) / "console.log"
    members.start(host.name, argv, {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}, log)
    cable = Path("/sys/class/net") / port
    wait_until(cable.exists, 10, f"{host.name}: start of systemd-nspawn (see {log})", pause=0.02)
    network.plug(lab, port)


def power_off(lab: Lab, host: Host, members: Members) -> None:
    """Cut the power: no shutdown, no last words. The disk stays."""
    members.kill(host.name)
    members.remove(host.name)
    cable = network.port_of(host.address)
    wait_until(lambda: not (Path("/sys/class/net") / cable).exists(), 10, f"{host.name}: end of its network")
    forget(machine(lab, host))


def forget(name: str) -> None:
    """Remove what systemd-nspawn notes about a machine outside of it."""
    for path in NSPAWN_STATE.glob(f"*/{name}"):
        subprocess.run(["umount", "--quiet", "--lazy", path], check=False)
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
