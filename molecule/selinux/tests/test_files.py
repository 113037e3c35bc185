"""The file server, as its clients see it: network namespaces on the machine, each with an address and a name."""

from __future__ import annotations

import re
import shlex

import pytest

# The inventory lets the first two through the firewall and exports `dify` to both, `scans` to the first alone.
CLIENTS = {"first": "10.78.9.2", "second": "10.78.9.6", "stranger": "10.78.9.10"}
HARD = "vers=4.2,hard,timeo=600"
SETUP = """
ip netns add {name}
ip link add {name} type veth peer name eth0 netns {name}
ip address add {gateway}/30 dev {name} && ip link set {name} up
ip -n {name} address add {address}/30 dev eth0 && ip -n {name} link set eth0 up && ip -n {name} link set lo up
ip -n {name} route add default via {gateway}
mkdir -p /mnt/{name}/dify /mnt/{name}/scans
"""
# One line each, acknowledged when it is on the disk of the server.
WRITER = """
import os, time
longest, last, lines = 0, time.monotonic(), 0
end = last + 35
with open("/mnt/first/dify/written", "wb", buffering=0) as file:
    while time.monotonic() < end:
        file.write(b"%d\\n" % lines)
        os.fsync(file.fileno())
        lines += 1
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
        time.sleep(0.05)
print(f"lines={lines} longest={longest:.1f}")
"""
AS_DIFY = "setpriv --reuid=1001 --regid=1001 --clear-groups"


class Files:
    """The server, and the clients that mount from it."""

    def __init__(self, machine) -> None:
        self.machine, self.server = machine, machine.host.address

    def on(self, client: str, command: str) -> str:
        """The command as one that comes from the address and the name of the client."""
        named = f"hostname {client} && {command}"
        return f"nsenter --net=/run/netns/{client} unshare --uts sh -c {shlex.quote(named)}"

    def mount(self, client: str, volume: str, options: str = HARD) -> str:
        return self.on(
            client, f"timeout 60 mount -t nfs4 -o {options} {self.server}:/srv/files/{volume} /mnt/{client}/{volume}"
        )


@pytest.fixture(scope="module")
def files(machine):
    for name, address in CLIENTS.items():
        front, last = address.rsplit(".", 1)
        machine.root(SETUP.format(name=name, address=address, gateway=f"{front}.{int(last) - 1}"))
    served = Files(machine)
    for where in (("first", "dify"), ("first", "scans"), ("second", "dify")):
        machine.root(served.mount(*where))
    yield served
    machine.root("umount --all --types nfs4")
    for name in CLIENTS:
        machine.root(f"ip netns del {name}")


@pytest.fixture
def folder(machine, files) -> str:
    """A directory on `dify` that belongs to its owner."""
    machine.root(f"{AS_DIFY} mkdir -p /mnt/first/dify/tried")
    yield "dify/tried"
    machine.root(f"{AS_DIFY} rm -rf /mnt/first/dify/tried")


def test_a_client_mounts_version_4_2(machine, files):
    for option in ("vers=4.2", "hard", "proto=tcp", f"clientaddr={CLIENTS['first']}"):
        assert option in machine.root("findmnt --noheadings --output OPTIONS /mnt/first/dify").split(",")


def test_what_one_client_writes_and_renames_the_other_reads(machine, files, folder):
    machine.root(f"{AS_DIFY} sh -c 'cd /mnt/first/{folder}; echo content > new; mv new old'")
    assert machine.root(f"{AS_DIFY} cat /mnt/second/{folder}/old") == "content"
    assert machine.root(f"cd /srv/files/{folder}; stat --format='%n %u %g' *") == "old 1001 1001"


def test_a_lock_of_one_client_holds_for_the_other(machine, files, folder):
    machine.root(f"systemd-run --quiet --collect --unit=locked {AS_DIFY} flock /mnt/first/{folder}/lock sleep 600")
    second = f"{AS_DIFY} flock --nonblock --conflict-exit-code=75 /mnt/second/{folder}/lock true"
    seen = machine.root(f"for n in $(seq 20); do {second} || break; sleep 0.5; done; {second} || echo $?")
    assert seen == "75"
    machine.root(f"systemctl stop locked; {second}")


