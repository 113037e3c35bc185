"""What containerd is told: from where it takes images, and how it starts pods."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[3] / "roles/containerd"
CRI = "io.containerd.cri.v1"


def configuration(**changes: Any) -> dict[str, Any]:
    variables = {
        "ansible_managed": "managed",
        "ansible_facts": {},
        **yaml.safe_load((ROLE / "defaults/main.yml").read_text()),
        **yaml.safe_load((ROLE / "vars/main.yml").read_text()),
        "__containerd_sandbox": {"name": "registry.k8s.io/pause", "tag": "3.10.2"},
        **changes,
    }
    templar = Templar(loader=DataLoader(), variables={key: trusted(value) for key, value in variables.items()})
    text: str = templar.template(trust_as_template((ROLE / "templates/config.toml.j2").read_text()))
    return tomllib.loads(text)


def trusted(value: Any) -> Any:
    return trust_as_template(value) if isinstance(value, str) else value


def test_the_sandbox_is_the_pinned_image() -> None:
    assert configuration()["plugins"][f"{CRI}.images"]["pinned_images"] == {"sandbox": "registry.k8s.io/pause:3.10.2"}


def test_cgroups_are_made_by_systemd() -> None:
    runc = configuration()["plugins"][f"{CRI}.runtime"]["containerd"]["runtimes"]["runc"]
    assert runc["options"]["SystemdCgroup"] is True


def test_flannel_and_containerd_agree_on_the_place_of_the_plugins() -> None:
    assert configuration()["plugins"][f"{CRI}.runtime"]["cni"] == {
        "bin_dirs": ["/opt/cni/bin"],
        "conf_dir": "/etc/cni/net.d",
    }


@pytest.mark.parametrize(("status", "confined"), [("enabled", True), ("disabled", False), (None, False)])
def test_containers_are_confined_where_the_host_runs_selinux(status: str | None, confined: bool) -> None:
    facts = {"selinux": {"status": status}} if status else {"selinux": {}}
    assert configuration(ansible_facts=facts)["plugins"][f"{CRI}.runtime"]["enable_selinux"] is confined


def test_a_site_has_the_last_word() -> None:
    assert configuration()["imports"] == ["/etc/containerd/conf.d/*.toml"]
