"""Bringing a lab up and taking it away. Both find out what is there by asking the system, not by remembering."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from . import hostlimits, image, network, node, packages, requirements, site_files, ssh
from .artifacts import catalogue, store
from .cgroups import Members, members_of
from .errors import LabError
from .progress import Progress
from .system import mounts_below, remove_tree, unmount_below, wait_until
from .topology import NODE, VM, Host, Lab, remains

SSH_SECONDS = {NODE: 60, VM: 240}


@contextmanager
def locked(lab: Lab) -> Iterator[None]:
    """One change of a lab at a time. The lock is on the open folder of its state, which `down` may remove meanwhile."""
    while True:
        lab.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(lab.state, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if lab.state.is_dir() and os.fstat(handle).st_ino == lab.state.stat().st_ino:
            break
        os.close(handle)
    try:
        yield
    finally:
        os.close(handle)


def up(lab: Lab, hosts: tuple[Host, ...]) -> None:
    requirements.check(hosts)
    catalogue.check(lab)
    progress = Progress()
    members = members_of(lab.name)
    with locked(lab):
        off = [host for host in hosts if not members.running(host.name)]
        hostlimits.check([host for host in off if host.kind == NODE], hostlimits.in_use())
        ssh.make_key(lab)
        bases = _ensure_images(lab, hosts, members, progress)
        network.up(lab)
        packages.up(lab, members)
        site_files.up(lab, members, progress)
        with progress.counting("machines answer ssh", len(hosts)):
            # All known hosts are written before the first login, and a VM is slower than eight nodes.
            _in_parallel(lambda host: prepare(lab, host, bases[host.name]), hosts)
            ssh.write_known_hosts(lab)
            _in_parallel(lambda host: start(lab, host, bases[host.name], members, progress, host in off), hosts)
    progress.say(f"lab {lab.name}: {len(hosts)} machines up, {len(off)} of them now, in {progress.seconds():.1f} s")


def prepare(lab: Lab, host: Host, base: Path) -> None:
    if host.kind == NODE:
        node.prepare(lab, host, base)
    else:
        from . import vm

        vm.prepare(lab, host)


def start(lab: Lab, host: Host, base: Path, members: Members, progress: Progress, fresh: bool) -> None:
    """Boot a host and wait until the operator can log in."""
    began = progress.seconds()
    if members.frozen(host.name):
        raise LabError(f"{host.name}: frozen, thaw it first")
    boot(lab, host, base, members)
    wait_until(lambda: ssh.available(lab, host), SSH_SECONDS[host.kind], f"{host.name}: answer over ssh")
    state = f"started, ssh after {progress.seconds() - began:.1f} s" if fresh else "running already"
    progress.done(f"{host.name:<12} {host.address:<15} {state}")


def boot(lab: Lab, host: Host, base: Path, members: Members) -> None:
    if host.kind == NODE:
        node.boot(lab, host, members)
    else:
        from . import vm

        vm.boot(lab, host, members, base)


def power_on(lab: Lab, host: Host) -> None:
    """Start a host of a lab that is up, with its disk as it was."""
    members, progress = members_of(lab.name), Progress()
    with locked(lab):
        _require_network(lab)
        base = _ensure_images(lab, (host,), members, progress)[host.name]
        prepare(lab, host, base)
        ssh.write_known_hosts(lab)
        start(lab, host, base, members, progress, fresh=not members.running(host.name))


def power_off(lab: Lab, host: Host) -> None:
    members = members_of(lab.name)
    if not members.running(host.name):
        raise LabError(f"{host.name}: not running")
    if host.kind == NODE:
        node.power_off(lab, host, members)
    else:
        from . import vm

        vm.power_off(lab, host, members)


def down(lab: Lab) -> int:
    """Take away whatever there is of a lab; return the number of machines that were running."""
    with locked(lab):
        members = members_of(lab.name)
        names = members.names()
        machines = [name for name in names if not name.startswith("_") and members.running(name)]
        packages.down(members)
        _in_parallel(members.kill, names)
        for name in names:
            members.remove(name)
        members.remove_site()
        network.down(lab)
        _remove_disks(lab)
        for part in _unfinished_images(lab):
            remove_tree(part)
        store.forget(store.all_unfinished(lab))
        remove_tree(lab.state)
    return len(machines)


def clean(cache: Path) -> list[str]:
    """Take away all labs of a cache, then the cache."""
    run_folder = cache / "run"
    sites = sorted(entry.name for entry in run_folder.iterdir() if entry.is_dir()) if run_folder.is_dir() else []
    for site in sites:
        down(remains(site, cache))
    for part in ("artifacts", "images", "packages", "run", "runs", "logs"):
        remove_tree(cache / part)
    if cache.is_dir() and not any(cache.iterdir()):
        cache.rmdir()
    return sites


def _ensure_images(lab: Lab, hosts: Iterable[Host], members: Members, progress: Progress) -> dict[str, Path]:
    """What the disk of each host is made from, built where it is missing."""
    bases: dict[str, Path] = {}
    for first_id in sorted({node.first_id(host) for host in hosts if host.kind == NODE}):
        with progress.working(f"image of {lab.suite}"):
            root, seconds = image.ensure(lab, members, first_id)
        bases |= {host.name: root for host in hosts if host.kind == NODE and node.first_id(host) == first_id}
        if seconds:
            progress.say(f"image of {lab.suite} built in {seconds:.0f} s")
    machines = [host for host in hosts if host.kind == VM]
    if machines:
        from . import vm_image

        with progress.working("snapshot of the VM"):
            snapshot, seconds = vm_image.ensure(lab, machines[-1], members)
        bases |= {host.name: snapshot for host in machines}
        if seconds:
            progress.say(f"snapshot of the VM built in {seconds:.0f} s")
    return bases


def _remove_disks(lab: Lab) -> None:
    for folder in (lab.state / "nodes").glob("*"):
        top = folder / "root"
        if top in mounts_below(folder):
            node.forget(f"{lab.name}-{folder.name}", top)
    unmount_below(lab.state)


def _unfinished_images(lab: Lab) -> list[Path]:
    """What a killed build left."""
    vm = f".building-vm-{lab.name}"
    return [lab.cache / "images" / name for name in (*image.building_names(lab.name), vm, f"{vm}.log")]


def _require_network(lab: Lab) -> None:
    if not network.bridge_exists(lab):
        raise LabError(f"lab {lab.name} is not up")


def _in_parallel(function: Callable[..., object], items: Iterable[object]) -> None:
    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(function, items))
