"""A node: a systemd-nspawn machine whose disk is an overlay over the image, the upper side on a small tmpfs of its own.

Root in a node owns its network, its mounts and its cgroups, and nothing of the host: all of it is in a user namespace.
A node that runs pods is the exception.
"""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

from . import network, pods
from .cgroups import Members
from .owners import FIRST_ID, give
from .recipe import OPERATOR
from .system import mounts_below, run, unmount_below, wait_until
from .topology import Host, Lab

OPERATOR_ID, OPERATOR_GROUP = 1000, 37  # Debian has a group of that name
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"
NSPAWN_STATE = Path("/run/systemd/nspawn")
DATA = "var/lib"
NETWORK_DEVICES = Path("/sys/class/net")
# /tmp stays on the disk, as on a fresh server; what mounts a tmpfs there then owns it.
ENVIRONMENT = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_TMPFS_TMP": "0"}


def folder(lab: Lab, host: Host) -> Path:
    return lab.state / "nodes" / host.name


def disk(lab: Lab, host: Host) -> Path:
    return folder(lab, host) / "disk"


def root(lab: Lab, host: Host) -> Path:
    return folder(lab, host) / "root"


def first_id(host: Host) -> int:
    """The number that root of the node has on the host."""
    return 0 if host.runs_pods else FIRST_ID


def machine(lab: Lab, host: Host) -> str:
    return f"{lab.name}-{host.name}"


def prepare(lab: Lab, host: Host, image: Path) -> None:
    """Give the node its disk, unless it has one already."""
    done = folder(lab, host) / "host_key.pub"  # written last
    if done.exists() and root(lab, host) in mounts_below(root(lab, host)):
        return
    done.unlink(missing_ok=True)
    unmount_below(folder(lab, host))
    for path in (disk(lab, host), root(lab, host)):
        path.mkdir(parents=True, exist_ok=True)
    name = f"onprem-lab-{lab.name}"
    run("mount", "-t", "tmpfs", "-o", f"size={host.disk},mode=0755", name, disk(lab, host))
    upper, work = disk(lab, host) / "upper", disk(lab, host) / "work"
    for part in (upper, work):
        part.mkdir()
    give(upper, first_id(host))
    run("mount", "-t", "overlay", "-o", f"lowerdir={image},upperdir={upper},workdir={work}", name, root(lab, host))
    _personalise(lab, host)
    done.write_text((root(lab, host) / f"{HOST_KEY}.pub").read_text())


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
    (top / "etc/onprem-lab").mkdir()
    give(top / "etc/onprem-lab", first_id(host))
    for name, content in files.items():
        (top / name).write_text(content)
        give(top / name, first_id(host))
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", top / HOST_KEY)
    for name in (HOST_KEY, f"{HOST_KEY}.pub"):
        give(top / name, first_id(host))
    keys = top / "home" / OPERATOR / ".ssh"
    keys.mkdir(mode=0o700)
    (keys / "authorized_keys").write_text(lab.key.with_suffix(".pub").read_text())
    for path in (keys, keys / "authorized_keys"):
        give(path, first_id(host), OPERATOR_ID, OPERATOR_GROUP)
    if host.runs_pods:
        _ready_for_pods(lab, host)


def _ready_for_pods(lab: Lab, host: Host) -> None:
    top = root(lab, host)
    for name, content in pods.files(pods.this_machine()).items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(content)
    run("systemctl", f"--root={top}", "--quiet", "enable", pods.UNIT_NAME)
    # Layers of containers cannot lie upon an overlay.
    run("cp", "--archive", top / DATA, disk(lab, host) / "data")


def boot(lab: Lab, host: Host, members: Members) -> None:
    """Power the node on, with its disk as it is."""
    port = network.port_of(host.address)
    log = folder(lab, host) / "console.log"
    if not members.running(host.name):
        members.start(host.name, command(lab, host), environment(host), log)
    wait_until((NETWORK_DEVICES / port).exists, 10, f"{host.name}: start of systemd-nspawn (see {log})", pause=0.02)
    network.plug(lab, port)


def environment(host: Host) -> dict[str, str]:
    return {**ENVIRONMENT, **(pods.environment(pods.this_machine()) if host.runs_pods else {})}


def command(lab: Lab, host: Host) -> list[str]:
    own_users = [f"--private-users={FIRST_ID}:65536", "--private-users-ownership=off"]
    data = f"--bind={disk(lab, host) / 'data'}:/{DATA}"
    return [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        "--keep-unit",
        "--register=no",
        f"--machine={machine(lab, host)}",
        f"--hostname={host.name}",
        f"--directory={root(lab, host)}",
        *([*pods.options(), data] if host.runs_pods else own_users),
        f"--network-veth-extra={network.port_of(host.address)}:eth0",
        "--resolv-conf=off",
        "--link-journal=no",
        "--timezone=off",
        "--console=pipe",
        *(pods.boot_parameters(pods.this_machine()) if host.runs_pods else []),
    ]


def power_off(lab: Lab, host: Host, members: Members) -> None:
    """Cut the power: no shutdown, no last words. The disk stays."""
    members.kill(host.name)
    members.remove(host.name)
    cable = NETWORK_DEVICES / network.port_of(host.address)
    # The kernel takes networks apart one after the other, and may have many to do.
    wait_until(lambda: not cable.exists(), 180, f"{host.name}: end of its network")
    forget(machine(lab, host), root(lab, host))


def forget(name: str, top: Path) -> None:
    """Remove what systemd-nspawn notes about a machine outside of it."""
    where = top.stat()
    (NSPAWN_STATE / "locks" / f"inode-{where.st_dev}:{where.st_ino}").unlink(missing_ok=True)
    (top.parent / f".#{top.name}.lck").unlink(missing_ok=True)
    for path in NSPAWN_STATE.glob(f"*/{name}"):
        subprocess.run(["umount", "--quiet", "--lazy", path], stderr=subprocess.DEVNULL, check=False)
        path.rmdir() if path.is_dir() else path.unlink()
