"""SELinux and AppArmor: the steps from what a host has to what it is wished to have."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ansible_collections.onprem.dify.plugins.module_utils import mandatory_access as core

CONFIG = "# comment\nSELINUX=enforcing\nSELINUXTYPE=targeted\n"
HEALTHY = core.Found(mode="enforcing", config=CONFIG, policies=["targeted"])
WISH = core.Wish("selinux")


@dataclass
class Case:
    found: core.Found
    wish: core.Wish = WISH

    @property
    def plan(self) -> core.Plan:
        return core.plan(self.wish, self.found)

    def files(self) -> dict[str, str]:
        return {step.file: step.after for step in self.plan.steps if step.file}

    def commands(self) -> list[tuple[str, ...]]:
        return [step.command for step in self.plan.steps if step.command]


def test_a_host_in_order_needs_nothing() -> None:
    assert Case(HEALTHY).plan == core.Plan([], "")


def test_permissive_becomes_enforcing_without_a_reboot() -> None:
    case = Case(HEALTHY._replace(mode="permissive", config=CONFIG.replace("enforcing", "permissive")))
    assert case.files() == {core.CONFIG: CONFIG}
    assert [step.enforce for step in case.plan.steps] == ["", "enforcing"]
    assert case.plan.reboot == ""
    assert core.enforce_value("enforcing") == "1"


def test_enforcing_becomes_permissive_where_it_is_wished() -> None:
    case = Case(HEALTHY, core.Wish("selinux", mode="permissive"))
    assert case.files() == {core.CONFIG: CONFIG.replace("enforcing", "permissive")}
    assert case.plan.steps[-1].enforce == "permissive"
    assert core.enforce_value("permissive") == "0"


def test_switching_on_labels_in_permissive_mode_first() -> None:
    boot = core.Boot("grubby", generated='args="ro quiet selinux=0"\n')
    case = Case(core.Found(config=CONFIG.replace("enforcing", "disabled"), policies=["targeted"], boot=boot))
    assert case.files() == {core.CONFIG: CONFIG.replace("enforcing", "permissive"), core.AUTORELABEL: ""}
    assert case.commands() == [("grubby", "--update-kernel=ALL", "--remove-args=selinux=0")]
    assert "labels all files" in case.plan.reboot


def test_waiting_for_the_reboot_changes_nothing_more() -> None:
    config = CONFIG.replace("enforcing", "permissive")
    case = Case(
        core.Found(config=config, policies=["targeted"], relabel=True, boot=core.Boot("grubby", generated='args="ro"'))
    )
    assert case.plan.steps == []
    assert case.plan.reboot


def test_debian_gets_the_arguments_of_the_kernel_through_grub() -> None:
    wish = core.Wish("selinux", policy="default")
    case = Case(core.Found(policies=["default"], boot=core.Boot("grub", generated="linux /vmlinuz ro quiet")), wish)
    assert 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX security=selinux selinux=1"' in case.files()[core.GRUB_DROP_IN]
    assert case.commands() == [("update-grub",)]


def test_a_killed_run_between_drop_in_and_grub_is_finished() -> None:
    drop_in = f'# Ansible managed\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {core.ARGUMENTS["selinux"]}"\n'
    wish = core.Wish("selinux", policy="default")
    found = core.Found(policies=["default"], boot=core.Boot("grub", drop_in, "linux /vmlinuz ro"))
    assert Case(found, wish).commands() == [("update-grub",)]
    done = found._replace(boot=core.Boot("grub", drop_in, f"linux /vmlinuz ro {core.ARGUMENTS['selinux']}"))
    assert Case(done, wish).commands() == []


def test_another_boot_loader_is_left_to_a_person() -> None:
    case = Case(core.Found(policies=["targeted"]))
    assert case.commands() == []
    assert "by hand" in case.plan.reboot


def test_another_policy_needs_labels() -> None:
    found = HEALTHY._replace(policies=["targeted", "mls"])
    case = Case(found, core.Wish("selinux", policy="mls"))
    assert case.files() == {core.CONFIG: CONFIG.replace("targeted", "mls"), core.AUTORELABEL: ""}
    assert "changes to mls" in case.plan.reboot
    waiting = Case(
        found._replace(config=CONFIG.replace("targeted", "mls"), relabel=True), core.Wish("selinux", policy="mls")
    )
    assert waiting.plan == core.Plan([], "all files are to be labelled at the next boot")


def test_a_policy_that_is_not_installed_is_refused() -> None:
    with pytest.raises(core.ImpossibleError, match="default is not installed, found none"):
        core.plan(core.Wish("selinux", policy="default"), core.Found())


def test_config_lines_are_added_where_missing() -> None:
    assert core.config_with("# x", "enforcing", "targeted") == "# x\nSELINUX=enforcing\nSELINUXTYPE=targeted\n"
    assert core.config_with("", "enforcing", "targeted") == "SELINUX=enforcing\nSELINUXTYPE=targeted\n"


def test_all_booleans_are_kept_and_set_together() -> None:
    wish = core.Wish("selinux", booleans={"b": True, "a": False, "kept": True})
    found = HEALTHY._replace(booleans={"a": True, "b": True, "kept": True}, kept_booleans={"kept": True})
    assert Case(found, wish).commands() == [("setsebool", "-N", "-P", "a=0", "b=1"), ("setsebool", "a=0", "b=1")]


def test_booleans_wait_until_selinux_is_on() -> None:
    assert (
        Case(core.Found(policies=["targeted"], relabel=True), core.Wish("selinux", booleans={"a": True})).commands()
        == []
    )


def test_an_unknown_boolean_is_refused() -> None:
    with pytest.raises(core.ImpossibleError, match="no boolean nonsense"):
        core.plan(core.Wish("selinux", booleans={"nonsense": True}), HEALTHY)


def test_local_booleans_of_the_store() -> None:
    assert core.parse_booleans("# note\na=1\nb = 0\nc=on\n") == {"a": True, "b": False, "c": True}


def test_policy_modules_that_differ_are_loaded_before_the_mode_changes() -> None:
    wish = core.Wish("selinux", modules={"one": "(allow a b)\n", "two": "(allow c d)"})
    found = HEALTHY._replace(mode="permissive", modules={"two": "(allow c d)\n"})
    steps = Case(found, wish).plan.steps
    assert [step.policy_modules for step in steps] == [("one",), ()]
    assert steps[-1].enforce == "enforcing"


def test_apparmor_that_is_on_is_left_alone() -> None:
    assert Case(core.Found(apparmor=True), core.Wish("apparmor")).plan == core.Plan([], "")


@pytest.mark.parametrize(
    ("service", "verbs"),
    [("enabled", []), ("inactive", ["enable"]), ("disabled", ["enable"]), ("masked", ["unmask", "enable"])],
)
def test_the_profiles_of_apparmor_are_loaded_at_boot(service: str, verbs: list[str]) -> None:
    commands = Case(core.Found(apparmor=True, service=service), core.Wish("apparmor")).commands()
    assert [command[1] for command in commands] == verbs


def test_apparmor_that_is_not_installed_is_refused() -> None:
    with pytest.raises(core.ImpossibleError, match="AppArmor is not installed"):
        core.plan(core.Wish("apparmor"), core.Found(service=""))


def test_apparmor_that_is_off_comes_with_the_next_boot() -> None:
    case = Case(core.Found(boot=core.Boot("grub", generated="linux apparmor=0")), core.Wish("apparmor"))
    assert "apparmor=1" in case.files()[core.GRUB_DROP_IN]
    assert case.commands() == [("update-grub",)]
    assert "next boot" in case.plan.reboot
    assert "by hand" in Case(core.Found(), core.Wish("apparmor")).plan.reboot


def test_apparmor_keeps_the_arguments_that_switched_it_on() -> None:
    drop_in = f'# Ansible managed\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {core.ARGUMENTS["apparmor"]}"\n'
    found = core.Found(apparmor=True, boot=core.Boot("grub", drop_in, f"linux {core.ARGUMENTS['apparmor']}"))
    assert Case(found, core.Wish("apparmor")).plan == core.Plan([], "")


def test_the_diff_shows_every_kind_of_step() -> None:
    steps = [
        core.Step(file=core.AUTORELABEL),
        core.Step(file=core.CONFIG, before="a\n", after="b\n"),
        core.Step(command=("update-grub",)),
        core.Step(enforce="enforcing", before="permissive", after="enforcing"),
        core.Step(policy_modules=("one",)),
    ]
    shown = [(diff["before"], diff["after"]) for diff in core.diffs(steps)]
    assert shown == [
        ("absent\n", "present\n"),
        ("a\n", "b\n"),
        ("", "update-grub\n"),
        ("permissive\n", "enforcing\n"),
        ("", "one\n"),
    ]
