"""A site of throw-away machines on this computer: the hosts of an inventory, and the faults of a data centre."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from . import faults, image, lifecycle, network, requirements, ssh, status, topology
from .artifacts import catalogue, golang, store
from .cgroups import members_of
from .errors import LabError
from .progress import Progress
from .system import require_root
from .topology import Lab

Arguments = argparse.Namespace
DEFAULT_INVENTORY = topology.ROOT / "inventories" / "lab"


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        require_root()
        arguments.run(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    parser.add_argument("-i", "--inventory", default=str(DEFAULT_INVENTORY), help="default: %(default)s")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[Arguments], None], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("-i", "--inventory", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        command.set_defaults(run=function)
        return command

    add("up", up, "bring up the lab, or the named hosts of it").add_argument("host", nargs="*")
    add("down", down, "take the lab away, in whatever state it is")
    add("status", show_status, "show hosts, addresses, states and cuts")
    command = add("ssh", open_shell, "log in to a host, or run a command there")
    command.add_argument("host")
    command.add_argument("command", nargs=argparse.REMAINDER)
    add("kill", kill, "cut the power of a host; its disk stays").add_argument("host")
    add("start", start, "power a host on again").add_argument("host")
    add("freeze", freeze, "stop all processes of a host where they are").add_argument("host")
    add("thaw", thaw, "let a frozen host go on").add_argument("host")
    command = add("cut", cut, "separate two sets of hosts: cut db1,db2 cp1")
    command.add_argument("left")
    command.add_argument("right")
    add("heal", heal, "undo all cuts")
    command = add("fill", fill, "make the disk of a node full")
    command.add_argument("host")
    command.add_argument("--free", action="store_true", help="give the disk its size back")
    add("image", build_image, "build the image of the nodes, if it is not in the cache")
    add("artifacts", build_artifacts, "build what the lab serves besides packages, if it is not in the cache")
    command = add("requirements", show_requirements, "say what this machine lacks")
    command.add_argument("--install", action="store_true", help="install it (Debian)")
    add("clean", clean, "take away all labs of the cache, and the cache")
    return parser


def lab_of(arguments: Arguments) -> Lab:
    return topology.read(arguments.inventory)


def up(arguments: Arguments) -> None:
    lab = lab_of(arguments)
    lifecycle.up(lab, lab.select(arguments.host))


def down(arguments: Arguments) -> None:
    lab = lab_of(arguments)
    stopped = lifecycle.down(lab)
    print(f"lab {lab.name}: {stopped} machines stopped, nothing left" if stopped else f"lab {lab.name}: nothing left")


def show_status(arguments: Arguments) -> None:
    lab = lab_of(arguments)
    print(status.table(lab, members_of(lab.name)))


def open_shell(arguments: Arguments) -> None:
    lab = lab_of(arguments)
    host = lab.host(arguments.host)
    if not members_of(lab.name).running(host.name):
        raise LabError(f"{host.name}: not running")
    words = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    command = ssh.command(lab, host, *words)
    os.execvp(command[0], command)


def kill(arguments: Arguments) -> None:
    lab = lab_of(arguments)
    lifecycle.power_off(lab, lab.host(arguments.host))


def start(arguments: Arguments) -> None:
    lab = lab_of(arguments)
    lifecycle.power_on(lab, lab.host(arguments.host))


def freeze(arguments: Arguments) -> None:
    lab = lab_of(arguments)
    faults.freeze(lab.host(arguments.host), members_of(lab.name), True)


def thaw(arguments: Arguments) -> None:
    lab = lab_of(arguments)
    faults.freeze(lab.host(arguments.host), members_of(lab.name), False)


def cut(arguments: Arguments) -> None:
    faults.cut(lab_of(arguments), arguments.left, arguments.right)


def heal(arguments: Arguments) -> None:
    network.heal(lab_of(arguments))


def fill(arguments: Arguments) -> None:
    lab = lab_of(arguments)
    faults.fill(lab, lab.host(arguments.host), full=not arguments.free)


def build_image(arguments: Arguments) -> None:
    lab = lab_of(arguments)
    requirements.check(())
    with lifecycle.locked(lab), Progress().working(f"image of {lab.suite}"):
        root, seconds = image.ensure(lab, members_of(lab.name))
    print(f"{root} " + (f"built in {seconds:.0f} s" if seconds else "is in the cache"))


def build_artifacts(arguments: Arguments) -> None:
    lab = lab_of(arguments)
    requirements.check(())
    catalogue.check(lab)
    with lifecycle.locked(lab):
        for artifact, path in catalogue.ensure(lab, members_of(lab.name), Progress()):
            print(f"{artifact.component:<12} {path}")


def show_requirements(arguments: Arguments) -> None:
    if arguments.install:
        installed = requirements.install() + golang.install()
        if installed:
            print(f"installed {', '.join(installed)}")
    lack = golang.missing()
    if lack:
        print(f"without {lack}, artifacts written in Go must be given in {store.VARIABLE}")
    missing = requirements.report()
    if missing:
        raise LabError(f"this machine lacks {', '.join(missing)}")


def clean(arguments: Arguments) -> None:
    cache = topology.cache_root()
    sites = lifecycle.clean(cache)
    print(f"{cache} removed" + (f", with lab {', '.join(sites)}" if sites else ""))
