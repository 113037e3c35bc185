"""Bringing a lab up and taking it away."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from . import image, network, node, packages, ssh
from .cgroups import members_of
from .system import remove_tree, unmount_below, wait_until
from .topology import NODE, Host, Lab


def up(lab: Lab, names: list[str]) -> None:
    started = time.monotonic()
    hosts = lab.select(names)
    members = members_of(lab.name)
    lab.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    ssh.make_key(lab)
    base, seconds = image.ensure(lab, members)
    if seconds:
        print(f"image {base.name}: built in {seconds:.0f} s", flush=True)
    network.up(lab)
    packages.up(lab, members)

    def start(host: Host) -> None:
        node.prepare(lab, host, base)
        node.boot(lab, host, members)

    def wait(host: Host) -> None:
        wait_until(lambda: ssh.available(lab, host), 60, f"{host.name}: ssh")
        print(f"{host.name}: {time.monotonic() - started:.1f} s", flush=True)

    nodes = [host for host in hosts if host.kind == NODE]
    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(start, nodes))
        ssh.write_known_hosts(lab)
        list(pool.map(wait, nodes))


def down(lab: Lab) -> None:
    members = members_of(lab.name)
    names = members.names()
    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(members.kill, names))
    for name in names:
        members.remove(name)
    members.remove_site()
    network.down(lab)
    unmount_below(lab.state)
    for path in node.NSPAWN_STATE.glob(f"*/{lab.name}-*"):
        node.forget(path.name)
    remove_tree(lab.state)
