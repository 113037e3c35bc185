"""No role installs a package that the bundle would not carry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.onprem.dify.plugins.plugin_utils import bundle_systems as systems

ROLES = Path(__file__).resolve().parents[3] / "roles"
INSTALLERS = ("onprem.dify.package_set", "ansible.builtin.package", "ansible.builtin.apt", "ansible.builtin.dnf")
# What a role installs comes from variables of these names, and what is pinned from the pins.
KNOWN = re.compile(r"__\w+_packages\b|__packages_(present|base|selinux_tools)\b|packages_extra\b")
PINNED = re.compile(r"package_versions\b|__\w+_versions\b|__\w+_pinned\w*\b")


def tasks(content: Any) -> Iterator[dict[str, Any]]:
    for task in content or ():
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks(task.get(part))


def installations() -> Iterator[tuple[str, str, str]]:
    """Role, field and what is installed, for each task that installs packages."""
    for path in sorted(ROLES.glob("*/tasks/**/*.yml")) + sorted(ROLES.glob("*/handlers/*.yml")):
        for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
            for module in INSTALLERS:
                for field in ("present", "versions", "name"):
                    if field in (task.get(module) or {}):
                        yield path.relative_to(ROLES).parts[0], field, str(task[module][field])


def test_roles_install_packages_at_all() -> None:
    assert len(list(installations())) >= 4


@pytest.mark.parametrize(("role", "field", "value"), sorted(set(installations())))
def test_every_installation_is_of_packages_that_the_bundle_knows(role: str, field: str, value: str) -> None:
    known = PINNED if field == "versions" else KNOWN
    assert known.search(value), f"{role}: {field}: {value}"
    assert not re.search(r"\+\s*\[\s*'", value), f"{role}: {field}: {value} names a package itself"


@pytest.mark.parametrize("system", [one for one in systems.SYSTEMS.values() if one.uses_rpm], ids=lambda one: one.name)
def test_the_packages_of_a_role_are_found_on_systems_with_dnf(system: systems.System) -> None:
    found = systems.packages_of_roles(ROLES, system)
    assert {"haproxy", "keepalived", "curl"} <= set(found["endpoint"])
    assert {"chrony", "firewalld", "policycoreutils-python-utils"} <= set(found["packages"])
    assert found["mirror"] == ["nginx"]


@pytest.mark.parametrize(
    "system", [one for one in systems.SYSTEMS.values() if not one.uses_rpm], ids=lambda one: one.name
)
def test_the_packages_of_a_role_are_found(system: systems.System) -> None:
    found = systems.packages_of_roles(ROLES, system)
    assert {"haproxy", "keepalived", "curl"} <= set(found["endpoint"])
    assert {"chrony", "firewalld", "selinux-utils"} <= set(found["packages"])
    assert "python3-venv" in found["postgresql"]
    assert "telnet" not in found["packages"]
    assert ("valkey-server" in found["redis"]) == (system.name == "Debian_13")


def test_every_variable_of_packages_is_a_list_or_made_of_such() -> None:
    for path in ROLES.glob("*/vars/*.yml"):
        for name, value in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).items():
            if name.endswith("_packages") and isinstance(value, str):
                others = set(re.findall(r"__\w+_packages\b", value)) - {name}
                assert others, f"{path}: {name} names packages in an expression"


def test_an_unclear_list_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "strange/vars"
    folder.mkdir(parents=True)
    (folder / "Debian.yml").write_text("__strange_packages: ['tool{{ version }}']\n")
    with pytest.raises(systems.UnknownSystemError, match="role strange: __strange_packages is not a list of names"):
        systems.packages_of_roles(tmp_path, systems.named("Debian_12"))


def test_an_unknown_system_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(systems.UnknownSystemError, match="Debian_11 is unknown, known are Debian_12, Debian_13"):
        systems.named("Debian_11")


def test_the_packages_of_pins_know_their_component() -> None:
    pins = {
        "redis": {"package_names": {"Debian": ["redis-server"], "RedHat": ["redis"]}},
        "valkey": {"package_names": {"Debian_13": ["valkey-server"]}},
    }
    assert systems.packages_of_pins(pins, systems.named("Debian_12")) == {"redis-server": "redis"}
    assert systems.packages_of_pins(pins, systems.named("Debian_13")) == {
        "redis-server": "redis",
        "valkey-server": "valkey",
    }
