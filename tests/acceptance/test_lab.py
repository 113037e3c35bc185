"""The lab keeps what it promises: real machines, real faults, nothing changed on the host, nothing left behind."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import cgroups, network, node, scratch, ssh, topology
from lab.artifacts import store

HOSTS = ["gateway1", "db1", "db2"]


@pytest.fixture(scope="module")
def site(start_site) -> scratch.Site:
    return start_site("labtest", "97", HOSTS)


@pytest.fixture
def spare(tmp_path: Path) -> Iterator[scratch.Site]:
    """A site that is not up yet; whatever a test does with it, nothing stays."""
    spare = scratch.Site(scratch.copy_of_example(tmp_path / "inventory", "labspare", "98", ["db1", "db2"]))
    spare.down()
    yield spare
    spare.down()


def run(site: scratch.Site, host: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script on a host; unlike `lab ssh` it does not read the inventory again."""
    login = ssh.command(site.lab, site.lab.host(host), script, batch=True)
    return subprocess.run(login, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def root(site: scratch.Site, host: str, script: str) -> subprocess.CompletedProcess[str]:
    return run(site, host, f"sudo sh -c {shlex.quote(script)}")


def reaches(site: scratch.Site, source: str, target: str) -> bool:
    return run(site, source, f"ping -c 1 -W 1 {site.lab.host(target).address}").returncode == 0


def traces(lab: topology.Lab) -> list[str]:
    """Everything on the system that has to do with a lab."""
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if f"{lab.state}/" in line]
    names = [lab.bridge, *(network.port_of(host.address) for host in lab.hosts)]
    links = [path for name in names if (path := node.NETWORK_DEVICES / name).exists()]
    tables = [line for line in _output("nft", "list", "tables").splitlines() if line.endswith(f" {network.table(lab)}")]
    patterns = (f"onprem-lab/{lab.name}", f"onpremlab_{lab.name}.slice")
    groups = [path for top in cgroups.hierarchies().values() for pattern in patterns for path in top.glob(pattern)]
    commands = [path.read_bytes().replace(b"\0", b" ").decode() for path in _commands()]
    processes = [command for command in commands if f"{lab.state}/" in command or f"--machine={lab.name}-" in command]
    notes = [path for host in lab.hosts for path in node.NSPAWN_STATE.glob(f"*/{node.machine(lab, host)}")]
    builds = [*(lab.cache / "images").glob(f".building*{lab.name}*"), *store.all_unfinished(lab)]
    files = [lab.state] if lab.state.exists() else []
    return [str(trace) for trace in (*mounts, *links, *tables, *groups, *processes, *notes, *builds, *files)]


def _output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def _commands() -> Iterator[Path]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            path.read_bytes()
        except OSError:
            continue
        yield path


# What a node is


def test_a_node_is_a_running_debian_machine_with_its_own_name_and_address(site):
    answer = run(
        site, "db1", "hostname; systemctl is-system-running; cat /etc/debian_version; hostname -I; sudo id -un"
    )
    name, state, version, address, user = answer.stdout.split()
    assert (name, state, address, user) == ("db1", "running", "10.97.3.11", "root")
    assert version.startswith("12.")


def test_nodes_have_ssh_keys_of_their_own(site):
    keys = {line.split()[2] for line in site.lab.known_hosts.read_text().splitlines()}
    assert len(keys) == len(HOSTS)


def test_up_twice_is_harmless(site):
    before = run(site, "db1", "cat /proc/sys/kernel/random/boot_id").stdout
    again = site.command("up")
    assert again.returncode == 0
    assert "started" not in again.stdout
    assert run(site, "db1", "cat /proc/sys/kernel/random/boot_id").stdout == before


def test_the_status_shows_hosts_groups_addresses_and_states(site):
    lines = [line.split()[:4] for line in site.command("status").stdout.splitlines()]
    assert ["db1", "cache,database,objects", "10.97.3.11", "running"] in lines


def test_debian_packages_reach_a_node_through_the_bridge(site):
    address = f"http://{site.lab.bridge_address}:3142"
    assert "200 OK" in run(site, "db1", f"curl -sI {address}/debian/dists/{site.lab.suite}/InRelease").stdout


