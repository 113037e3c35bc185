"""Mount options: fstab, units, the kernel, and the commands between."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import mount_options as core

MOUNTINFO = r"""
22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:25 / /tmp rw,nosuid,nodev shared:5 - tmpfs tmpfs rw,size=500k
31 22 0:26 / /proc rw,nosuid,nodev,noexec,relatime shared:6 - proc proc rw
32 22 0:27 / /mnt/a\040b rw - ext4 /dev/disk\134x rw
33 30 0:28 / /tmp rw,nosuid,nodev,noexec shared:7 master:1 - tmpfs top rw
bad line
"""
TMP = core.Wish("/tmp", ["nodev", "nosuid", "noexec"], "tmpfs", "tmpfs", ["mode=1777", "size=50%"])
VAR_TMP = core.Wish("/var/tmp", ["nodev", "nosuid", "noexec"], "/var/tmp", "none", ["bind"])
PROC = core.Wish("/proc", ["nodev", "nosuid", "noexec", "hidepid=invisible", "gid=990"], "proc", "proc")


def mount(path: str, flags: str, options: str = "rw", source: str = "tmpfs") -> core.Mount:
    return core.Mount(path, flags.split(","), "tmpfs", source, options.split(","))


def test_the_mount_on_top_counts_and_names_are_unescaped() -> None:
    mounts = core.parse_mountinfo(MOUNTINFO)
    assert mounts["/tmp"] == core.Mount("/tmp", ["rw", "nosuid", "nodev", "noexec"], "tmpfs", "top", ["rw"])
    assert mounts["/mnt/a b"].source == "/dev/disk\\x"
    assert len(mounts) == 4


def test_groups_are_numbered_as_inside_a_user_namespace() -> None:
    mounts = {
        "/proc": mount("/proc", "rw", "rw,gid=1000990,hidepid=invisible"),
        "/x": mount("/x", "rw", "gid=7,gid=any"),
    }
    inside = core.inside(mounts, "         0    1000000      65536\n")
    assert inside["/proc"].options == ["rw", "gid=990", "hidepid=invisible"]
    assert inside["/x"].options == ["gid=7", "gid=any"]
    assert core.inside(mounts, "0 0 4294967295\n") == mounts


@pytest.mark.parametrize(
    ("found", "wanted", "result"),
    [
        ([], ["nodev"], ["nodev"]),
        (["defaults"], ["nodev", "noexec"], ["defaults", "nodev", "noexec"]),
        (["dev", "exec", "size=1g"], ["nodev", "noexec"], ["size=1g", "nodev", "noexec"]),
        (["hidepid=2"], ["hidepid=invisible"], ["hidepid=2"]),
        (["hidepid=1", "gid=5"], ["hidepid=invisible", "gid=6"], ["hidepid=invisible", "gid=6"]),
        (["nodev"], ["nodev"], ["nodev"]),
        (["rw", ""], ["ro"], ["ro"]),
    ],
)
def test_merge(found: list[str], wanted: list[str], result: list[str]) -> None:
    assert core.merge(found, wanted) == result


def test_what_is_lacking() -> None:
    assert core.lacking(TMP.options, None) == TMP.options
    assert core.lacking(TMP.options, mount("/tmp", "rw,nosuid,nodev")) == ["noexec"]
    assert core.lacking(TMP.options, mount("/tmp", "rw,nosuid,nodev,noexec")) == []
    assert core.lacking(["hidepid=invisible", "gid=9"], mount("/proc", "rw", "rw,hidepid=2,gid=9")) == []
    assert core.lacking(["hidepid=invisible"], mount("/proc", "rw")) == ["hidepid=invisible"]
    assert core.lacking(["hidepid=off", "gid=0"], mount("/proc", "rw")) == []
    assert core.lacking(["hidepid=off"], mount("/proc", "rw", "rw,hidepid=invisible")) == ["hidepid=off"]


def test_a_line_is_added_to_fstab() -> None:
    line = "tmpfs /tmp tmpfs mode=1777,size=50%,nodev,nosuid,noexec 0 0\n"
    assert core.fstab_with("", TMP) == line
    assert core.fstab_with("/dev/vda1 / ext4 defaults 0 1", TMP) == f"/dev/vda1 / ext4 defaults 0 1\n{line}"
    assert core.fstab_with("", VAR_TMP) == "/var/tmp /var/tmp none bind,nodev,nosuid,noexec 0 0\n"
    assert core.fstab_with("", core.Wish("/a b", ["nodev"], "/a b", "none")) == "/a\\040b /a\\040b none nodev 0 0\n"


def test_a_line_of_fstab_keeps_its_own_options() -> None:
    before = "# /tmp is below\n/dev/vda1 / ext4 defaults 0 1\nUUID=1 /tmp/ xfs defaults,exec 0 2\n"
    after = core.fstab_with(before, TMP)
    assert after.splitlines()[:2] == before.splitlines()[:2]
    assert after.splitlines()[2] == "UUID=1 /tmp/ xfs defaults,nodev,nosuid,noexec 0 2"
    assert core.fstab_with(after, TMP) == after


def test_a_short_line_of_fstab_gets_options() -> None:
    assert core.fstab_with("tmpfs /tmp tmpfs\n", TMP) == "tmpfs /tmp tmpfs defaults,nodev,nosuid,noexec 0 0\n"


def test_names_of_mount_units() -> None:
    assert core.unit_name("/var/tmp") == "var-tmp.mount"
    assert core.unit_name("/dev/shm") == "dev-shm.mount"
    assert core.unit_name("/srv/a-b") == "srv-a\\x2db.mount"


def test_only_fstab_is_written_where_no_unit_hides_it(tmp_path: Path) -> None:
    assert list(core.persistent([TMP, VAR_TMP], tmp_path)) == ["/etc/fstab"]


def test_a_unit_of_the_administrator_gets_a_drop_in(tmp_path: Path) -> None:
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "tmp.mount").write_text("[Mount]\nWhat=tmpfs\nOptions=mode=1777,size=50%%,nosuid\n")
    files = core.persistent([TMP], tmp_path)
    assert files["/etc/fstab"] == ""
    assert files["/etc/systemd/system/tmp.mount.d/60-onprem-dify.conf"].endswith(
        "[Mount]\nOptions=mode=1777,size=50%%,nosuid,nodev,noexec\n"
    )


def test_a_line_of_fstab_wins_over_a_unit(tmp_path: Path) -> None:
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "tmp.mount").write_text("[Mount]\n")
    (tmp_path / "etc/fstab").write_text("tmpfs /tmp tmpfs defaults 0 0\n")
    assert list(core.persistent([TMP], tmp_path)) == ["/etc/fstab"]


@pytest.mark.parametrize("target", ["/dev/null", "empty"])
def test_a_masked_unit_is_refused(tmp_path: Path, target: str) -> None:
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "empty").write_text("")
    (units / "tmp.mount").symlink_to(target)
    with pytest.raises(core.MaskedError, match=r"tmp\.mount"):
        core.persistent([TMP], tmp_path)


def test_a_directory_is_bound_on_itself() -> None:
    assert core.commands(VAR_TMP, None) == [
        ["mount", "--bind", "/var/tmp", "/var/tmp"],
        ["mount", "-o", "remount,bind,nodev,nosuid,noexec", "/var/tmp", "/var/tmp"],
    ]


def test_flags_of_a_mount_point_leave_the_file_system_alone() -> None:
    commands = core.commands(TMP, mount("/tmp", "rw,nosuid,relatime", "rw,size=9k"))
    assert commands == [["mount", "-o", "remount,bind,rw,nosuid,relatime,nodev,noexec", "tmpfs", "/tmp"]]


def test_options_of_the_file_system_need_a_whole_remount() -> None:
    commands = core.commands(PROC, mount("/proc", "rw,nosuid,nodev,noexec,relatime", "rw", "proc"))
    assert commands == [
        ["mount", "-o", "remount,rw,nosuid,nodev,noexec,relatime,hidepid=invisible,gid=990", "proc", "/proc"]
    ]


def test_the_prediction_has_what_is_wished() -> None:
    before = {"/proc": mount("/proc", "rw,nosuid,nodev,noexec", "rw", "proc")}
    now = core.after(before, [PROC, VAR_TMP])
    assert core.lacking(PROC.options, now["/proc"]) == []
    assert core.lacking(VAR_TMP.options, now["/var/tmp"]) == []
    assert core.live_text(before, [PROC, VAR_TMP]) == "/proc rw,nosuid,nodev,noexec\n/var/tmp not a mount\n"
    assert (
        core.live_text(now, [PROC, VAR_TMP])
        == "/proc rw,nosuid,nodev,noexec,hidepid=invisible,gid=990\n/var/tmp nodev,nosuid,noexec\n"
    )
