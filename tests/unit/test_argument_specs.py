"""Every role describes its variables, and describes them as they are."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir())


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def defaults_of(role):
    folder = ROOT / "roles" / role / "defaults"
    merged = {}
    for path in sorted(folder.rglob("*.yml")):
        merged.update(load(path))
    return merged


def options_of(role):
    return load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"].get("options", {})


@pytest.mark.parametrize("role", ROLES)
def test_each_default_is_described_with_its_value(role):
    options = options_of(role)
    for name, value in defaults_of(role).items():
        assert name in options, f"{role}: {name} has a default and no entry in argument_specs"
        if role == "site" and name == "site_flows":
            continue  # the table has a page of its own
        templated = isinstance(value, str) and "{{" in value
        if "default" in options[name] or not templated:
            assert options[name].get("default") == value, f"{role}: {name}"


@pytest.mark.parametrize("role", ROLES)
def test_each_option_with_a_default_has_it_in_the_defaults(role):
    defaults = defaults_of(role)
    for name, option in options_of(role).items():
        if "default" in option:
            assert name in defaults, f"{role}: {name} has a default in argument_specs and none in defaults"


@pytest.mark.parametrize("role", ROLES)
def test_each_option_is_described_and_carries_the_name_of_its_role(role):
    for name, option in options_of(role).items():
        assert name.startswith(f"{role}_"), name
        assert option.get("description"), f"{role}: {name} has no description"
        assert option.get("type"), f"{role}: {name} has no type"
