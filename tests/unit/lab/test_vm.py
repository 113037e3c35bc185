"""The VM's command line, its identity and the way in over its console; no machine is started."""

import subprocess
from pathlib import Path

import pytest

from lab import topology, vm, vm_image, vm_qemu
from lab.sources import Mirror

INVENTORY = {
    "_meta": {
        "hostvars": {
            "files1": {
                "ansible_host": "10.78.3.31",
                "lab_kind": "vm",
                "lab_network": "10.78.0.0/16",
                "site_name": "labvm",
            }
        }
    },
    "files": {"hosts": ["files1"]},
}


@pytest.fixture
def lab(tmp_path):
    lab = topology.parse(INVENTORY, "bookworm", tmp_path)
    vm.folder(lab, lab.hosts[0]).mkdir(parents=True)
    lab.key.with_suffix(".pub").write_text("ssh-ed25519 AAAA lab\n")
    return lab


def test_a_restored_machine_has_the_devices_of_the_saved_one():
    image, folder = Path("/cache/vm"), Path("/run/vm")
    saved = vm_qemu.command(image, image, "2G", "file=disk.raw", vm_image.LOOSE_CABLE)
    restored = vm_qemu.command(folder, image, "2G", "file=disk.qcow2", "tap,vnet_hdr=off", image / "memory")
    assert restored[-2:] == ["-incoming", "exec:cat '/cache/vm/memory'"]
    differs = [(old, new) for old, new in zip(saved, restored, strict=False) if old != new]
    assert [old.partition(",")[0] for old, _ in differs] == ["--chdir=/cache/vm", "file=disk.raw", "hubport"]


def test_the_snapshot_is_another_one_when_what_it_is_made_of_changes(monkeypatch):
    monkeypatch.setattr(vm_qemu, "version", lambda: "QEMU emulator version 7.2")
    mirror = Mirror("http://mirror.example/debian", None)
    key = vm_image.key(mirror, "2G", "2G")
    assert vm_image.key(mirror, "2G", "2G") == key
    assert vm_image.key(mirror, "4G", "2G") != key
    monkeypatch.setattr(vm_qemu, "KERNEL_ARGUMENTS", "enforcing=0")
    assert vm_image.key(mirror, "2G", "2G") != key


@pytest.mark.parametrize("script", ["WARM_UP", "SETUP", "disk.sh", "identity"])
def test_the_scripts_of_the_guest_are_shell(lab, script):
    if script == "identity":
        vm.prepare(lab, lab.hosts[0])
        text = vm.identity(lab, lab.hosts[0])
        assert "address replace 10.78.3.31/16 dev eth0" in text
        assert "link set eth0 address 02:00:0a:4e:03:1f" in text
    elif script == "disk.sh":
        text = (vm_image.RECIPE / script).read_text()
    else:
        text = getattr(vm_image, script)
    answer = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_keys_are_made_once(lab):
    vm.prepare(lab, lab.hosts[0])
    first = vm.identity(lab, lab.hosts[0])
    vm.prepare(lab, lab.hosts[0])
    assert vm.identity(lab, lab.hosts[0]).splitlines()[1:] == first.splitlines()[1:]
