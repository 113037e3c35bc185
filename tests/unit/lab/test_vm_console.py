"""The console protocol against a real shell, as the guest's service runs it."""

import socket
import subprocess
import threading
import time

import pytest

from lab import vm_qemu
from lab.errors import LabError


@pytest.fixture
def guest(tmp_path):
    """Serve the console socket by a program; returns the folder of the machine."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / vm_qemu.CONSOLE))
    listener.listen()

    def serve(*program):
        def run():
            connection, _ = listener.accept()
            with connection:
                subprocess.run(program, stdin=connection, stdout=connection, stderr=subprocess.DEVNULL, check=False)

        threading.Thread(target=run, daemon=True).start()
        return tmp_path

    yield serve
    listener.close()


def test_a_script_runs_and_its_output_comes_back(guest):
    folder = guest("sh", "-s")
    assert vm_qemu.console(folder, "echo first\necho second >&2", 10) == "first\nsecond"


def test_a_guest_that_boots_slowly_is_waited_for(guest):
    folder = guest("sh", "-c", "sleep 2; exec sh -s")
    assert vm_qemu.console(folder, "echo here", 10) == "here"


def test_the_guests_echo_is_not_taken_for_an_answer(guest):
    folder = guest("sh", "-c", "head -n 2; exec sh -s")
    assert vm_qemu.console(folder, "echo here", 10) == "here"


def test_a_script_does_not_read_the_next_one(guest):
    folder = guest("sh", "-s")
    assert vm_qemu.console(folder, "cat\necho end", 10) == "end"


def test_a_failing_script_is_one_line(guest):
    folder = guest("sh", "-s")
    with pytest.raises(LabError, match=r"the guest could not be set up: no such key$"):
        vm_qemu.console(folder, "echo start\necho no such key\nfalse\necho not reached", 10)


def test_a_silent_guest_is_given_up(guest):
    started = time.monotonic()
    with pytest.raises(LabError, match="does not answer on its console"):
        vm_qemu.console(guest("sleep", "30"), "true", 1.5)
    assert time.monotonic() - started < 5


def test_a_machine_that_ends_is_noticed(guest):
    with pytest.raises(LabError, match="QEMU ended"):
        vm_qemu.console(guest("true"), "true", 10)


def test_a_machine_that_never_started_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(vm_qemu, "START_SECONDS", 0.2)
    with pytest.raises(LabError, match="QEMU did not start"):
        vm_qemu.console(tmp_path, "true", 10)
