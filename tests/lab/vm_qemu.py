"""QEMU: the machine, its management socket and the console by which the lab reaches a guest that has no address yet."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import LabError
from .system import run

PROGRAM = "qemu-system-x86_64"
START_SECONDS = 10
# Half a minute on a machine with nothing else to do, ten times that on a busy one.
BOOT_SECONDS = 600
# Emulation is the common ground: a snapshot taken on one machine starts on any other, with or without KVM. A plain
# processor is emulated faster than a rich one, and one of them with less work than two that wait for each other.
MACHINE = (
    *("-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc"),
    *("-accel", "tcg,tb-size=512", "-cpu", "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq", "-smp", "1"),
    # A restored machine runs at once, although it was saved standing still.
    *("-global", "migration.store-global-state=off"),
)
# Snapshots need the same devices in the same order: there is one list of them.
DEVICES = (
    *("-device", "virtio-blk-pci,drive=root"),
    *("-device", "virtio-net-pci,netdev=net,romfile="),
    *("-device", "virtio-rng-pci"),
)
KERNEL_ARGUMENTS = (
    "root=/dev/vda rw quiet console=ttyS0 no_timer_check net.ifnames=0 systemd.getty_auto=0 mitigations=off "
    "security=selinux selinux=1 enforcing=1 audit=1"
)
CONSOLE, MANAGEMENT, SERIAL, LOG = LEFTOVERS = ("console.sock", "qmp.sock", "serial.log", "qemu.log")


def version() -> str:
    return run(PROGRAM, "--version").splitlines()[0]


def command(
    folder: Path, image: Path, memory: str, drive: str, network: str, incoming: Path | None = None
) -> list[str]:
    """Run the machine in `folder`, from power-on or from the memory of another one."""
    argv = [
        *("env", f"--chdir={folder}", PROGRAM, *MACHINE, "-m", memory),
        *("-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd.img"), "-append", KERNEL_ARGUMENTS),
        *("-drive", f"{drive},if=none,id=root,cache=unsafe,discard=unmap", "-netdev", f"{network},id=net", *DEVICES),
        *("-serial", f"file:{SERIAL}"),
        *("-chardev", f"socket,id=console,path={CONSOLE},server=on,wait=off", "-serial", "chardev:console"),
        *("-qmp", f"unix:{MANAGEMENT},server=on,wait=off"),
    ]
    return [*argv, "-incoming", f"exec:cat '{incoming}'"] if incoming else argv


@contextmanager
def _connection(folder: Path, name: str) -> Iterator[socket.socket]:
    """Connect to a socket of a machine that is just starting; by file descriptor, as socket paths must be short."""
    handle = os.open(folder, os.O_RDONLY)
    deadline = time.monotonic() + START_SECONDS
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            while True:
                try:
                    connection.connect(f"/proc/self/fd/{handle}/{name}")
                    break
                except (FileNotFoundError, ConnectionRefusedError):
                    if time.monotonic() > deadline:
                        raise LabError(f"{folder.name}: QEMU did not start (see {folder}/{LOG})") from None
                    time.sleep(0.02)
        finally:
            os.close(handle)
        yield connection


def manage(folder: Path, *commands: dict[str, Any]) -> list[Any]:
    """Send commands to the management socket and return their answers."""
    answers = []
    with _connection(folder, MANAGEMENT) as connection, connection.makefile("rw") as stream:
        stream.readline()
        for request in ({"execute": "qmp_capabilities"}, *commands):
            stream.write(json.dumps(request) + "\n")
            stream.flush()
            answer: dict[str, Any] = {}
            while not answer.keys() & {"return", "error"}:
                answer = json.loads(stream.readline())
            if "error" in answer:
                raise LabError(f"{folder.name}: {request['execute']}: {answer['error']['desc']}")
            answers.append(answer["return"])
    return answers[1:]


def console(folder: Path, script: str, seconds: float) -> str:
    """Run a shell script in the guest as root and return what it printed; waits for the guest to come up first."""
    ready, done = f"@{secrets.token_hex(6)}", f"@{secrets.token_hex(6)}"
    # The marks are sent in two parts: a terminal that still echoes does not answer for the shell. Programs write into
    # a pipe, since the policy keeps confined ones off the serial line.
    question = f"printf '%s%s\\n' @ {ready[1:]}\n".encode()
    task = f"out=$( ( set -e\n{script}\n) </dev/null 2>&1 ); code=$?\n"
    task += f"printf '%s\\n%s%s %s\\n' \"$out\" @ {done[1:]} $code\n"
    deadline = time.monotonic() + seconds
    with _connection(folder, CONSOLE) as connection:
        received = ""
        while ready not in received:
            with suppress(TimeoutError, ConnectionError):
                connection.sendall(question)
            received += _receive(connection, min(1.0, deadline - time.monotonic()), folder)
        connection.sendall(task.encode())
        while not (answer := re.search(rf"(?s)(.*)\n{done} (\d+)\n", received)):
            received += _receive(connection, deadline - time.monotonic(), folder)
    output = answer[1].rpartition(f"{ready}\n")[2].strip()
    if answer[2] != "0":
        reason = output.splitlines() or [f"exit code {answer[2]}"]
        raise LabError(f"{folder.name}: the guest could not be set up: {reason[-1]}")
    return output


def _receive(connection: socket.socket, seconds: float, folder: Path) -> str:
    if seconds <= 0:
        raise LabError(f"{folder.name}: the guest does not answer on its console (see {folder}/{SERIAL})")
    connection.settimeout(seconds)
    try:
        data = connection.recv(65536)
    except TimeoutError:
        return ""
    except ConnectionError:
        data = b""
    if not data:
        raise LabError(f"{folder.name}: QEMU ended (see {folder}/{LOG})")
    return data.decode(errors="replace")