def test_several_users_share_a_volume_by_its_group(machine, files, folder):
    machine.root(f"{AS_DIFY} chmod 2770 /mnt/first/{folder}")
    machine.root(f"setpriv --reuid=2001 --regid=2001 --groups=1001 touch /mnt/first/{folder}/shared")
    assert machine.root(f"{AS_DIFY} stat --format='%u %g' /mnt/second/{folder}/shared") == "2001 1001"
    denied = machine.refused(f"setpriv --reuid=2002 --regid=2002 --clear-groups ls /mnt/first/{folder}")
    assert "Permission denied" in denied


def test_root_of_a_client_is_nobody(machine, files, folder):
    assert "Permission denied" in machine.refused("touch /mnt/first/dify/root")
    machine.root(f"{AS_DIFY} sh -c 'chmod 2771 /mnt/first/dify; chmod 0777 /mnt/first/{folder}'")
    machine.root(f"touch /mnt/first/{folder}/root")
    assert machine.root(f"stat --format=%u /srv/files/{folder}/root") == "65534"
    assert "not permitted" in machine.refused(f"chown root /mnt/first/{folder}/root")
    machine.root(f"{AS_DIFY} chmod 2770 /mnt/first/dify")


def test_a_volume_is_refused_to_a_client_that_it_does_not_name(machine, files):
    said = machine.refused(files.mount("second", "scans", f"{HARD},retry=0"))
    assert re.search("access denied|No such file", said), said


def test_who_is_in_no_flow_does_not_reach_the_server(machine, files):
    assert machine.refused(files.on("stranger", f"timeout 5 bash -c '</dev/tcp/{files.server}/2049'")) == ""
    machine.root(files.on("second", f"timeout 5 bash -c '</dev/tcp/{files.server}/2049'"))


@pytest.mark.parametrize("version", ["4.1", "4.0"])
def test_older_versions_are_refused(machine, files, version):
    said = machine.refused(files.mount("first", "dify", f"vers={version},hard,retry=0"))
    assert re.search("not supported|incorrect mount option", said), said


def test_version_3_is_refused(machine, files):
    asked = files.on("first", f"timeout 20 rpcinfo -a {files.server}.8.1 -T tcp 100003 {{}}")
    assert "ready and waiting" in machine.root(asked.format(4))
    assert "low version = 4, high version = 4" in machine.refused(asked.format(3))


def test_nothing_listens_beside_ssh_and_nfs(machine, files):
    listening = machine.root("ss --no-header --tcp --udp --listening --numeric | awk '{print $1, $5}'").splitlines()
    reached = {entry for entry in listening if not re.search(r" (127\.|\[::1\])", entry)}
    assert reached - {"tcp 0.0.0.0:22", "tcp [::]:22"} == {f"tcp {files.server}:2049"}


def test_a_full_volume_leaves_the_others_and_the_host_alone(machine, files, folder):
    free = "df --output=avail --block-size=1M / | tail -n 1"
    before = int(machine.root(free))
    said = machine.refused(f"{AS_DIFY} dd if=/dev/zero of=/mnt/first/scans/full bs=1M count=100 conv=fsync")
    assert "No space left on device" in said
    assert int(machine.root("df --output=avail /srv/files/scans | tail -n 1")) < 1024
    assert before - int(machine.root(free)) <= 3
    machine.root(f"{AS_DIFY} dd if=/dev/zero of=/mnt/first/{folder}/fits bs=1M count=10 conv=fsync status=none")
    machine.root(f"{AS_DIFY} rm /mnt/first/scans/full && {AS_DIFY} touch /mnt/first/scans/again")


