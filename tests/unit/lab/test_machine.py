"""What the lab reads from the system and writes for it."""

import struct
from pathlib import Path

import pytest

from lab import cgroups, image, network, owners, packages, requirements, sources, status, system, topology

MOUNTS = """\
20 1 254:0 / / rw - ext4 /dev/vda rw
31 20 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 20 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 20 0:32 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
34 20 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
40 20 0:50 / /cache/run/lab/nodes/db1/disk rw - tmpfs onprem-lab-lab rw
41 20 0:51 / /cache/run/lab/nodes/db1/root rw - overlay onprem-lab-lab rw
42 41 0:52 / /cache/run/lab/nodes/db1/root/with\\040space rw - tmpfs tmpfs rw
43 20 0:53 / /cache/run/lab-two/nodes/db1/disk rw - tmpfs onprem-lab-lab-two rw
"""


def test_mounts_of_a_lab_are_found_in_the_order_in_which_they_can_go():
    assert system.parse_mounts(MOUNTS, Path("/cache/run/lab")) == [
        Path("/cache/run/lab/nodes/db1/root/with space"),
        Path("/cache/run/lab/nodes/db1/root"),
        Path("/cache/run/lab/nodes/db1/disk"),
    ]


def test_a_mounted_folder_is_never_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "mounts_below", lambda folder: [folder / "disk"])
    with pytest.raises(system.LabError, match="still mounted"):
        system.remove_tree(tmp_path)
    assert tmp_path.exists()


def test_hierarchies_of_both_cgroup_versions_are_found():
    found = cgroups.parse_hierarchies(MOUNTS)
    assert found["unified"] == Path("/sys/fs/cgroup/unified")
    assert found["memory"] == Path("/sys/fs/cgroup/memory")
    assert sorted(found) == ["cpuacct", "memory", "name=systemd", "unified"]


def test_each_member_has_a_cgroup_in_each_hierarchy(monkeypatch):
    monkeypatch.setattr(cgroups, "hierarchies", lambda: cgroups.parse_hierarchies(MOUNTS))
    members = cgroups.PlainMembers("lab")
    assert Path("/sys/fs/cgroup/memory/onprem-lab/lab/db1") in members.folders("db1")
    assert members.unified("db1") == Path("/sys/fs/cgroup/unified/onprem-lab/lab/db1")


def test_the_machines_of_all_labs_weigh_more_than_one_process(tmp_path, monkeypatch):
    for name in ("cpu", "memory"):
        (tmp_path / name / "onprem-lab").mkdir(parents=True)
    shares = tmp_path / "cpu/onprem-lab/cpu.shares"
    shares.write_text("1024")
    monkeypatch.setattr(cgroups, "hierarchies", lambda: {name: tmp_path / name for name in ("cpu", "memory")})
    cgroups.PlainMembers("lab").command("db1", ["true"])
    assert shares.read_text() == cgroups.LAB_SHARES
    assert not (tmp_path / "memory/onprem-lab/cpu.shares").exists()


def test_under_systemd_members_are_scopes_that_no_other_lab_can_have(monkeypatch):
    monkeypatch.setattr(cgroups, "hierarchies", lambda: {"unified": Path("/sys/fs/cgroup")})
    assert cgroups.SystemdMembers("a").unit("b-c") != cgroups.SystemdMembers("a-b").unit("c")
    assert cgroups.SystemdMembers("lab").unified("db1") == Path(
        "/sys/fs/cgroup/onpremlab_lab.slice/onprem-lab:lab:db1.scope"
    )


def test_unfinished_builds_of_two_labs_are_never_confused():
    sites = ["lab", "lab-files", "building", "lab-two"]
    names = [name for site in sites for name in image.building_names(site)]
    assert len(set(names)) == len(names)


def test_the_image_is_known_by_all_it_is_made_of(monkeypatch):
    mirror = sources.Mirror("http://mirror.example/debian", None)
    first = image.key("bookworm", mirror, 0)
    assert first == image.key("bookworm", mirror, 0)
    assert first != image.key("trixie", mirror, 0)
    assert first != image.key("bookworm", sources.Mirror("http://other.example/debian", None), 0)
    monkeypatch.setattr(image, "PACKAGES", (*image.PACKAGES, "htop"))
    assert first != image.key("bookworm", mirror, 0)


def test_the_cable_of_a_host_fits_the_kernel_and_is_its_own():
    assert network.port_of("10.77.3.11") == "ol0a4d030b"
    assert len(network.port_of("192.168.255.254")) <= 15


def test_a_file_capability_counts_in_the_namespace_of_the_nodes():
    net_raw = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
    assert owners.namespaced(net_raw, 65536) == struct.pack("<6I", 0x03000001, 1 << 13, 0, 0, 0, 65536)


def test_the_package_cache_serves_the_mirror_and_nothing_else():
    lab = topology.Lab("lab", "10.77.0.0/16", "ol-lab", "10.77.0.1", 16, Path("/s"), Path("/c"), "bookworm")
    mirror = sources.Mirror("https://mirror.example/some/debian", "http://mirror.example/debian-security")
    text = packages.configuration(lab, mirror, Path("/s/packages"))
    assert "listen 10.77.0.1:3142;" in text
    assert "location / { return 403; }" in text
    assert "location /debian/dists/ {\n      proxy_pass https://mirror.example/some/debian/dists/;" in text
    assert "location /debian-security/dists/ {\n      proxy_pass http://mirror.example/debian-security/dists/;" in text
    assert "proxy_ssl_verify on;" in text


def test_without_security_updates_on_the_machine_the_package_cache_serves_none():
    lab = topology.Lab("lab", "10.77.0.0/16", "ol-lab", "10.77.0.1", 16, Path("/s"), Path("/c"), "bookworm")
    text = packages.configuration(lab, sources.Mirror("http://mirror.example/debian", None), Path("/s/packages"))
    assert "debian-security" not in text


def test_what_a_kernel_lacks_is_named():
    assert requirements.missing_features("nodev\toverlay\next4\n", True, 96365) == []
    lacks = requirements.missing_features("ext4\n", False, 0)
    assert [reason.split(" (")[0] for reason in lacks] == [
        "overlayfs",
        "a mounted cgroup version 2 hierarchy",
        "user namespaces",
    ]


def test_missing_programs_are_named_by_their_package():
    assert requirements.missing_packages({"sh": "dash", "no-such-program": "the-package"}) == ["the-package"]


def test_the_status_is_a_table():
    assert status.render([("HOST", "STATE"), ("gateway1", "running"), ("db1", "off")]) == [
        "HOST      STATE",
        "gateway1  running",
        "db1       off",
    ]
    assert status.duration(3 * 3600 + 4 * 60 + 5.7) == "3:04:05"