def test_what_was_built_for_the_site_reaches_a_node_whole(site):
    pins = json.loads(site.lab.file_of_site("pins").read_text())
    archives = [archive for pin in pins.values() for archive in pin.get("archives", {}).values()]
    assert len(archives) == 2
    for archive in archives:
        assert archive["sha256"] in run(site, "db1", f"curl -s {archive['url']} | sha256sum").stdout


def test_a_node_reaches_nothing_but_the_lab(site):
    # An address of the documentation range: any answer, even a refusal, would come from outside.
    outside = run(site, "db1", "curl --silent --max-time 2 http://192.0.2.80/")
    assert outside.returncode == 28
    proxied = run(site, "db1", f"curl -s -o /dev/null -w '%{{http_code}}' -x {site.lab.mirror} http://192.0.2.80/")
    assert proxied.stdout == "403"
    ssh_of_the_host = run(site, "db1", f"timeout 2 bash -c '</dev/tcp/{site.lab.bridge_address}/22'")
    assert ssh_of_the_host.returncode == 124


# What a node cannot do, even if its root tries


@pytest.mark.parametrize(
    "way",
    [
        "echo 1 > /proc/sys/{setting}",
        "mount -o remount,rw /proc/sys; mount -o remount,rw,bind /proc/sys; echo 1 > /proc/sys/{setting}",
        "mkdir -p /mnt/proc && mount -t proc proc /mnt/proc; echo 1 > /mnt/proc/sys/{setting}; umount /mnt/proc",
    ],
)
@pytest.mark.parametrize("setting", ["kernel/panic_on_oops", "vm/swappiness", "fs/file-max"])
def test_a_node_cannot_change_kernel_settings_of_the_host(site, way, setting):
    before = Path("/proc/sys", setting).read_text()
    root(site, "db1", way.format(setting=setting).replace("echo 1", f"echo {int(before.split()[0]) ^ 1}"))
    assert Path("/proc/sys", setting).read_text() == before


def test_a_node_has_network_settings_of_its_own(site):
    before = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    changed = root(site, "db1", "sysctl -w net.ipv4.ip_forward=1 && cat /proc/sys/net/ipv4/ip_forward")
    assert changed.stdout.split()[-1] == "1"
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == before


def test_a_node_cannot_write_to_sysfs(site):
    script = """
    mkdir -p /mnt/sys && mount -t sysfs sysfs /mnt/sys; mount -o remount,rw /mnt/sys
    for top in /sys /mnt/sys; do
      find $top/kernel $top/block $top/module -type f -writable 2>/dev/null | head -200 | while read -r file; do
        cat "$file" > /tmp/value 2>/dev/null && cat /tmp/value > "$file" 2>/dev/null && echo "$file"
      done
    done
    umount /mnt/sys
    """
    assert root(site, "db1", script).stdout == ""


def test_a_node_cannot_read_or_make_devices_of_the_host(site):
    numbers = [path.read_text().strip() for path in Path("/sys/class/block").glob("*/dev")]
    script = f"""
    for number in {" ".join(numbers)}; do
      mknod /root/disk b ${{number%:*}} ${{number#*:}} && head -c 1 /root/disk && echo read; rm -f /root/disk
    done
    """
    assert root(site, "db1", script).stdout == ""


def test_a_node_cannot_stop_other_nodes_by_their_cgroups(site):
    script = """
    mkdir -p /mnt/unified && mount -t cgroup2 cgroup2 /mnt/unified
    for kind in cpu cpuacct cpuset memory devices freezer blkio pids; do
      mkdir -p /mnt/$kind && mount -t cgroup -o $kind cgroup /mnt/$kind
    done 2>/dev/null
    for top in /sys/fs/cgroup /mnt/*; do
      find "$top" "$top/.." -xdev -path '*db2*' -writable -name 'cgroup.*'
    done
    umount /mnt/*
    """
    assert root(site, "db1", script).stdout == ""
    assert cgroups.members_of(site.lab.name).running("db2")


