"""What containerd is told: from where it takes images, and how it starts pods."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from unit.roles import rendering

CRI = "io.containerd.cri.v1"
SANDBOX = {"name": "registry.k8s.io/pause", "tag": "3.10.2"}


def configuration(facts: dict[str, Any] | None = None) -> dict[str, Any]:
    text = rendering.template("containerd", "config.toml.j2", ansible_facts=facts or {}, __containerd_sandbox=SANDBOX)
    return tomllib.loads(text)


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
    assert configuration(facts)["plugins"][f"{CRI}.runtime"]["enable_selinux"] is confined


def test_a_site_has_the_last_word() -> None:
    assert configuration()["imports"] == ["/etc/containerd/conf.d/*.toml"]
