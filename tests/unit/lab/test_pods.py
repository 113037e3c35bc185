"""Nodes that run pods: what they need everywhere, and what only some machines force."""

from lab import pods

ORDINARY = pods.Machine(cgroup_version=2, may_lower_oom_score=True, has_swap=False)
OLD = pods.Machine(cgroup_version=1, may_lower_oom_score=False, has_swap=True)


def test_on_an_ordinary_machine_nothing_of_the_product_is_touched():
    assert {path.split("/")[1] for path in pods.files(ORDINARY)} == {"systemd", "onprem-lab"}
    assert pods.boot_parameters(ORDINARY) == []
    assert pods.variables(ORDINARY)["ignore_preflight_errors"] == []
    assert "cgroup" not in pods.setup(ORDINARY)


def test_where_cgroups_are_of_version_1_kubelet_and_kubeadm_are_told():
    assert pods.files(OLD)["etc/default/kubelet"] == "KUBELET_EXTRA_ARGS=--fail-cgroupv1=false\n"
    assert pods.variables(OLD)["ignore_preflight_errors"] == ["SystemVerification"]
    assert pods.environment(OLD)["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] == "0"
    assert "kubepods" in pods.setup(OLD)


def test_where_no_program_may_be_made_less_likely_to_be_killed_the_runtime_knows():
    assert "restrict_oom_score_adj = true" in pods.files(OLD)["etc/containerd/conf.d/90-lab.toml"]


def test_the_settings_and_the_swap_of_the_computer_are_out_of_reach():
    for machine in (ORDINARY, OLD):
        for name in pods.SETTINGS:
            assert f"mount --bind /{pods.FOLDER}/{name.replace('/', '.')} /proc/sys/{name}\n" in pods.setup(machine)
    assert "/proc/swaps" in pods.setup(OLD)
    assert "/proc/swaps" not in pods.setup(ORDINARY)


def test_the_clock_of_the_computer_stays_its_own():
    assert any("CAP_SYS_TIME" in option for option in pods.options() if option.startswith("--drop-capability="))


def test_this_machine_is_asked_not_assumed():
    assert pods.this_machine().cgroup_version in (1, 2)
