"""The catalogue as one host sees it: variables filled in, waivers joined, faults named."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.onprem.dify.plugins.lookup import controls

ENTRY: dict[str, Any] = {
    "id": "kernel-forwarding",
    "title": "Packets are not forwarded",
    "role": "kernel",
    "variable": "kernel_forwarding",
    "mlps3": "8.1.3.2",
    "check": {"type": "sysctl", "key": "net.ipv4.ip_forward", "value": "{{ kernel_forwarding }}"},
}
HOST: dict[str, Any] = {
    "inventory_hostname": "db1",
    "groups": {"all": ["db1", "db2"], "database": ["db1"]},
    "ansible_facts": {"distribution": "Debian", "distribution_major_version": "12", "os_family": "Debian"},
}
WAIVER = {"control": "kernel-forwarding", "hosts": "database", "reason": "router", "expires": "2999-12-31"}

DEFAULTS = {"kernel_forwarding": "{{ kernel_router | int }}", "kernel_router": False}

Load = Callable[..., dict[str, Any]]


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection with one role and one control."""
    write(tmp_path / "roles/verify/files/controls/kernel.yml", [ENTRY])
    write(
        tmp_path / "roles/kernel/defaults/main.yml",
        {"kernel_forwarding": "{{ kernel_router | int }}", "kernel_router": False},
    )
    write(tmp_path / "roles/kernel/vars/Debian.yml", {"__kernel_file": "debian"})
    write(tmp_path / "galaxy.yml", {"name": "dify", "version": "9.8.7"})
    monkeypatch.setattr(controls, "ROOT", tmp_path)
    monkeypatch.setattr(controls, "CATALOGUE", tmp_path / "roles/verify/files/controls")
    return tmp_path


def write(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(data), encoding="utf-8")


@pytest.fixture
def load(catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    # Ansible's plugin loader, which would read the options from the documentation, is not part of this.
    monkeypatch.setattr(controls.LookupModule, "set_options", lambda _self, var_options, direct: None)

    def run(
        *subjects: str, variables: dict[str, Any] | None = None, waivers: Sequence[dict[str, Any]] = ()
    ) -> dict[str, Any]:
        monkeypatch.setattr(controls.LookupModule, "get_option", lambda _self, _name: list(waivers))
        known = {**HOST, **(variables or {})}
        loader = DataLoader()
        lookup = controls.LookupModule(loader=loader, templar=Templar(loader, known))
        [found] = lookup.run(list(subjects), known)
        return found

    return run


def test_a_variable_has_the_default_of_its_role(load: Load) -> None:
    [control] = load()["controls"]
    assert control["check"] == {"type": "sysctl", "key": "net.ipv4.ip_forward", "value": 0}
    assert "waiver" not in control


def test_the_inventory_comes_before_the_default(load: Load) -> None:
    [control] = load(variables={"kernel_forwarding": 1})["controls"]
    assert control["check"]["value"] == 1


def test_a_default_may_build_on_what_the_inventory_sets(load: Load) -> None:
    [control] = load(variables={"kernel_router": True})["controls"]
    assert control["check"]["value"] == 1


def test_data_of_the_operating_system_is_known(load: Load, catalogue: Path) -> None:
    check = {"type": "file", "path": "/etc/{{ __kernel_file }}", "state": "present"}
    write(catalogue / "roles/verify/files/controls/kernel.yml", [{**ENTRY, "check": check}])
    assert load()["controls"][0]["check"]["path"] == "/etc/debian"
    write(catalogue / "roles/kernel/vars/Debian_12.yml", {"__kernel_file": "bookworm"})
    assert load()["controls"][0]["check"]["path"] == "/etc/bookworm"


def test_the_catalogue_says_what_it_is(load: Load, catalogue: Path) -> None:
    first = load()
    assert first["collection"] == "9.8.7"
    write(catalogue / "roles/verify/files/controls/kernel.yml", [{**ENTRY, "title": "Other"}])
    assert load()["sha256"] != first["sha256"]


def test_an_installed_collection_knows_its_version(catalogue: Path) -> None:
    (catalogue / "galaxy.yml").unlink()
    (catalogue / "MANIFEST.json").write_text('{"collection_info": {"version": "1.0.1"}}', encoding="utf-8")
    assert controls.collection_version(catalogue) == "1.0.1"


def test_a_waiver_is_joined_on_the_hosts_it_names(load: Load) -> None:
    [control] = load(waivers=[WAIVER])["controls"]
    assert control["waiver"] == {"reason": "router", "expires": "2999-12-31", "expired": False}
    [control] = load(waivers=[WAIVER], variables={"inventory_hostname": "db2"})["controls"]
    assert "waiver" not in control


def test_of_several_waivers_the_longest_counts(load: Load) -> None:
    waivers = [WAIVER, {**WAIVER, "expires": datetime.date(2001, 1, 1)}]
    assert not load(waivers=waivers)["controls"][0]["waiver"]["expired"]
    assert load(waivers=waivers[1:])["controls"][0]["waiver"]["expired"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"waivers": [{**WAIVER, "reason": ""}]}, "a reason is missing"),
        ({"waivers": [{**WAIVER, "hosts": "db7"}]}, "hosts db7 matches no host"),
        ({"waivers": [{**WAIVER, "control": "x"}]}, "no control of the catalogue"),
    ],
)
def test_a_waiver_that_is_not_valid_stops_the_run(load: Load, options: dict[str, Any], words: str) -> None:
    with pytest.raises(AnsibleError, match=words):
        load(**options)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"check": {"type": "sysctl", "key": "a", "value": "{{ missing }}"}},
            "forwarding cannot be filled in",
        ),
        ({"check": {"type": "sysctl", "key": "a"}}, "control kernel-forwarding: check sysctl needs one of"),
        ({"check": {"type": "account", "rule": "{{ 'tall' }}"}}, "unknown account rule"),
    ],
)
def test_an_entry_that_is_not_valid_stops_the_run(
    load: Load, catalogue: Path, change: dict[str, Any], words: str
) -> None:
    write(catalogue / "roles/verify/files/controls/kernel.yml", [{**ENTRY, **change}])
    with pytest.raises(AnsibleError, match=words):
        load()


def test_a_subject_that_is_not_there_is_named(load: Load) -> None:
    assert len(load("kernel")["controls"]) == 1
    with pytest.raises(AnsibleError, match=r"no subject kernal\. Known are kernel"):
        load("kernal")
