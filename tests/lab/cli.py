"""Command line of the lab."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import lifecycle, network, ssh, topology
from .errors import LabError
from .system import require_root

ROOT = Path(__file__).resolve().parent.parent.parent


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        require_root()
        return arguments.run(arguments) or 0
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    parser.add_argument("-i", "--inventory", default=str(ROOT / "inventories/lab"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name, function, *arguments, **options):
        command = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        command.set_defaults(run=function)
        command.add_argument("-i", "--inventory", default=argparse.SUPPRESS)
        for argument in arguments:
            command.add_argument(argument, **options)
        return command

    add("up", up, "host", nargs="*")
    add("down", down)
    add("ssh", open_shell, "node").add_argument("command", nargs=argparse.REMAINDER)
    return parser


def lab_of(arguments):
    return topology.read(arguments.inventory)


def up(arguments):
    """bring the lab up, or the named hosts of it"""
    lifecycle.up(lab_of(arguments), arguments.host)


def down(arguments):
    """take the lab away, whatever state it is in"""
    lifecycle.down(lab_of(arguments))


def open_shell(arguments):
    """log in to a node, or run a command there"""
    lab = lab_of(arguments)
    command = ssh.command(lab, lab.host(arguments.node), *arguments.command)
    os.execvp(command[0], command)
