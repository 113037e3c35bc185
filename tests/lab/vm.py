"""The VM: a host of the lab with a kernel of its own, for what a container cannot show. Same doors as `node`."""

from __future__ import annotations

import time
from pathlib import Path

from . import network, ssh, vm_image, vm_qemu
from .cgroups import Members
from .errors import LabError
from .node import NETWORK_DEVICES, folder
from .system import run, wait_until
from .topology import Host, Lab

# Runs after each start: it gives a fresh snapshot its identity, and any guest the right time.
IDENTITY = """\
date --set=@{now} >/dev/null
cat > /etc/onprem-lab/network <<'END'
link set lo up
link set eth0 address 02:00:{mac}
address replace {host.address}/{lab.prefix_length} dev eth0
link set eth0 up
route replace default via {lab.bridge_address}
END
if test "$(hostname)" != {host.name}; then
echo {host.name} > /etc/hostname
hostname {host.name}
printf '127.0.0.1 localhost\\n{host.address} {host.name}\\n' > /etc/hosts
install -d -o operator -g operator -m 0700 /home/operator/.ssh
echo '{authorized}' > /home/operator/.ssh/authorized_keys
chown operator:operator /home/operator/.ssh/authorized_keys
cat > /etc/ssh/ssh_host_ed25519_key <<'END'
{private}END
echo '{public}' > /etc/ssh/ssh_host_ed25519_key.pub
restorecon -R /etc/hostname /etc/hosts /etc/ssh /etc/onprem-lab /home/operator
systemctl reload ssh.service
fi
systemctl restart onprem-lab-network.service
sync
"""


def disk(lab: Lab, host: Host, snapshot: Path) -> Path:
    """A disk is of use only with the snapshot it was made from."""
    return folder(lab, host) / f"{snapshot.name}.qcow2"


def prepare(lab: Lab, host: Host) -> None:
    """Give the VM its keys, unless it has them already."""
    folder(lab, host).mkdir(parents=True, exist_ok=True)
    key = folder(lab, host) / "host_key"
    if not key.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", key)


def boot(lab: Lab, host: Host, members: Members, snapshot: Path) -> None:
    """Start the VM: from the snapshot if it has no disk yet, else power it on with its disk as it is."""
    home, port = folder(lab, host), network.port_of(host.address)
    running = members.running(host.name)
    if not running:
        _start(lab, host, members, snapshot)
    wait_until(
        (NETWORK_DEVICES / port).exists, 10, f"{host.name}: start of QEMU (see {home}/{vm_qemu.LOG})", pause=0.02
    )
    network.plug(lab, port)
    # A lab that was killed may have left a running machine without identity.
    if not (running and ssh.greets(host)):
        vm_qemu.console(home, identity(lab, host), vm_qemu.BOOT_SECONDS)


def _start(lab: Lab, host: Host, members: Members, snapshot: Path) -> None:
    if snapshot != vm_image.path(lab, host):
        raise LabError(f"{host.name}: all VMs of a lab have the same lab_memory and lab_disk")
    home, overlay = folder(lab, host), disk(lab, host, snapshot)
    fresh = not overlay.exists()
    if fresh:
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", snapshot / "disk.raw", overlay)
    # The cable ends with QEMU; without offloading it is the same as in the snapshot.
    cable = f"tap,ifname={network.port_of(host.address)},script=no,downscript=no,vnet_hdr=off"
    memory = snapshot / "memory" if fresh else None
    argv = vm_qemu.command(home, snapshot, host.memory, f"file={overlay},format=qcow2", cable, memory)
    members.start(host.name, argv, {}, home / vm_qemu.LOG)


def identity(lab: Lab, host: Host) -> str:
    key = folder(lab, host) / "host_key"
    return IDENTITY.format(
        lab=lab,
        host=host,
        now=int(time.time()),
        mac=":".join(f"{int(part):02x}" for part in host.address.split(".")),
        authorized=lab.key.with_suffix(".pub").read_text().strip(),
        private=key.read_text(),
        public=key.with_suffix(".pub").read_text().strip(),
    )


def power_off(lab: Lab, host: Host, members: Members) -> None:
    """Cut the power: no shutdown, no last words. The disk stays."""
    members.kill(host.name)
    members.remove(host.name)
    cable = NETWORK_DEVICES / network.port_of(host.address)
    wait_until(lambda: not cable.exists(), 10, f"{host.name}: end of its network")
