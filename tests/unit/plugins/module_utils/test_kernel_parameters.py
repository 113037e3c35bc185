"""Kernel parameters: the file, the live values, and what differs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import kernel_parameters as core


@pytest.fixture
def kernel(tmp_path: Path) -> core.ProcSys:
    values = {
        "net/ipv4/ip_forward": "1",
        "net/ipv4/conf/all/rp_filter": "0",
        "net/ipv4/conf/default/rp_filter": "2",
        "net/ipv4/conf/eth0/rp_filter": "2",
        "net/ipv4/conf/eth0.7/rp_filter": "1",
        "net/ipv4/ip_local_port_range": "32768\t60999",
        "kernel/sysrq": "438",
    }
    for name, value in values.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    return core.ProcSys(str(tmp_path))


def keys(parameters: list[core.Parameter]) -> list[str]:
    return [parameter.key for parameter in parameters]


def test_forwarding_comes_first_because_it_resets_others() -> None:
    lines = core.settings({"net.ipv4.conf.eth0.rp_filter": 1, "kernel.sysrq": 0, "net.ipv4.ip_forward": 1})
    assert [line.key for line in lines] == ["net.ipv4.ip_forward", "kernel.sysrq", "net.ipv4.conf.eth0.rp_filter"]


def test_a_pattern_over_interfaces_sets_all_and_default_as_well() -> None:
    lines = core.settings({"net.ipv4.conf.*.rp_filter": 1})
    assert {line.key for line in lines} == {f"net.ipv4.conf.{name}.rp_filter" for name in ("all", "default", "*")}


@pytest.mark.parametrize("reverse", [False, True])
def test_a_full_name_says_more_than_a_pattern(reverse: bool) -> None:
    items = [("net.ipv4.conf.*.rp_filter", 1), ("net.ipv4.conf.all.rp_filter", 2)]
    lines = core.settings(dict(reversed(items) if reverse else items))
    values = {line.key: line.value for line in lines}
    assert values["net.ipv4.conf.all.rp_filter"] == "2"
    assert values["net.ipv4.conf.default.rp_filter"] == "1"


def test_null_leaves_a_parameter_out() -> None:
    assert core.settings({"kernel.sysrq": None}) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "1"), (False, "0"), (5, "5"), ("32768\t60999\n", "32768 60999"), ("|/bin/false", "|/bin/false")],
)
def test_values_as_the_kernel_compares_them(value: object, text: str) -> None:
    assert core.plain(value) == text


def test_the_file_passes_over_what_the_kernel_may_lack() -> None:
    lines = core.settings({"kernel.yama.ptrace_scope": 1, "kernel.sysrq": 0}, ["kernel.yama.*"])
    assert core.file_text(lines) == "# Ansible managed\nkernel.sysrq = 0\n-kernel.yama.ptrace_scope = 1\n"


def test_the_file_reads_back() -> None:
    lines = core.settings({"net.ipv4.conf.*.rp_filter": 1, "kernel.yama.ptrace_scope": 1}, ["kernel.yama.*"])
    assert core.parse(core.file_text(lines)) == {line.key: line.value for line in lines}


def test_other_files_may_write_keys_with_slashes_comments_and_exclusions() -> None:
    text = (
        "; old\n# kernel.sysrq = 1\nnet/ipv4/conf/eth0.7/rp_filter=1\n-net.ipv4.conf.all.rp_filter\n-kernel.sysrq=16\n"
    )
    assert core.parse(text) == {"net.ipv4.conf.eth0/7.rp_filter": "1", "kernel.sysrq": "16"}


def test_a_later_file_that_says_otherwise_is_named() -> None:
    lines = core.settings({"kernel.sysrq": 0, "fs.suid_dumpable": 0})
    later = [
        ("/etc/sysctl.d/90-a.conf", "kernel.sysrq = 1\n"),
        ("/etc/sysctl.d/99-b.conf", "fs.suid_dumpable=0\nvm.swappiness=1\n"),
    ]
    assert core.overridden(lines, later) == [
        "/etc/sysctl.d/90-a.conf sets kernel.sysrq to 1 after every boot, wanted 0"
    ]


def test_of_several_later_files_the_last_decides() -> None:
    lines = core.settings({"kernel.sysrq": 0})
    assert (
        core.overridden(
            lines, [("/etc/sysctl.d/90-a.conf", "kernel.sysrq=1"), ("/etc/sysctl.d/99-b.conf", "kernel.sysrq=0")]
        )
        == []
    )


def test_files_read_after_ours_across_folders(tmp_path: Path) -> None:
    etc, usr = tmp_path / "etc", tmp_path / "usr"
    for folder, names in (
        (etc, ("10-a.conf", "60-onprem-dify.conf", "99-z.conf", "99-no.txt")),
        (usr, ("50-default.conf", "70-c.conf", "99-z.conf")),
    ):
        folder.mkdir()
        for name in names:
            (folder / name).write_text("")
    found = core.read_after("/etc/sysctl.d/60-onprem-dify.conf", [str(etc), str(usr), str(tmp_path / "missing")])
    assert found == [str(usr / "70-c.conf"), str(etc / "99-z.conf")]


def test_a_pattern_is_applied_to_each_interface_that_is_there(kernel: core.ProcSys) -> None:
    lines = core.settings({"net.ipv4.conf.*.rp_filter": 1})
    found = core.survey(lines, kernel)
    assert keys(found) == [f"net.ipv4.conf.{name}.rp_filter" for name in ("eth0", "eth0/7", "all", "default")]
    assert keys(core.to_write(found)) == [f"net.ipv4.conf.{name}.rp_filter" for name in ("eth0", "all", "default")]


def test_white_space_is_no_difference(kernel: core.ProcSys) -> None:
    assert core.to_write(core.survey(core.settings({"net.ipv4.ip_local_port_range": "32768 60999"}), kernel)) == []


def test_what_is_written_is_read_back(kernel: core.ProcSys) -> None:
    lines = core.settings({"net.ipv4.ip_forward": 0, "net.ipv4.conf.*.rp_filter": 1})
    for parameter in core.to_write(core.survey(lines, kernel)):
        kernel.write(parameter.key, parameter.wanted)
    assert core.to_write(core.survey(lines, kernel)) == []


def test_a_missing_parameter_is_found_missing(kernel: core.ProcSys) -> None:
    found = core.survey(core.settings({"net.bridge.bridge-nf-call-iptables": 1}), kernel)
    assert core.Faults.of(found) == core.Faults(["net.bridge.bridge-nf-call-iptables"], [])
    assert core.to_write(found) == []
    assert not kernel.read_only("net.bridge.bridge-nf-call-iptables")


def test_an_interface_that_goes_meanwhile_is_no_fault(kernel: core.ProcSys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "keys", lambda pattern: ["net.ipv4.conf.veth1.rp_filter"])
    found = core.survey([core.Setting("net.ipv4.conf.*.rp_filter", "1")], kernel)
    assert found == []


def test_parameters_of_the_containers_host_are_not_written(
    kernel: core.ProcSys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "read_only", lambda key: key.startswith("kernel."))
    found = core.survey(core.settings({"kernel.sysrq": 0, "net.ipv4.ip_forward": 0}), kernel)
    assert core.Faults.of(found).read_only == ["kernel.sysrq"]
    assert keys(core.to_write(found)) == ["net.ipv4.ip_forward"]


def test_a_read_only_file_system_is_seen(kernel: core.ProcSys, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not kernel.read_only("kernel.sysrq")

    class Flags:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", lambda path: Flags)
    assert kernel.read_only("kernel.sysrq")


def test_a_parameter_that_can_only_be_written_differs(kernel: core.ProcSys, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: object) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert kernel.read("kernel.sysrq") == ""


def test_the_diff_names_before_and_after(kernel: core.ProcSys) -> None:
    diff = core.live_diff(core.to_write(core.survey(core.settings({"kernel.sysrq": 0}), kernel)))
    assert (diff["before"], diff["after"]) == ("kernel.sysrq = 438\n", "kernel.sysrq = 0\n")


def test_modules_loaded_built_in_and_neither(tmp_path: Path) -> None:
    (tmp_path / "sys/module/br_netfilter").mkdir(parents=True)
    (tmp_path / "lib/modules/6.1").mkdir(parents=True)
    (tmp_path / "lib/modules/6.1/modules.builtin").write_text(
        "kernel/fs/overlayfs/overlay.ko\nkernel/x/nf-thing.ko.xz\n"
    )
    for name in ("br_netfilter", "br-netfilter", "overlay", "nf_thing"):
        assert core.module_loaded(name, str(tmp_path), "6.1")
    assert not core.module_loaded("vxlan", str(tmp_path), "6.1")
    assert not core.module_loaded("vxlan", str(tmp_path), "6.2")