def test_a_node_cannot_change_its_image(site):
    lower = Path(_mount_option(node.root(site.lab, site.lab.host("db1")), "lowerdir"))
    before = (lower / "etc/os-release").read_text()
    changed = root(site, "db1", "echo changed > /etc/os-release; cat /etc/os-release; rm /usr/bin/curl")
    assert changed.stdout == "changed\n"
    assert (lower / "etc/os-release").read_text() == before
    assert (lower / "usr/bin/curl").exists()
    assert run(site, "db2", "curl --version").returncode == 0
    assert root(site, "db1", f"ls {lower} {site.lab.cache}").stdout == ""


def _mount_option(point: Path, name: str) -> str:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, _, options, *_ = line.split()
        if where == str(point):
            return dict(option.partition("=")[::2] for option in options.split(","))[name]
    raise AssertionError(f"{point} is not mounted")


# Faults


def test_a_cut_separates_two_sets_of_hosts_until_it_is_healed(site):
    assert site.command("cut", "db1,gateway1", "db2").returncode == 0
    assert not reaches(site, "db1", "db2")
    assert not reaches(site, "db2", "gateway1")
    assert reaches(site, "db1", "gateway1")
    assert "cut: db2 -> " in site.command("status").stdout
    assert site.command("heal").returncode == 0
    assert reaches(site, "db1", "db2")


def test_a_frozen_host_neither_answers_nor_forgets(site):
    run(site, "db1", "echo remembered > /tmp/note")
    assert site.command("freeze", "db1").returncode == 0
    assert "frozen" in site.command("status").stdout
    inventory = ["--inventory", str(site.inventory)]
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([scratch.LAB, *inventory, "ssh", "db1", "true"], capture_output=True, timeout=4, check=False)
    assert site.command("thaw", "db1").returncode == 0
    assert run(site, "db1", "cat /tmp/note").stdout == "remembered\n"


def test_a_killed_host_is_off_at_once_and_starts_with_its_disk(site):
    before = run(site, "db1", "echo kept > ~/kept; cat /proc/sys/kernel/random/boot_id").stdout
    assert site.command("kill", "db1").returncode == 0
    assert not reaches(site, "db2", "db1")
    assert ["db1", "cache,database,objects", "10.97.3.11", "off"] in [
        line.split()[:4] for line in site.command("status").stdout.splitlines()
    ]
    assert site.command("start", "db1").returncode == 0
    kept, boot = run(site, "db1", "cat ~/kept /proc/sys/kernel/random/boot_id").stdout.split()
    assert kept == "kept"
    assert boot != before.strip()


def test_a_full_disk_is_that_of_the_node_alone(site):
    host_before = os.statvfs(site.lab.cache).f_bavail
    assert site.command("fill", "db1").returncode == 0
    full = root(site, "db1", "head -c 100000 /dev/zero > /var/tmp/more")
    assert "No space left on device" in full.stderr
    assert root(site, "db2", "head -c 100000 /dev/zero > /var/tmp/more").returncode == 0
    assert host_before - os.statvfs(site.lab.cache).f_bavail < 100_000
    assert site.command("fill", "db1", "--free").returncode == 0
    assert root(site, "db1", "head -c 100000 /dev/zero > /var/tmp/more").returncode == 0


def test_a_mistake_is_answered_by_one_line(site):
    for words in (["kill", "db9"], ["cut", "db1", "db1"], ["thaw", "db9"]):
        answer = site.command(*words)
        assert answer.returncode == 1
        assert answer.stderr.startswith("lab: ")
        assert answer.stderr.count("\n") == 1


# Coming and going


def test_down_leaves_nothing_behind(spare):
    spare.up()
    assert traces(spare.lab)
    spare.down()
    assert traces(spare.lab) == []
    spare.down()
    assert not spare.lab.state.exists()


@pytest.mark.parametrize("seconds", [0.8, 1.5, 2.5])
def test_a_lab_killed_while_it_comes_up_comes_up_again_and_goes_without_a_trace(spare, seconds):
    up = subprocess.Popen(
        [scratch.LAB, "--inventory", str(spare.inventory), "up"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(seconds)
    up.send_signal(signal.SIGKILL)
    up.wait()
    if seconds == 1.5:  # once is enough to show that a half-made lab is completed
        spare.up()
        assert run(spare, "db1", "hostname").stdout == "db1\n"
    spare.down()
    assert traces(spare.lab) == []