def test_a_client_goes_on_after_the_server_was_away(machine, files, folder):
    machine.root(f"systemd-run --quiet --collect --unit=locked {AS_DIFY} flock /mnt/first/{folder}/lock sleep 600")
    machine.root(f"systemd-run --quiet --collect --unit=writer {AS_DIFY} python3 -c {shlex.quote(WRITER)}")
    machine.root("sleep 5; systemctl stop nfs-server; sleep 10; systemctl start nfs-server")
    machine.root("timeout 240 sh -c 'while systemctl is-active --quiet writer; do sleep 1; done'")
    said = machine.root("journalctl --unit=writer --output=cat --since=-5min")
    found = re.findall(r"lines=(\d+) longest=([\d.]+)", said)
    assert found, said
    lines, longest = found[-1]
    print(f"server away for 10 s: longest wait of a write {longest} s, {lines} lines")
    assert machine.root("wc --lines < /srv/files/dify/written") == lines
    assert 10 < float(longest) < 60
    # The server gave the lock back to its holder before it gave any to others.
    machine.refused(f"{AS_DIFY} flock --nonblock /mnt/second/{folder}/lock true")
    machine.root("systemctl stop locked; rm --force /srv/files/dify/written")


def test_what_is_not_mounted_is_not_exported(machine, files):
    machine.root("umount /mnt/first/scans; exportfs -f; systemctl stop srv-files-scans.mount")
    try:
        machine.refused(files.mount("first", "scans", f"{HARD},retry=0"))
        assert machine.root("systemctl is-active nfs-server; ls /srv/files/scans") == "active"
        machine.root(f"{AS_DIFY} test -d /mnt/first/dify/.")
    finally:
        machine.root("systemctl start srv-files-scans.mount")
    machine.root(files.mount("first", "scans"))


def test_the_controls_pass_and_see_what_somebody_does_to_the_server(machine, site, files):
    options = {"extra_vars": {"verify_subjects": ["files"], "verify_report_dir": str(site.folder / "verify")}}
    run = site.play("playbooks/verify.yml", **options)
    assert run.status == "successful", run.failures
    machine.root("mount -o remount,exec /srv/files/scans; systemctl unmask rpcbind.socket rpcbind.service")
    machine.root("systemctl start rpcbind.socket rpcbind.service")
    machine.root("sed -i 's/^vers4.1 = n/vers4.1 = y/' /etc/nfs.conf.d/onprem-dify.conf; systemctl restart nfs-server")
    machine.root("exportfs -o no_root_squash '*:/srv/files/dify'")
    try:
        run = site.play("playbooks/verify.yml", **options)
    finally:
        machine.root("mount -o remount,noexec /srv/files/scans; systemctl stop rpcbind.socket rpcbind.service")
    assert run.status == "failed"
    for control in ("version", "port", "portmapper", "root", "clients", "mounts"):
        assert f"files-{control}" in str(run.failures)


# The last one: its run of the role puts right what the test before it has broken.
def test_a_volume_grows_while_it_is_in_use_and_does_not_shrink(machine, site, files):
    machine.root(f"{AS_DIFY} sh -c 'echo kept > /mnt/first/scans/kept'")
    size = "df --output=size --block-size=1M /mnt/first/scans | tail -n 1"
    machine.root(f"systemd-run --quiet --collect --unit=user {AS_DIFY} sh -c 'exec sleep 900 < /mnt/first/scans/kept'")
    grown = [{"name": "dify", "size": "64M", "clients": list(CLIENTS.values())[:2]}]
    grown.append({"name": "scans", "size": "48M", "clients": [CLIENTS["first"]]})
    run = site.play("molecule/selinux/files.yml", extra_vars={"files_volumes": grown})
    assert run.status == "successful", run.failures
    assert int(machine.root(size)) > 32
    assert machine.root("cat /proc/fs/nfsd/versions; systemctl is-enabled rpcbind.socket || true").split("\n") == [
        "-3 +4 -4.0 -4.1 +4.2",
        "masked",
    ]
    assert "*" not in machine.root("exportfs -s")
    assert machine.root(f"{AS_DIFY} cat /mnt/first/scans/kept; systemctl stop user") == "kept"

    run = site.play("molecule/selinux/files.yml")
    assert run.status == "failed"
    assert "found 48M, wanted 32M. A volume does not shrink" in str(run.failures)
